"""The store's folder against a real S3 server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelmill.contracts import names
from modelmill.store.errors import StoreError
from modelmill.store.folder import Connection, Entry, Folder, open_folder
from modelmill.store.s3 import S3Folder
from modelmill.store.transfer import save, write_verified
from tests.support.stages import ACCESS, BUCKET, SECRET, Store, gateway, s3_client

__all__ = ["gateway"]


@pytest.fixture
def store(gateway: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    client = s3_client(gateway)
    client.create_bucket(Bucket=BUCKET)
    monkeypatch.setenv(names.ENV_ACCESS_KEY, ACCESS)
    monkeypatch.setenv(names.ENV_SECRET_KEY, SECRET)
    made = Store(gateway, client)
    yield made
    while keys := made.keys():
        # What lies deepest goes first: the gateway keeps its objects in folders.
        for key in sorted(keys, reverse=True):
            client.delete_object(Bucket=BUCKET, Key=key)
    client.delete_bucket(Bucket=BUCKET)


def opened(store: Store, prefix: str = "data", bucket: str = BUCKET) -> Folder:
    return open_folder(f"s3://{bucket}/{prefix}", Connection(store.endpoint, attempts=2))


def reason(folder: Folder) -> tuple[str, bool]:
    with pytest.raises(StoreError) as caught:
        folder.entries()
    assert "hidden" not in caught.value.message
    return caught.value.reason, caught.value.final


def test_objects_come_back_as_they_were_written(store: Store, tmp_path: Path) -> None:
    folder = opened(store)
    contents = {
        "a.csv": os.urandom(3_000_000), "empty": b"", "deep/er/b": b"1", "sp ace+plus%41": b"2", "ünï/ﬁ": b"3",
        "what?#": b"4", "back\\slash": b"5", "new\nline": b"6",
    }  # fmt: skip
    for name, content in contents.items():
        assert folder.create(name, content), name
    entries = folder.entries()
    assert {entry.name: entry.size for entry in entries} == {name: len(content) for name, content in contents.items()}
    for place, entry in enumerate(entries):
        path = tmp_path / str(place)
        sha256 = save(folder, entry.name, path, entry.size, etag=entry.etag, said_by="it was listed with")
        assert path.read_bytes() == contents[entry.name]
        assert sha256 == hashlib.sha256(contents[entry.name]).hexdigest()


def test_an_address_of_one_object_and_of_none(store: Store) -> None:
    store.put("cars.csv", "123")
    store.put("cars-old/a.csv", "1")
    assert [(entry.name, entry.size) for entry in opened(store, "cars.csv").entries()] == [("", 3)]
    assert b"".join(opened(store, "cars.csv").chunks("")) == b"123"
    assert opened(store, "cars").entries() == []
    assert [entry.name for entry in opened(store, "").entries()] == ["cars-old/a.csv", "cars.csv"]


def test_more_objects_than_one_page(store: Store) -> None:
    folder = opened(store)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda number: folder.create(f"{number:04d}", b"%d" % number), range(1100)))
    assert [entry.name for entry in folder.entries()] == [f"{number:04d}" for number in range(1100)]


def test_an_object_is_created_once(store: Store, tmp_path: Path) -> None:
    folder = opened(store)
    assert isinstance(folder, S3Folder)
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda number: opened(store).create("a", b"%d" % number * 1000), range(8)))
    assert created.count(True) == 1
    assert store.get(f"s3://{BUCKET}/data/a") == b"%d" % created.index(True) * 1000
    assert not folder.create("a", b"other")
    path = tmp_path / "b"
    path.write_bytes(os.urandom(2_000_000))
    write_verified(folder, "b", path)
    write_verified(folder, "b", path)
    assert folder._conditional
    path.write_bytes(b"other")
    with pytest.raises(StoreError, match="data/b has other content") as caught:
        write_verified(folder, "b", path)
    assert caught.value.reason == "UploadFailed"


def test_an_object_that_was_overwritten_since_the_listing(store: Store) -> None:
    store.put("data/a", "1")
    folder = opened(store)
    (entry,) = folder.entries()
    store.put("data/a", "2")
    with pytest.raises(StoreError, match="overwritten") as caught:
        list(folder.chunks("a", entry.etag))
    assert (caught.value.reason, caught.value.final) == ("ObjectChanged", False)


def test_an_object_below_an_object(store: Store) -> None:
    """A store that keeps its objects in folders refuses what Amazon's takes; it must be told and not lost."""
    folder = opened(store)
    assert folder.create("a", b"1")
    with pytest.raises(StoreError, match=r"data/a/b: ObjectParentIsFile .* another URI") as caught:
        folder.create("a/b", b"2")
    assert (caught.value.reason, caught.value.final) == ("UploadFailed", True)
    assert folder.entries() == [Entry("a", 1, folder.entries()[0].etag)]


@pytest.mark.parametrize("prefix", ["%2e%2e/other", "a//b"])
def test_a_prefix_that_a_store_may_read_in_two_ways(store: Store, prefix: str) -> None:
    store.put("other/a", "1")
    assert opened(store, prefix).entries() == []


def test_refusals(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("data/a", "1")
    assert reason(opened(store, bucket="nowhere")) == ("BucketNotFound", True)
    with pytest.raises(StoreError) as caught:
        list(opened(store).chunks("none"))
    assert (caught.value.reason, caught.value.final) == ("ObjectNotFound", True)
    monkeypatch.setenv(names.ENV_SECRET_KEY, "hidden")
    assert reason(opened(store)) == ("StoreAuthFailed", True)
    monkeypatch.setenv(names.ENV_ACCESS_KEY, "nobody")
    assert reason(opened(store)) == ("StoreAuthFailed", True)
    with pytest.raises(StoreError) as caught:
        opened(store).create("b", b"1")
    assert caught.value.reason == "StoreAuthFailed"


def test_objects_are_removed_and_what_is_not_there_is_no_error(store: Store) -> None:
    store.put("data/a.csv", "1")
    store.put("data/deep/er/b", "2")
    store.put("data-old/a.csv", "3")
    folder = opened(store)
    for name in ("a.csv", "deep/er/b", "a.csv", "never"):
        folder.remove(name)
    assert store.keys() == ["data-old/a.csv"]
    with pytest.raises(StoreError) as caught:
        opened(store, bucket="nowhere").remove("a.csv")
    assert caught.value.reason == "BucketNotFound"
