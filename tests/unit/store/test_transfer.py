"""Transfers: nothing beyond what was said of the size, nothing half on disk, nothing believed unread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelmill.store.errors import StoreError
from modelmill.store.folder import Entry
from modelmill.store.transfer import ContentDiffers, read_small, repeat, save, write_verified


class Fake:
    """A folder that gives the chunks that it is told, counts them, and keeps what `store` makes of what is created."""

    uri = "s3://mill/models"

    def __init__(self, *chunks: bytes, store: Callable[[bytes], bytes] = lambda content: content) -> None:
        self.given = list(chunks)
        self.store = store
        self.asked = 0
        self.etags: list[str] = []

    def check_bucket(self) -> None:
        return

    def size(self, name: str) -> int | None:
        raise AssertionError

    def entries(self) -> list[Entry]:
        raise AssertionError

    def chunks(self, name: str, etag: str = "") -> Iterator[bytes]:
        self.etags.append(etag)
        if name == "none":
            raise StoreError("ObjectNotFound", "it is gone")
        for chunk in self.given:
            self.asked += 1
            yield chunk

    def create(self, name: str, source: bytes | Path) -> bool:
        content = source if isinstance(source, bytes) else source.read_bytes()
        if self.given:
            return False
        self.given = [self.store(content)]
        return True


def saved(fake: Fake, path: Path, size: int, sha256: str = "") -> str:
    return save(fake, "a.csv", path, size, sha256=sha256, etag="e1", said_by="the manifest says")


def test_an_object_is_saved_with_its_digest(tmp_path: Path) -> None:
    fake = Fake(b"ab", b"c")
    expected = hashlib.sha256(b"abc").hexdigest()
    assert saved(fake, tmp_path / "x", 3, expected) == expected
    assert (tmp_path / "x").read_bytes() == b"abc"
    assert fake.etags == ["e1"]
    empty = saved(Fake(), tmp_path / "empty", 0)
    assert empty == hashlib.sha256().hexdigest()
    assert (tmp_path / "empty").read_bytes() == b""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "x"]


def test_an_object_that_does_not_end_is_left_at_its_stated_size(tmp_path: Path) -> None:
    fake = Fake(*[b"x" * 10] * 1000)
    with pytest.raises(ContentDiffers, match=r"a\.csv has 30 bytes or more, the manifest says 25"):
        saved(fake, tmp_path / "x", 25)
    assert fake.asked == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "sha256", "said"), [(4, "", "has 3 bytes, the manifest says 4"), (3, "0" * 64, "sha256 ba78")]
)
def test_another_content_leaves_the_file_that_was_there(tmp_path: Path, size: int, sha256: str, said: str) -> None:
    (tmp_path / "x").write_bytes(b"before")
    with pytest.raises(ContentDiffers, match=said) as caught:
        saved(Fake(b"abc"), tmp_path / "x", size, sha256)
    assert (caught.value.reason, caught.value.final) == ("ObjectChanged", False)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_a_single_object_is_called_by_the_last_part_of_its_address(tmp_path: Path) -> None:
    with pytest.raises(ContentDiffers, match="models has 1 bytes, it was listed with 2"):
        save(Fake(b"1"), "", tmp_path / "x", 2, said_by="it was listed with")


def test_a_small_object_is_bounded() -> None:
    assert read_small(Fake(b"ab", b"c"), "a", 3) == b"abc"
    fake = Fake(*[b"x" * 10] * 1000)
    with pytest.raises(StoreError, match="more than 15 bytes") as caught:
        read_small(fake, "a", 15)
    assert (caught.value.reason, fake.asked) == ("ObjectTooLarge", 2)


def failing(*errors: Exception) -> Callable[[], str]:
    waiting = list(errors)

    def call() -> str:
        if waiting:
            raise waiting.pop(0)
        return "done"

    return call


DOWN = StoreError("StoreUnreachable", "down", final=False)


def test_a_failure_that_may_go_away_is_repeated() -> None:
    said: list[str] = []
    waited: list[float] = []
    assert repeat(failing(DOWN, DOWN), said.append, (1.0, 2.0), waited.append) == "done"
    assert waited == [1.0, 2.0]
    assert said == ["StoreUnreachable: down; trying again in 1.0 s", "StoreUnreachable: down; trying again in 2.0 s"]


def test_repeats_are_bounded() -> None:
    waited: list[float] = []
    with pytest.raises(StoreError, match="down"):
        repeat(failing(DOWN, DOWN, DOWN), lambda line: None, (1.0, 2.0), waited.append)
    assert waited == [1.0, 2.0]


@pytest.mark.parametrize(
    "error",
    [StoreError("StoreUnreachable", "redirected"), ContentDiffers("other"), StoreError("StoreAuthFailed", "no")],
)
def test_what_ends_the_same_way_is_not_repeated(error: StoreError) -> None:
    with pytest.raises(StoreError) as caught:
        repeat(failing(error), pytest.fail, wait=pytest.fail, unless="ObjectChanged")
    assert caught.value is error


def test_a_content_that_was_damaged_on_the_way_is_asked_for_again() -> None:
    assert repeat(failing(ContentDiffers("damaged")), lambda line: None, (1.0,), lambda pause: None) == "done"


class Changing(Fake):
    """A folder that gives another content each time."""

    def chunks(self, name: str, etag: str = "") -> Iterator[bytes]:
        self.asked += 1
        yield self.given[min(self.asked, len(self.given)) - 1]


MD5_OF_ABC = '"900150983cd24fb0d6963f7d28e17f72"'


def listed(fake: Fake, path: Path, etag: str = MD5_OF_ABC) -> str:
    return save(fake, "a.csv", path, 3, etag=etag, said_by="it was listed with")


def test_an_object_that_was_damaged_on_the_way_is_read_again(tmp_path: Path) -> None:
    fake = Changing(b"abd", b"abc")
    assert listed(fake, tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()
    assert ((tmp_path / "x").read_bytes(), fake.asked) == (b"abc", 2)


def test_an_object_that_is_damaged_each_time_is_not_taken(tmp_path: Path) -> None:
    fake = Changing(b"abd", b"abe")
    with pytest.raises(ContentDiffers, match=r"s3://mill/models/a\.csv came twice and each time damaged"):
        listed(fake, tmp_path / "x")
    assert (fake.asked, list(tmp_path.iterdir())) == (2, [])


@pytest.mark.parametrize(
    ("etag", "asked"), [('"' + "0" * 32 + '"', 2), ('"' + "0" * 32 + '-2"', 1), ("", 1), ("odd", 1)]
)
def test_an_etag_that_is_no_md5_is_outvoted(tmp_path: Path, etag: str, asked: int) -> None:
    fake = Changing(b"abc")
    assert listed(fake, tmp_path / "x", etag) == hashlib.sha256(b"abc").hexdigest()
    assert fake.asked == asked


def test_a_small_object_of_another_digest() -> None:
    right = f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
    assert read_small(Fake(b"abc"), "a", 3, right) == b"abc"
    for expected in ("sha256:", hashlib.sha256(b"abc").hexdigest(), "sha256:" + "0" * 64):
        with pytest.raises(ContentDiffers, match=rf"s3://mill/models/a has digest {right}, expected {expected}$"):
            read_small(Fake(b"abc"), "a", 3, expected)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"model")
    fake = Fake()
    write_verified(fake, "model.onnx", path)
    write_verified(fake, "model.onnx", path)  # the same content is there already
    assert fake.given == [b"model"]
    path.write_bytes(b"")
    write_verified(Fake(b""), "model.onnx", path)


@pytest.mark.parametrize("stored", [b"", b"mode", b"other", b"model and more"])
def test_a_store_that_keeps_something_else(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"model")
    with pytest.raises(StoreError, match=r"s3://mill/models/model\.onnx has other content") as caught:
        write_verified(Fake(store=lambda content: stored), "model.onnx", path)
    assert (caught.value.reason, caught.value.final) == ("UploadFailed", False)


def test_a_read_back_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    fake = Fake(*[b"x" * 3] * 1000)
    with pytest.raises(StoreError, match="other content"):
        write_verified(fake, "a", path)
    assert fake.asked == 2


def test_a_store_that_loses_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    with pytest.raises(StoreError, match="lost s3://mill/models/none after") as caught:
        write_verified(Fake(), "none", path)
    assert (caught.value.reason, caught.value.final) == ("UploadFailed", False)


def test_a_store_that_contradicts_itself(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    with pytest.raises(StoreError, match=r"models/none is there already .* and that it is not") as caught:
        write_verified(Fake(b"1"), "none", path)
    assert (caught.value.reason, caught.value.final) == ("UploadFailed", False)
