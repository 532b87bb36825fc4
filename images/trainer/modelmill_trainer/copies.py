"""Copies of training data in the store: made once for each content, and read back by the digest of the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from modelmill.contracts.artifact import digest
from modelmill.contracts.snapshot import (
    MAX_DOCUMENT,
    Snapshot,
    SnapshotObject,
    document_key,
    object_key,
    parse_document,
)
from modelmill.contracts.stage import Store
from modelmill_trainer.failure import StageError
from modelmill_trainer.snapshot import PARALLEL, Fetched, pinned, require_room
from modelmill_trainer.stores import Folder, open_folder

MAX_OBJECT: Final = 5 << 30
"""Most bytes of an object that is copied: what one PutObject takes (Amazon S3 API reference, PutObject)."""


def keep(train: Sequence[Fetched], holdout: Sequence[Fetched], store: Store, scratch: Path) -> None:
    """Copy the objects into the store, and their document last. What is there with its size is left as it is.

    scratch: a folder for the document. Raises StageError: UploadFailed for an object that the store has with another content
    or that is too large for one request, or whatever the store refuses.
    """
    large = next((item for item in (*train, *holdout) if item.size > MAX_OBJECT), None)
    if large is not None:
        raise StageError(
            "UploadFailed",
            f"{large.name} has {large.size} bytes, and data.snapshot: Copy takes objects of up to {MAX_OBJECT}: divide it, or "
            "use data.snapshot: Digest",
        )
    folder = _root(store)
    content = pinned(train, holdout).document()
    # The smallest first: with it the store is asked what it knows, which writes it twice.
    different = sorted({item.sha256: item for item in (*train, *holdout)}.values(), key=lambda item: item.size)
    with ThreadPoolExecutor(PARALLEL) as pool:
        written = sum(pool.map(lambda item: _write(folder, item), different))
    key, path = document_key(digest(content)), scratch / "document"
    path.write_bytes(content)
    folder.write(key, path)
    print(f"fetch: the store has a copy of the data, {written} objects of {len(different)} are new: {key}", flush=True)


def bring(data: str, store: Store, into: Path, *, holdout: bool) -> tuple[list[Fetched], list[Fetched]]:
    """Bring the objects of a copy, in the order of their names, verified. data: digest of the data.

    holdout: whether the objects of a hold-out that is given apart are brought as well. Raises StageError: SnapshotMissing,
    SnapshotDamaged, or whatever the store refuses.
    """
    folder = _root(store)
    snapshot = _document(folder, data)
    wanted = (*snapshot.train, *(snapshot.holdout if holdout else ()))
    into.mkdir(parents=True, exist_ok=True)
    different = {item.sha256: item for item in reversed(wanted)}
    require_room(folder.uri, into, sum(item.size for item in different.values()), "the copy of the data")
    with ThreadPoolExecutor(PARALLEL) as pool:
        _all(pool.map(lambda item: _read(folder, item, into / item.sha256, data), different.values()))
    return tuple(  # type: ignore[return-value]
        [Fetched(item.name, item.size, item.sha256, into / item.sha256) for item in side]
        for side in (snapshot.train, snapshot.holdout if holdout else ())
    )


def _root(store: Store) -> Folder:
    return open_folder(store.uri, store.endpoint, store.region, "store.uri")


def _write(folder: Folder, item: Fetched) -> bool:
    """Copy one object unless it is there; return whether it was written."""
    key = object_key(item.sha256)
    if folder.size(key) == item.size:
        return False
    folder.write(key, item.path)
    return True


def _document(folder: Folder, data: str) -> Snapshot:
    try:
        key = document_key(data)
    except ValueError as error:
        raise StageError("SpecInvalid", f"data.snapshot: {error}") from None
    try:
        return parse_document(folder.read(key, MAX_DOCUMENT, data))
    except StageError as error:
        raise _unusable(error, data, "its document") from None
    except ValueError as error:
        raise StageError("SnapshotDamaged", f"the copy of the data {data} is no copy: {key}: {error}") from None


def _read(folder: Folder, item: SnapshotObject, path: Path, data: str) -> None:
    try:
        folder.save(object_key(item.sha256), path, item.size, sha256=item.sha256, said_by="its document says")
    except StageError as error:
        raise _unusable(error, data, f"its object {item.name}") from None


def _unusable(error: StageError, data: str, what: str) -> StageError:
    """Return what an object that is not there, or another one, means for the copy; the store's other refusals as they are."""
    words = " ".join(error.messages)
    if error.reason == "ObjectNotFound":
        mend = "bring it back, or start a run that reads its data from data.train.uri"
        return StageError("SnapshotMissing", f"the copy of the data {data} lacks {what}: {words}: {mend}")
    if error.reason in ("DataChanged", "ObjectTooLarge"):
        mend = "delete the object, and bring it back, or run once with data.snapshot: Copy while the source has it"
        return StageError("SnapshotDamaged", f"the copy of the data {data} is damaged in {what}: {words}: {mend}")
    return error


def _all(done: Iterable[None]) -> None:
    for _ in done:
        continue
