"""Removing an artifact: what its manifest lists and nothing else, again after an interruption, and never another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelmill.contracts import names, result
from modelmill.contracts.artifact import File, Manifest, Signature, canonical, digest
from modelmill_trainer import cli
from modelmill_trainer.artifact_folder import files_of

CONTENTS = {"model.onnx": b"model", "report.html": b"page", "data.json": b"{}"}


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models" / "sha256-a"
    folder.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    listed(folder, *files_of(folder), monkeypatch=monkeypatch)
    (folder / "somebody-elses.txt").write_bytes(b"mine")
    (tmp_path / "models" / "outside.txt").write_bytes(b"mine")
    monkeypatch.setenv(names.ENV_ARTIFACT_URI, f"file://{folder}/")
    monkeypatch.setenv(names.ENV_TERMINATION_PATH, str(tmp_path / "told"))
    return folder


def listed(folder: Path, *files: File, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = canonical(Manifest("onnx", files, Signature("regression", (), ()), {}, {}, "", "m", "m-1"))
    (folder / names.MANIFEST_FILE).write_bytes(manifest)
    monkeypatch.setenv(names.ENV_ARTIFACT_DIGEST, digest(manifest))


def failed(folder: Path) -> result.StageResult:
    assert cli.main(["remove"]) == names.EXIT_FINAL
    return result.decode((folder.parents[1] / "told").read_text())


def test_the_listed_files_and_the_manifest_go_and_nothing_else(artifact: Path) -> None:
    assert cli.main(["remove"]) == 0
    assert [path.name for path in artifact.iterdir()] == ["somebody-elses.txt"]
    assert (artifact.parent / "outside.txt").exists()
    assert cli.main(["remove"]) == 0, "what is gone is gone"


def test_what_was_interrupted_is_ended(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    unlink = Path.unlink

    def interrupted(path: Path, missing_ok: bool = False) -> None:
        if len(removed) == 2:
            raise SystemExit(137)
        removed.append(path.name)
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", interrupted)
        with pytest.raises(SystemExit):
            cli.main(["remove"])
    assert (artifact / names.MANIFEST_FILE).exists()
    assert cli.main(["remove"]) == 0
    assert [path.name for path in artifact.iterdir()] == ["somebody-elses.txt"]


def test_the_artifact_of_another_stays(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_ARTIFACT_DIGEST, "sha256:" + "0" * 64)
    told = failed(artifact)
    assert told.reason == "ArtifactOfAnother"
    assert all((artifact / name).exists() for name in CONTENTS)


@pytest.mark.parametrize("name", ["../outside.txt", "below/model.onnx"])
def test_a_manifest_that_names_what_is_not_beside_it_removes_nothing(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Below an artifact there may be another one: whoever writes the manifest does not decide whose files go."""
    (artifact / "below").mkdir()
    (artifact / "below" / "model.onnx").write_bytes(b"another's")
    listed(artifact, File("model.onnx", 5, "0" * 64), File(name, 4, "0" * 64), monkeypatch=monkeypatch)
    assert failed(artifact).reason == "ArtifactCorrupt"
    assert (artifact.parent / "outside.txt").exists()
    assert (artifact / "below" / "model.onnx").exists()
    assert (artifact / "model.onnx").exists()


def test_a_manifest_that_is_none_removes_nothing(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (artifact / names.MANIFEST_FILE).write_bytes(b"[]")
    monkeypatch.setenv(names.ENV_ARTIFACT_DIGEST, digest(b"[]"))
    assert failed(artifact).reason == "ArtifactCorrupt"
    assert (artifact / "model.onnx").exists()


@pytest.mark.parametrize("name", [names.ENV_ARTIFACT_URI, names.ENV_ARTIFACT_DIGEST])
def test_a_variable_that_is_missing_is_named(artifact: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    assert name in failed(artifact).reasons[0]
