"""A folder on disk: listed whole or not at all, never left, written whole and only once."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from modelmill.store import files
from modelmill.store.errors import StoreError
from modelmill.store.files import FileFolder
from modelmill.store.folder import Connection, Entry, open_folder


def folder(path: Path) -> FileFolder:
    return FileFolder(f"file://{path}", path)


def told(caught: pytest.ExceptionInfo[StoreError], reason: str) -> str:
    assert caught.value.reason == reason
    return caught.value.message


def test_files_are_listed_by_name_with_their_sizes(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a\nb.csv").write_bytes(b"12")
    (tmp_path / "a.csv").write_bytes(b"1")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)  # a circle
    (tmp_path / "itself").symlink_to("itself")
    assert folder(tmp_path).entries() == [Entry("a.csv", 1), Entry("b/a\nb.csv", 2), Entry("empty", 0)]


def test_a_single_file_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1")
    single = open_folder(f"file://{tmp_path}/a.csv", Connection())
    assert single.entries() == [Entry("", 1)]
    os.utime(tmp_path / "a.csv", (5, 7))
    assert [entry.written for entry in (*single.entries(), *folder(tmp_path).entries())] == [7.0, 7.0]
    assert b"".join(single.chunks("")) == b"1"
    assert folder(tmp_path / "none").entries() == []


def test_links_within_the_folder_are_files_of_it(tmp_path: Path) -> None:
    """As Kubernetes lays out the volume of a ConfigMap."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "a.csv").write_bytes(b"1")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.csv").symlink_to("..data/a.csv")
    assert Entry("a.csv", 1) in folder(tmp_path).entries()
    assert b"".join(folder(tmp_path).chunks("a.csv")) == b"1"


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.csv").symlink_to("../secret")
    with pytest.raises(StoreError) as caught:
        folder(data).entries()
    assert "leads out of" in told(caught, "StoreAuthFailed")
    with pytest.raises(StoreError) as caught:
        list(folder(data).chunks("a.csv"))
    assert "leads out of" in told(caught, "StoreAuthFailed")
    (data / "out").symlink_to(tmp_path)
    with pytest.raises(StoreError) as caught:
        folder(data).create("out/new", b"1")
    told(caught, "StoreAuthFailed")
    assert not (tmp_path / "new").exists()


def test_a_listing_that_may_not_see_all_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.csv").write_bytes(b"1")
    scan = os.scandir

    def scandir(path: str | Path) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(StoreError, match="closed may not be used by user") as caught:
        folder(tmp_path).entries()
    told(caught, "StoreAuthFailed")


def test_a_listing_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_OBJECTS", 3)
    for number in range(3):
        (tmp_path / str(number)).touch()
    assert len(folder(tmp_path).entries()) == 3
    (tmp_path / "more").touch()
    with pytest.raises(StoreError, match="more than 3 files") as caught:
        folder(tmp_path).entries()
    told(caught, "TooManyObjects")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")  # to read it would wait for ever
    (tmp_path / "circle").symlink_to("circle")
    for name in ("none", "a", "file/below", "pipe", "circle"):
        with pytest.raises(StoreError) as caught:
            list(folder(tmp_path).chunks(name))
        assert name in told(caught, "ObjectNotFound")
    for name in ("../x", "/etc/passwd", "a//b"):
        with pytest.raises(StoreError) as caught:
            list(folder(tmp_path).chunks(name))
        told(caught, "AddressInvalid")


def test_a_file_is_created_once(tmp_path: Path) -> None:
    target = folder(tmp_path / "models")
    (tmp_path / "source").write_bytes(b"3" * 3_000_000)
    assert target.create("a/b.txt", b"1")
    assert not target.create("a/b.txt", b"2")
    assert target.create("a/c", tmp_path / "source")
    assert target.create("empty", b"")
    assert b"".join(target.chunks("a/b.txt")) == b"1"
    assert target.entries() == [Entry("a/b.txt", 1), Entry("a/c", 3_000_000), Entry("empty", 0)]


def test_of_many_writers_one_creates_the_file(tmp_path: Path) -> None:
    created = []
    threads = [
        threading.Thread(target=lambda text=text: created.append((folder(tmp_path).create("a", text), text)))
        for text in (b"%d" % number * 100_000 for number in range(8))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((_, content),) = [item for item in created if item[0]]
    assert len(created) == 8
    assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_volume_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted", str(source), None, str(target))

    monkeypatch.setattr(os, "link", link)
    if exists:
        (tmp_path / "a").write_bytes(b"1")
    assert folder(tmp_path).create("a", b"2") is not exists
    assert (tmp_path / "a").read_bytes() == (b"1" if exists else b"2")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_object_below_a_file_is_not_taken_for_one_that_exists(tmp_path: Path) -> None:
    """A bucket may hold `a` and `a/b`, a disk may not."""
    assert folder(tmp_path).create("a", b"1")
    assert folder(tmp_path).create("b/c", b"1")
    for name in ("a/b", "a/b/c", "b"):
        with pytest.raises(StoreError, match="another URI") as caught:
            folder(tmp_path).create(name, b"2")
        assert (caught.value.reason, caught.value.final) == ("UploadFailed", True)
    assert len(list(tmp_path.rglob("*"))) == 3


def test_a_full_volume_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match="make room") as caught:
        folder(tmp_path).create("a", b"1")
    assert (caught.value.reason, caught.value.final) == ("DiskFailed", False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", ""])
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError) as caught:
        folder(tmp_path / "models").create(name, b"1")
    told(caught, "AddressInvalid")
    assert list(tmp_path.iterdir()) == []


def test_the_size_of_a_file_is_known_without_reading_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"12")
    (tmp_path / "folder").mkdir()
    (tmp_path / "out").symlink_to(tmp_path.parent / "elsewhere")
    opened = folder(tmp_path)
    assert [opened.size(name) for name in ("a.csv", "none", "folder", "a.csv/below")] == [2, None, None, None]
    with pytest.raises(StoreError) as caught:
        opened.size("out")
    told(caught, "StoreAuthFailed")


def test_files_are_removed_and_never_beyond_the_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "secret").write_text("secret")
    (data / "a.csv").write_bytes(b"1")
    (data / "link").symlink_to(tmp_path / "secret")
    (data / "out").symlink_to(tmp_path, target_is_directory=True)
    for name in ("a.csv", "link", "never-there", "no-folder/a"):
        folder(data).remove(name)
    for name in ("out/secret", "../secret"):
        with pytest.raises(StoreError):
            folder(data).remove(name)
    assert sorted(path.name for path in data.iterdir()) == ["out"]
    assert (tmp_path / "secret").exists()
