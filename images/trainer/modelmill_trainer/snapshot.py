"""The data of a run, pinned: every object downloaded once, with its size and sha256, and one digest over all."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from modelmill.contracts.artifact import canonical, digest
from modelmill_trainer.facts import ObjectFacts
from modelmill_trainer.failure import rejected
from modelmill_trainer.stores import Entry, Folder

PARALLEL = 4


@dataclass(frozen=True, slots=True)
class Fetched:
    """One object on disk. name: relative to the data's URI, or the URI's last part when that names one object."""

    name: str
    size: int
    sha256: str
    path: Path

    def facts(self) -> ObjectFacts:
        """Return what data.json says about it."""
        return ObjectFacts(self.name, self.size, self.sha256)


def download(folder: Folder, into: Path, field: str) -> list[Fetched]:
    """Download every object of `folder`, sorted by name; those called `_…` or `.…` are marks of other programs.

    Raises StageError: DataEmpty naming the `field` when there is none, or whatever the store refuses.
    """
    entries = [entry for entry in folder.entries() if not _is_mark(entry.name) and entry.size]
    if not entries:
        raise rejected(
            "DataEmpty",
            f"{field} is {folder.uri}, where there is no object with content: put the data there or correct the URI",
        )
    into.mkdir(parents=True, exist_ok=True)

    def one(place: int, entry: Entry) -> Fetched:
        return _download(folder, entry, into / f"{place:06d}")

    if len(entries) == 1:
        return [one(0, entries[0])]
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(one, range(len(entries)), entries))


def data_digest(train: Sequence[Fetched], holdout: Sequence[Fetched]) -> str:
    """Return the digest over names, sizes and contents of all objects."""
    sides = {"train": train, "holdout": holdout}
    return digest(canonical({side: [asdict(item.facts()) for item in items] for side, items in sides.items()}))


def _is_mark(name: str) -> bool:
    return any(part.startswith(("_", ".")) for part in name.split("/"))


def _download(folder: Folder, entry: Entry, path: Path) -> Fetched:
    sha256 = folder.save(entry.name, path, entry.size, etag=entry.etag)
    return Fetched(entry.name or folder.uri.rstrip("/").rsplit("/", 1)[-1], entry.size, sha256, path)
