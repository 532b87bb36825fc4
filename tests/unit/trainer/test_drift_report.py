"""The stage that writes a drift report: a page in a store, once, whatever it finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelmill.contracts import names, result
from modelmill.contracts.artifact import FeatureProfile, Manifest, Profile, Signature, canonical, digest
from modelmill.contracts.counts import COUNTS_KEY, encode
from modelmill.contracts.drift_report import ReportSpec, decode, page_uri
from modelmill.contracts.drift_report import encode as encode_spec
from modelmill.contracts.verdict import Holdout, Limits
from modelmill_trainer import cli
from modelmill_trainer.artifact_folder import files_of
from tests.support.counted import CREATED, number, window

NUMBER = FeatureProfile("numeric", (0.098,) * 10, edges=tuple(float(edge) for edge in range(1, 10)), missing_ratio=0.02)


class Stage:
    """The environment of the stage, with an artifact and counts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.artifact, self.counts = folder, folder / "artifact", folder / "counts"
        self.termination = folder / "told"
        self.artifact.mkdir()
        self.counts.mkdir()
        (self.artifact / names.PROFILE_FILE).write_bytes(canonical(Profile({"power": NUMBER}, NUMBER, 4000)))
        manifest = canonical(
            Manifest("onnx", files_of(self.artifact), Signature("regression", (), ()), {}, {}, "", "cars", "cars-1")
        )
        (self.artifact / names.MANIFEST_FILE).write_bytes(manifest)
        (self.counts / COUNTS_KEY).write_text(encode(window({"power": number()}, 6000)))
        self.uri = page_uri(f"file://{folder}/store/", "ml", "cars", "20251122t082640z")
        for name, value in {
            names.ENV_ARTIFACT_URI: f"file://{self.artifact}",
            names.ENV_ARTIFACT_DIGEST: digest(manifest),
            names.ENV_COUNTS: str(self.counts),
            names.ENV_TERMINATION_PATH: str(self.termination),
            names.ENV_REPORT: encode_spec(spec(self.uri)),
        }.items():
            monkeypatch.setenv(name, value)

    @property
    def page(self) -> Path:
        return Path(self.uri.removeprefix("file://"))

    def run(self) -> int:
        return cli.main([names.STAGE_DRIFT_REPORT])

    def failure(self) -> result.StageResult:
        return result.decode(self.termination.read_text())


def spec(uri: str, **changes: Any) -> ReportSpec:
    return ReportSpec(
        **{
            "namespace": "ml",
            "service": "cars",
            "version": "cars-1",
            "uri": uri,
            "reason": "asked",
            "created": CREATED,
            **changes,
        }
    )


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def test_the_page_is_where_it_was_told_to_be(stage: Stage) -> None:
    assert stage.run() == 0
    assert stage.page == stage.folder / "store" / "reports" / "ml" / "cars" / "20251122t082640z.html"
    text = stage.page.read_text()
    assert "No drift" in text
    assert "1 to 2" in text, "the profile says what the bins mean"


def test_a_page_that_is_there_stays(stage: Stage) -> None:
    assert stage.run() == 0
    before = stage.page.read_text()
    (stage.counts / COUNTS_KEY).write_text(encode(window({"power": number()}, 60)))
    assert stage.run() == 0
    assert stage.page.read_text() == before


@pytest.mark.parametrize("lacks", ["profile.json", "manifest.json", "changed", "not listed"])
def test_without_the_profile_bins_have_their_names(stage: Stage, monkeypatch: pytest.MonkeyPatch, lacks: str) -> None:
    if lacks == "changed":
        (stage.artifact / names.PROFILE_FILE).write_text("{}")
    else:
        (stage.artifact / lacks.replace("not listed", names.PROFILE_FILE)).unlink()
    if lacks == "not listed":
        manifest = canonical(Manifest("onnx", (), Signature("regression", (), ()), {}, {}, "", "cars", "cars-1"))
        (stage.artifact / names.MANIFEST_FILE).write_bytes(manifest)
        monkeypatch.setenv(names.ENV_ARTIFACT_DIGEST, digest(manifest))
    assert stage.run() == 0
    text = stage.page.read_text()
    assert "1 to 2" not in text
    assert "Bins have no words" in text


@pytest.mark.parametrize("found", ["", "[]", '{"v": 2}', '{"v": 1}', "\x00", "[" * 100_000])
def test_counts_that_cannot_be_read_are_none(stage: Stage, found: str) -> None:
    (stage.counts / COUNTS_KEY).write_text(found)
    assert stage.run() == 0
    assert "cannot be read" in stage.page.read_text()


def test_counts_of_another_version_are_not_shown(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_REPORT, encode_spec(spec(stage.uri, version="cars-2")))
    assert stage.run() == 0
    assert "nothing of cars-2 yet" in stage.page.read_text()


def test_nothing_was_counted(stage: Stage) -> None:
    (stage.counts / COUNTS_KEY).unlink()
    assert stage.run() == 0
    assert "counted nothing yet" in stage.page.read_text()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (names.ENV_REPORT, ""),
        (names.ENV_REPORT, "{}"),
        (names.ENV_REPORT, "[]"),
        (names.ENV_REPORT, "no JSON"),
        (names.ENV_COUNTS, ""),
        (names.ENV_ARTIFACT_URI, ""),
        (names.ENV_ARTIFACT_URI, "ftp://x"),
    ],
)
def test_what_is_not_told_well_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert stage.run() == names.EXIT_FINAL
    assert stage.failure().reason == "SpecInvalid"
    assert variable in stage.failure().reasons[0]
    assert not stage.page.exists()


def test_the_task_is_read_as_it_was_written() -> None:
    task = spec(
        "s3://a/b.html", limits=Limits(0.1, 0.5, 30), maximum=2.5, min_labels=20, holdout=Holdout(0.1, 0.2, True)
    )
    assert decode(encode_spec(task)) == task
    assert decode(encode_spec(spec("s3://a/b.html"))) == spec("s3://a/b.html")
