"""A drift report in a real store: written once with the keys of the version, and told where the store refuses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelmill.contracts import names, result
from modelmill.contracts.artifact import FeatureProfile, File, Manifest, Profile, Signature, canonical, digest
from modelmill.contracts.counts import COUNTS_KEY, encode
from modelmill.contracts.drift_report import ReportSpec, page_uri
from modelmill.contracts.drift_report import encode as encode_spec
from modelmill_trainer import cli
from tests.support.counted import CREATED, number, window
from tests.support.stages import BUCKET, Store

pytestmark = pytest.mark.integration

KEY = "prod/reports/ml/cars/20251122t082640z.html"
NUMBER = FeatureProfile("numeric", (0.098,) * 10, edges=tuple(float(edge) for edge in range(1, 10)), missing_ratio=0.02)


@pytest.fixture
def told(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an artifact and counts where the stage looks for them; return its termination message."""
    profile = canonical(Profile({"power": NUMBER}, NUMBER, 4000))
    listed = File(names.PROFILE_FILE, len(profile), digest(profile).removeprefix("sha256:"))
    manifest = canonical(Manifest("onnx", (listed,), Signature("regression", (), ()), {}, {}, "", "cars", "cars-1"))
    for name, content in ((names.PROFILE_FILE, profile), (names.MANIFEST_FILE, manifest)):
        store.client.put_object(Bucket=BUCKET, Key=f"prod/ml/cars/a/{name}", Body=content)
    (tmp_path / COUNTS_KEY).write_text(encode(window({"power": number()}, 6000)))
    uri = page_uri(f"s3://{BUCKET}/prod", "ml", "cars", "20251122t082640z")
    spec = ReportSpec("ml", "cars", "cars-1", uri, "asked", CREATED)
    for variable, value in {
        names.ENV_REPORT: encode_spec(spec),
        names.ENV_COUNTS: str(tmp_path),
        names.ENV_ARTIFACT_URI: f"s3://{BUCKET}/prod/ml/cars/a",
        names.ENV_ARTIFACT_DIGEST: digest(manifest),
        names.ENV_ENDPOINT: store.endpoint,
        names.ENV_REGION: "us-east-1",
        names.ENV_TERMINATION_PATH: str(tmp_path / "told"),
    }.items():
        monkeypatch.setenv(variable, value)
    return tmp_path / "told"


def test_the_page_is_written_once(store: Store, told: Path) -> None:
    assert cli.main([names.STAGE_DRIFT_REPORT]) == 0, told.read_text()
    page = store.client.get_object(Bucket=BUCKET, Key=KEY)
    text = page["Body"].read().decode()
    assert "No drift" in text
    assert "1 to 2" in text
    (told.parent / COUNTS_KEY).unlink()
    assert cli.main([names.STAGE_DRIFT_REPORT]) == 0
    assert store.client.head_object(Bucket=BUCKET, Key=KEY)["ETag"] == page["ETag"]


def test_keys_that_the_store_refuses_are_told(store: Store, told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_SECRET_KEY, "wrong")
    assert cli.main([names.STAGE_DRIFT_REPORT]) == names.EXIT_FINAL
    assert result.decode(told.read_text()).reason == "StoreAuthFailed"
