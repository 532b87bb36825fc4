"""What is remembered of the objects that a run read, and what a look at them tells the operator.

Fetch leaves a document for each listing that it has read, in a folder of the run; a run that is tried again may leave several:

    STORE/data/listings/<uid of the run>/sha256-<sha256 of the document>.json
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from modelmill.contracts.artifact import canonical
from modelmill.contracts.artifact import digest as digest_of
from modelmill.contracts.documents import reading

LISTINGS: Final = "data/listings"
MAX_LISTING: Final = 64 << 20
"""Most bytes of a document: 100,000 objects with names of 500 bytes."""
LOOK_VERSION: Final = 1
SHOWN_OF_DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a store lists it. etag: empty where it has none. written: in seconds since 1970, None when it is not told.

    rows: how many it has, None when they were not counted.
    """

    name: str
    size: int
    etag: str = ""
    written: float | None = None
    rows: int | None = None

    def same(self, other: ListedObject) -> bool:
        """Tell whether the other one, of the same name, is the same content as far as a listing tells."""
        if self.etag and other.etag:
            return (self.size, self.etag) == (other.size, other.etag)
        return (self.size, self.written) == (other.size, other.written)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found. digest: of the listing. objects: how many there are. new: that came or changed; removed: are gone.

    rows: that came, or as many as were counted when there were enough; None when they were not asked for.
    after: the time, in seconds since 1970, after which the `recent` ones of the new objects were written, with `recent_rows`;
    None when none were told apart.
    """

    digest: str
    objects: int
    new: int
    removed: int
    rows: int | None = None
    after: float | None = None
    recent: int | None = None
    recent_rows: int | None = None


def listing_folder(run_uid: str) -> str:
    """Return the folder of a run's documents, below the store's URI."""
    return f"{LISTINGS}/{run_uid}"


def listing_document(objects: Sequence[ListedObject]) -> tuple[str, bytes]:
    """Return the name of a document in its folder, and its bytes."""
    content = canonical({"objects": [asdict(one) for one in objects]})
    return f"sha256-{digest_of(content).partition(':')[2]}.json", content


def parse_listing(content: bytes) -> list[ListedObject]:
    """Return the objects of a document. Raises ValueError when it is none: anybody who may write to the store can have."""
    with reading():
        return [_object(item) for item in json.loads(content)["objects"]]


def listing_digest(objects: Sequence[ListedObject]) -> str:
    """Return the digest of a listing: of names, sizes and what the store calls their contents."""
    return digest_of(canonical([[one.name, one.size, one.etag or one.written] for one in objects]))


def encode_seen(seen: Seen) -> str:
    """Return the termination message of a look that went well."""
    return json.dumps({"v": LOOK_VERSION, "seen": asdict(seen)}, separators=(",", ":"))


def decode_seen(text: str) -> Seen | None:
    """Return what a termination message of `encode_seen` tells; None when it is another message."""
    try:
        raw = json.loads(text)
        told = raw["seen"] if raw["v"] == LOOK_VERSION else {}
        digest, rows, after = told["digest"], told.get("rows"), told.get("after")
        recent, recent_rows = told.get("recent"), told.get("recent_rows")
        objects, new, removed = (told[name] for name in ("objects", "new", "removed"))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None
    counts = (objects, new, removed, *(one for one in (rows, recent, recent_rows) if one is not None))
    if not isinstance(digest, str) or not all(map(_is_count, counts)):
        return None
    if isinstance(after, bool) or not isinstance(after, int | float | None):
        return None
    return Seen(digest, objects, new, removed, rows, after, recent, recent_rows)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _object(raw: Any) -> ListedObject:
    name, size, etag, written, rows = (raw[key] for key in ("name", "size", "etag", "written", "rows"))
    if not isinstance(name, str) or not isinstance(etag, str) or not isinstance(size, int):
        raise ValueError(f"the object {str(name)[:100]!r} has no size or etag")  # noqa: TRY004 - a wrong document
    if not isinstance(written, int | float | None) or not (rows is None or _is_count(rows)):
        raise ValueError(f"the object {name[:100]!r} has a wrong time or count")
    return ListedObject(name, size, etag, written, rows)
