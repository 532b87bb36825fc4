"""The data of a run, pinned: every object downloaded once, with its size and sha256, and one digest over all."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from modelmill.contracts.artifact import digest
from modelmill.contracts.data import is_mark
from modelmill.contracts.snapshot import Snapshot, SnapshotObject
from modelmill.store.transfer import PAUSES
from modelmill_trainer.confinement import available_memory
from modelmill_trainer.failure import StageError, rejected
from modelmill_trainer.object_window import ObjectWindow
from modelmill_trainer.stores import Entry, Folder

PARALLEL = 4
CHANGES = ("DataChanged", "ObjectNotFound")


@dataclass(frozen=True, slots=True)
class Fetched:
    """One object on disk. name: relative to the data's URI, or the URI's last part when that names one object.

    entry: as its store listed it; None for an object of a copy.
    """

    name: str
    size: int
    sha256: str
    path: Path
    entry: Entry | None = None

    def facts(self) -> SnapshotObject:
        """Return what data.json says about it."""
        return SnapshotObject(self.name, self.size, self.sha256)


def download(folder: Folder, into: Path, field: str, window: ObjectWindow | None = None) -> list[Fetched]:
    """Download every object of `folder`, sorted by name; those called `_…` or `.…` are marks of other programs.

    window: those outside of it are left alone.

    An object that is overwritten or goes away meanwhile makes all be listed anew; what is the same then is kept. Raises
    StageError: DataEmpty naming the `field` when there is none, or whatever the store refuses.
    """
    into.mkdir(parents=True, exist_ok=True)
    kept: dict[Entry, Fetched] = {}
    for pause in PAUSES:
        try:
            return _listed(folder, into, field, kept, window)
        except StageError as error:
            if error.reason not in CHANGES:
                raise
            print(f"fetch: {error.line()}; listing anew in {pause} s", flush=True)
            time.sleep(pause)
    return _listed(folder, into, field, kept, window)


def _listed(
    folder: Folder, into: Path, field: str, kept: dict[Entry, Fetched], window: ObjectWindow | None
) -> list[Fetched]:
    entries = data_objects(folder)
    if not entries:
        raise rejected(
            "DataEmpty",
            f"{field} is {folder.uri}, where there is no object with content: put the data there or correct the URI",
        )
    if window is not None:
        entries = window.chosen(entries, folder.uri)
    require_room(folder.uri, into, sum(entry.size for entry in entries if entry not in kept), field)

    def one(entry: Entry) -> Fetched:
        if entry not in kept:
            # A name of its own: the object may have another place in the next listing.
            fetched = _download(folder, entry, into / hashlib.sha256(entry.name.encode()).hexdigest())
            if not entry.etag:
                return fetched
            kept[entry] = fetched
        return kept[entry]

    if len(entries) == 1:
        return [one(entries[0])]
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(one, entries))


def data_objects(folder: Folder) -> list[Entry]:
    """Return the objects that are data, sorted by name: not the empty ones, nor the marks of other programs."""
    return [entry for entry in folder.entries() if not is_mark(entry.name) and entry.size]


def name_of(entry: Entry, folder: Folder) -> str:
    """Return an object's name: relative to the folder, or the last part of an address that names one object."""
    return entry.name or folder.uri.rstrip("/").rsplit("/", 1)[-1]


def require_room(uri: str, into: Path, size: int, field: str) -> None:
    """Raise StageError for more bytes than can be brought or read: it is known before hours of bringing them."""
    memory, free = available_memory(), shutil.disk_usage(into).free
    if size > memory:
        words = f"{field} is {uri} with {size} bytes, and all rows are read into the {memory} bytes of memory"
        raise StageError(
            "OutOfMemory", f"{words}: raise podTemplate.resources.limits.memory, or name a part of the data"
        )
    if size > free:
        words = f"{field} is {uri} with {size} bytes, {free} are free at {into}: make room on the node"
        raise StageError("DiskFailed", words, final=False)


def data_digest(train: Sequence[Fetched], holdout: Sequence[Fetched]) -> str:
    """Return the digest over names, sizes and contents of all objects."""
    return digest(pinned(train, holdout).document())


def pinned(train: Sequence[Fetched], holdout: Sequence[Fetched]) -> Snapshot:
    """Return what pins the objects."""
    return Snapshot(tuple(item.facts() for item in train), tuple(item.facts() for item in holdout))


def _download(folder: Folder, entry: Entry, path: Path) -> Fetched:
    sha256 = folder.save(entry.name, path, entry.size, etag=entry.etag)
    return Fetched(name_of(entry, folder), entry.size, sha256, path, entry)
