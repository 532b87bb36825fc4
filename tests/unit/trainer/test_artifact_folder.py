"""Artifacts as files: published create-only, fetched verified."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from modelmill.contracts.artifact import File, Manifest, Signature, canonical, digest
from modelmill.contracts.stage import Champion, Store
from modelmill_trainer import artifact_folder
from modelmill_trainer.artifact_folder import fetch_artifact, files_of, publish_artifact, verified_manifest
from modelmill_trainer.failure import StageError

CONTENTS = {"model.onnx": b"model", "rows.bin": b"rows", "report.html": b"page", "data.json": b"{}"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    manifest = Manifest("onnx", files_of(folder), Signature("regression", (), ()), {}, {}, "", "m", "m-1")
    (folder / "manifest.json").write_bytes(canonical(manifest))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/models")


@pytest.fixture
def champion(source: Path, store: Store) -> Champion:
    uri, found = publish_artifact(source, f"{store.uri}/ns/m", store)
    return Champion("m-1", uri, found)


def stored(champion: Champion) -> Path:
    return Path(champion.uri.removeprefix("file://"))


def with_files(champion: Champion, *files: File) -> Champion:
    """Return a champion whose manifest lists other files."""
    path = stored(champion) / "manifest.json"
    manifest = artifact_folder.parse_manifest(path.read_bytes())
    path.write_bytes(canonical(replace(manifest, files=files)))
    return replace(champion, digest=digest(path.read_bytes()))


def test_files_are_listed_with_size_and_digest(source: Path) -> None:
    found = {file.name: (file.size, file.sha256) for file in files_of(source)}
    assert found == {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in CONTENTS.items()}


def test_an_artifact_lies_under_its_digest(champion: Champion, store: Store) -> None:
    assert champion.uri == f"{store.uri}/ns/m/{champion.digest.replace(':', '-')}"
    assert {path.name for path in stored(champion).iterdir()} == {*CONTENTS, "manifest.json"}


def test_publishing_again_is_as_good_and_other_content_is_refused(
    source: Path, store: Store, champion: Champion
) -> None:
    assert publish_artifact(source, f"{store.uri}/ns/m", store) == (champion.uri, champion.digest)
    (stored(champion) / "rows.bin").write_bytes(b"other")
    with pytest.raises(StageError, match=r"rows\.bin has other content") as caught:
        publish_artifact(source, f"{store.uri}/ns/m", store)
    assert (caught.value.reason, caught.value.exit_code) == ("UploadFailed", 1)


def test_what_a_comparison_needs_is_fetched_and_verified(champion: Champion, store: Store, tmp_path: Path) -> None:
    into = tmp_path / "champion"
    fetch_artifact(champion, store, into)
    assert {path.name for path in into.iterdir()} == {"manifest.json", "model.onnx", "rows.bin"}
    assert verified_manifest(champion, into).version == "m-1"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.onnx", b"forged", "ChampionCorrupt"),
        ("model.onnx", None, "ChampionMissing"),
        ("manifest.json", b"{}", "ChampionCorrupt"),
        ("manifest.json", None, "ChampionMissing"),
    ],
)
def test_a_store_that_lost_or_changed_something_is_told(
    champion: Champion, store: Store, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    path = stored(champion) / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(StageError, match="m-1") as caught:
        fetch_artifact(champion, store, tmp_path / "champion")
    assert (caught.value.reason, caught.value.exit_code) == (reason, 3)


@pytest.mark.parametrize("content", [b"forged", b"", None, b"x" * 2000])
def test_rows_that_are_damaged_are_left_out(
    champion: Champion, store: Store, tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact_folder, "MAX_ROWS_BYTES", 1000)
    path = stored(champion) / "rows.bin"
    path.unlink() if content is None else path.write_bytes(content)
    fetch_artifact(champion, store, tmp_path / "champion")
    assert not (tmp_path / "champion" / "rows.bin").exists()
    assert verified_manifest(champion, tmp_path / "champion").version == "m-1"


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b", "..", ""])
def test_a_name_that_leads_elsewhere_is_refused(champion: Champion, store: Store, tmp_path: Path, name: str) -> None:
    forged = with_files(champion, File(name, 1, "00"))
    with pytest.raises(StageError) as caught:
        fetch_artifact(forged, store, tmp_path / "champion")
    assert caught.value.reason == "ChampionCorrupt"


@pytest.mark.parametrize("name", ["model.onnx", "rows.bin"])
def test_what_the_train_stage_changed_is_told(champion: Champion, store: Store, tmp_path: Path, name: str) -> None:
    into = tmp_path / "champion"
    fetch_artifact(champion, store, into)
    (into / name).unlink()
    (into / name).symlink_to("/proc/self/environ")
    with pytest.raises(StageError, match=f"{name} was changed") as caught:
        verified_manifest(champion, into)
    assert caught.value.reason == "ChampionCorrupt"


def test_a_pipe_in_place_of_a_file_does_not_stop_the_stage(champion: Champion, store: Store, tmp_path: Path) -> None:
    import os

    into = tmp_path / "champion"
    fetch_artifact(champion, store, into)
    for name in ("model.onnx", "manifest.json"):
        (into / name).unlink()
        os.mkfifo(into / name)
        with pytest.raises(StageError) as caught:
            verified_manifest(champion, into)
        assert caught.value.reason == "ChampionCorrupt"
