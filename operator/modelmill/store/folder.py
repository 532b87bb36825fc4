"""Objects under one address, in a bucket or on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from modelmill.store.uri import FileUri, parse_uri

CHUNK: Final = 1 << 20
MAX_OBJECTS: Final = (
    100_000  # a listing with more is refused: it is a mistake of the prefix, and has to fit into memory
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. name: relative to its folder. size: in bytes. etag: what a bucket calls this content; empty for files.

    written: when, in seconds since 1970; None where a bucket does not say. Entries of one content are equal whenever it came.
    """

    name: str
    size: int
    etag: str = ""
    written: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Connection:
    """How a bucket is reached; a folder needs none of it.

    endpoint, region: None for what the environment says, as the AWS SDKs read it. attempts: requests at most for one call of
    the store, with growing pauses between them.
    """

    endpoint: str | None = None
    region: str | None = None
    attempts: int = 4


class Folder(Protocol):
    """Objects under one address. Every method raises StoreError."""

    uri: str

    def entries(self) -> list[Entry]:
        """Return every object, sorted by name; an address of a single object gives it under the name ``."""

    def chunks(self, name: str, etag: str = "") -> Iterator[bytes]:
        """Yield an object's content, CHUNK bytes at most at a time; with `etag`, only while it is still that content."""

    def size(self, name: str) -> int | None:
        """Return an object's size in bytes, without reading it; None when it is not there, or one may not look."""

    def check_bucket(self) -> None:
        """Raise StoreError when it is certain that nothing can be written: BucketNotFound, StoreAuthFailed. It asks once."""

    def create(self, name: str, source: bytes | Path) -> bool:
        """Write an object whole that must not exist yet and return True, or False when it exists already.

        source: the content, or a file that has it and is read as it is sent. Raises OSError when that file cannot be read.
        """

    def remove(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""


def open_folder(uri: str, connection: Connection) -> Folder:
    """Return the folder at s3://BUCKET/PREFIX or file:///FOLDER. Raises StoreError (AddressInvalid).

    Nothing is asked of the store yet.
    """
    address = parse_uri(uri)
    if isinstance(address, FileUri):
        from modelmill.store.files import FileFolder

        return FileFolder(uri, address.path)
    from modelmill.store.s3 import S3Folder

    return S3Folder(uri, address, connection)
