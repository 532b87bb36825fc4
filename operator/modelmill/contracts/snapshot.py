"""A copy of training data in the store: each object's bytes once, and a document that pins them.

    STORE/data/objects/sha256-<sha256 of the bytes>
    STORE/data/snapshots/sha256-<sha256 of the document>.json

The document's digest is the digest of the run's data (`DataFacts.digest`), so that whoever has that digest can tell whether a
copy is the right one. It is written last and is the commit mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from modelmill.contracts.artifact import canonical
from modelmill.contracts.documents import reading

OBJECTS: Final = "data/objects"
SNAPSHOTS: Final = "data/snapshots"
MAX_DOCUMENT: Final = 64 << 20
"""Most bytes of a document: a data set of 100,000 objects with names of 500 bytes."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SIDES: Final = ("train", "holdout")


@dataclass(frozen=True, slots=True)
class SnapshotObject:
    """One object. name: relative to the data's URI, as it was when it was read. sha256: of its bytes, in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The objects of data.train.uri and of data.holdout.uri (empty unless the hold-out is given apart), sorted by name."""

    train: tuple[SnapshotObject, ...]
    holdout: tuple[SnapshotObject, ...] = ()

    def document(self) -> bytes:
        """Return the bytes that the digest of the data is of."""
        return canonical({"train": _plain(self.train), "holdout": _plain(self.holdout)})


def object_key(sha256: str) -> str:
    """Return where an object's bytes are, below the store's URI. sha256: in hex."""
    return f"{OBJECTS}/sha256-{sha256}"


def document_key(digest: str) -> str:
    """Return where the document of a digest is, below the store's URI. Raises ValueError unless it is `sha256:` + hex."""
    kind, _, value = digest.partition(":")
    if kind != "sha256" or _SHA256.fullmatch(value) is None:
        raise ValueError(f"{digest!r} is no digest of data: it is sha256: and 64 hexadecimal digits")
    return f"{SNAPSHOTS}/sha256-{value}.json"


def parse_document(content: bytes) -> Snapshot:
    """Return the snapshot in a document. Raises ValueError when it is none."""
    with reading():
        raw = json.loads(content)
        train, holdout = (tuple(_object(item) for item in raw[side]) for side in _SIDES)
    if not train:
        raise ValueError("it has no object to train on")
    return Snapshot(train, holdout)


def _plain(objects: Sequence[SnapshotObject]) -> list[dict[str, object]]:
    return [asdict(item) for item in objects]


def _object(raw: dict[str, object]) -> SnapshotObject:
    name, size, sha256 = raw["name"], raw["size"], raw["sha256"]
    if not isinstance(name, str) or not isinstance(sha256, str) or _SHA256.fullmatch(sha256) is None:
        raise ValueError(f"the object {str(name)[:100]!r} has no sha256")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"the object {name[:100]!r} has no size")
    return SnapshotObject(name, size, sha256)
