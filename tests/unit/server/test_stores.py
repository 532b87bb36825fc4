"""The server's fetch and payload log with stores that are not Amazon's."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from modelmill.contracts import names
from modelmill.contracts.artifact import File, Manifest, Signature, canonical, digest
from modelmill_server.failure import StartError
from modelmill_server.fetch import fetch
from modelmill_server.payloads.targets import open_target
from tests.unit.store.loopback import Answer, Asked, Bucket, Loopback, refusal, serving

CONTENT = b"a model"
MODEL = File("model.onnx", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
MANIFEST = canonical(
    Manifest("onnx", (MODEL,), Signature("regression", (), ()), {}, {}, "2026-01-01T00:00:00Z", "demo", "demo-1")
)
FILES = {"models/a/manifest.json": MANIFEST, "models/a/model.onnx": CONTENT}

Serve = Callable[[Callable[[Asked], Answer]], Loopback]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv(names.ENV_ACCESS_KEY, "key")
    monkeypatch.setenv(names.ENV_SECRET_KEY, "secret")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with ExitStack() as stack:

        def start(answer: Callable[[Asked], Answer]) -> Loopback:
            store = stack.enter_context(serving(answer))
            monkeypatch.setenv(names.ENV_ENDPOINT, store.endpoint)
            return store

        yield start


def fetched(folder: Path, uri: str = "s3://mill/models/a") -> Manifest:
    return fetch(
        {names.ENV_ARTIFACT_URI: uri, names.ENV_ARTIFACT_DIGEST: digest(MANIFEST), names.ENV_MODEL_FOLDER: str(folder)}
    )


def refused(folder: Path, reason: str, final: bool = True, uri: str = "s3://mill/models/a") -> str:
    with pytest.raises(StartError) as caught:
        fetched(folder, uri)
    assert (caught.value.reason, caught.value.final) == (reason, final)
    return caught.value.message


def test_a_store_with_other_checksums(serve: Serve, tmp_path: Path) -> None:
    """What is fetched is compared by its sha256; the checksum headers of stores differ."""
    bucket = Bucket(objects=FILES)

    def answer(asked: Asked) -> Answer:
        given = bucket(asked)
        return Answer(given.status, given.body, {"x-amz-checksum-crc32": "AAAAAA=="})

    serve(answer)
    assert fetched(tmp_path).version == "demo-1"
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_a_store_that_redirects_everything(serve: Serve, tmp_path: Path) -> None:
    serve(lambda asked: Answer(307, b"", {"Location": "https://127.0.0.1:1/"}))
    assert "store.endpoint" in refused(tmp_path, "StoreUnreachable", final=False)


@pytest.mark.parametrize("uri", ["s3://mill/models/../a", "s3://mill/", "file:///models?x", "s3://k:secret@mill/a"])
def test_an_address_that_would_name_something_else(tmp_path: Path, uri: str) -> None:
    text = refused(tmp_path, "ConfigInvalid", uri=uri)
    assert names.ENV_ARTIFACT_URI in text
    assert "k:secret" not in text


def test_a_manifest_that_does_not_end(serve: Serve, tmp_path: Path) -> None:
    serve(Bucket(objects={**FILES, "models/a/manifest.json": b" " * (5 << 20)}))
    assert "manifest.json has more than" in refused(tmp_path, "ArtifactCorrupt")


def test_an_artifact_behind_a_link_out_of_its_volume(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "secret").write_bytes(MANIFEST)
    (tmp_path / "volume" / "manifest.json").symlink_to("../secret")
    assert "leads out of" in refused(tmp_path / "target", "StoreAuthFailed", uri=f"file://{tmp_path}/volume")


def test_a_payload_log_in_a_store_without_checksums(serve: Serve) -> None:
    bucket = Bucket()

    def answer(asked: Asked) -> Answer:
        known = not any("checksum" in name or "trailer" in name for name in asked.headers)
        return bucket(asked) if known else refusal(501, "NotImplemented")

    serve(answer)
    target = open_target("s3://mill/log/")
    target.put("demo/a.gz", b"1")
    target.put("demo/a.gz", b"2")
    assert bucket.objects == {"log/demo/a.gz": b"2"}
