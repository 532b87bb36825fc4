"""The data of a run, pinned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from modelmill_trainer import snapshot
from modelmill_trainer.failure import StageError
from modelmill_trainer.snapshot import data_digest, download
from modelmill_trainer.stores import Entry, Folder, open_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name, content in {
        "b.csv": "x\n2\n", "a/c.csv": "x\n1\n", "_SUCCESS": "mark", ".hidden/d.csv": "x\n3\n", "a/_temporary/e.csv": "x\n",
        "empty.csv": "",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_every_object_is_brought_but_marks_and_empty_ones(source: Path, tmp_path: Path) -> None:
    found = download(open_folder(f"file://{source}", None, None, "data.train.uri"), tmp_path / "into", "data.train.uri")
    assert [item.name for item in found] == ["a/c.csv", "b.csv"]
    assert [item.path.read_text() for item in found] == ["x\n1\n", "x\n2\n"]
    assert found[0].sha256 == hashlib.sha256(b"x\n1\n").hexdigest()
    assert found[0].facts().size == 4


def test_a_uri_of_one_object_is_that_object(source: Path, tmp_path: Path) -> None:
    (found,) = download(open_folder(f"file://{source}/b.csv", None, None, "f"), tmp_path / "into", "f")
    assert found.name == "b.csv"


@pytest.mark.parametrize("name", ["nowhere", "empty.csv", "_SUCCESS"])
def test_a_place_without_content_is_named_with_its_field(source: Path, tmp_path: Path, name: str) -> None:
    uri = f"file://{source}/{name}"
    if name == "_SUCCESS":
        for path in (source / "b.csv", source / "a/c.csv"):
            path.unlink()
        uri = f"file://{source}"
    with pytest.raises(StageError, match=r"data\.holdout\.uri is") as caught:
        download(open_folder(uri, None, None, "f"), tmp_path / "into", "data.holdout.uri")
    assert (caught.value.reason, caught.value.rejected) == ("DataEmpty", True)


def test_an_object_that_changes_while_it_is_read_is_told(source: Path, tmp_path: Path) -> None:
    folder = open_folder(f"file://{source}", None, None, "f")
    listed = folder.entries()
    (source / "b.csv").write_text("x\n2\n3\n")

    class Listed:
        uri = folder.uri
        entries = staticmethod(lambda: listed)
        save = staticmethod(folder.save)

    with pytest.raises(StageError, match=r"b\.csv has 6 bytes or more, it was listed with 4") as caught:
        download(Listed(), tmp_path / "into", "f")
    assert (caught.value.reason, caught.value.exit_code) == ("DataChanged", 1)


class Changing:
    """A folder in which something happens while it is read: `while_read(name)` is called before each object is."""

    def __init__(self, source: Path, while_read: Callable[[str], None]) -> None:
        self.opened = open_folder(f"file://{source}", None, None, "f")
        self.uri = self.opened.uri
        self.while_read = while_read
        self.read: list[str] = []

    def entries(self) -> list[Entry]:
        return [replace(entry, etag=f'"{entry.size}-1"') for entry in self.opened.entries()]

    def save(self, name: str, path: Path, size: int, *, etag: str) -> str:
        self.while_read(name)
        self.read.append(name)
        return self.opened.save(name, path, size)


def test_what_changes_while_it_is_read_is_listed_and_read_anew(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "PAUSES", (0.0, 0.0))

    def while_read(name: str) -> None:
        if name == "b.csv" and folder.read.count(name) == 0:
            (source / "b.csv").write_text("x\n22\n")
            folder.read.append(name)

    folder = Changing(source, while_read)
    found = download(cast(Folder, folder), tmp_path / "into", "f")
    assert [item.path.read_text() for item in found] == ["x\n1\n", "x\n22\n"]
    assert folder.read.count("a/c.csv") == 1  # what is the same is kept


def test_an_object_that_goes_away_while_it_is_read_is_left_out(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "PAUSES", (0.0, 0.0))
    folder = Changing(source, lambda name: (source / "b.csv").unlink(missing_ok=True))
    found = download(cast(Folder, folder), tmp_path / "into", "f")
    assert [item.name for item in found] == ["a/c.csv"]


@pytest.mark.parametrize(("size", "reason", "code"), [(1 << 40, "OutOfMemory", 3), (1 << 41, "DiskFailed", 1)])
def test_more_data_than_there_is_room_for_is_not_begun(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, reason: str, code: int
) -> None:
    monkeypatch.setattr(snapshot, "available_memory", lambda: 1 << 39 if reason == "OutOfMemory" else 1 << 62)
    folder = Changing(source, pytest.fail)
    monkeypatch.setattr(folder, "entries", lambda: [Entry("a.csv", size, '"1"')])
    with pytest.raises(StageError, match=rf"data\.train\.uri is file://.* with {size} bytes") as caught:
        download(cast(Folder, folder), tmp_path / "into", "data.train.uri")
    assert (caught.value.reason, caught.value.exit_code) == (reason, code)


def test_the_digest_follows_names_contents_and_sides(source: Path, tmp_path: Path) -> None:
    one, two = download(open_folder(f"file://{source}", None, None, "f"), tmp_path / "into", "f")
    # Runs on the same data in other releases have the same digest.
    assert data_digest([one], []) == "sha256:c17d93f80de064b0260ab17cb648eae73e83f3865a2bbcd28a5f5a2835676721"
    digests = {
        data_digest([one, two], []), data_digest([one], [two]), data_digest([two], [one]), data_digest([one], []),
        data_digest([replace(one, name="z.csv"), two], []), data_digest([replace(one, sha256="0"), two], []),
    }  # fmt: skip
    assert len(digests) == 6
    assert data_digest([replace(one, path=Path("/elsewhere"))], []) == data_digest([one], [])
