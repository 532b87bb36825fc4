"""Folders of bytes as the stages use them: what a store refuses is a StageError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelmill.store import errors, folder, transfer
from modelmill.store.folder import Entry
from modelmill.store.uri import join
from modelmill_trainer.failure import StageError

__all__ = ["Entry", "Folder", "join", "open_folder"]

# Reasons of docs/reference/reasons-training.md where the stages have a word of their own.
REASONS = {errors.OBJECT_CHANGED: "DataChanged", errors.ADDRESS_INVALID: "SpecInvalid"}


class Folder:
    """Objects under one URI. Every method raises StageError in a person's words."""

    def __init__(self, opened: folder.Folder) -> None:
        self.uri = opened.uri
        self._opened = opened

    def entries(self) -> list[Entry]:
        """Return every object, sorted by name."""
        with _told():
            return transfer.repeat(self._opened.entries, _say)

    def check_bucket(self) -> None:
        """Raise when it is certain that nothing can be written: BucketNotFound, StoreAuthFailed."""
        with _told():
            self._opened.check_bucket()

    def size(self, name: str) -> int | None:
        """Return an object's size in bytes without reading it; None when it is not there, or one may not look."""
        with _told():
            return transfer.repeat(lambda: self._opened.size(name), _say)

    def chunks(self, name: str, etag: str = "") -> Iterator[bytes]:
        """Yield an object's content; with `etag`, only while it is still that content."""
        with _told():
            yield from self._opened.chunks(name, etag)

    def read(self, name: str, limit: int, expected: str) -> bytes:
        """Return an object of at most `limit` bytes; a larger one is ObjectTooLarge, another content DataChanged."""
        with _told():
            return transfer.repeat(lambda: transfer.read_small(self._opened, name, limit, expected), _say)

    def save(
        self, name: str, path: Path, size: int, *, sha256: str = "", etag: str = "", said_by: str = "it was listed with"
    ) -> str:
        """Bring an object to a file and return its sha256 in hex; DataChanged when size or sha256 are not as said."""
        # An object that changed since it was listed has to be listed anew.
        unless = "" if sha256 else errors.OBJECT_CHANGED
        with _told():
            return transfer.repeat(
                lambda: transfer.save(self._opened, name, path, size, sha256=sha256, etag=etag, said_by=said_by),
                _say,
                unless=unless,
            )

    def remove(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        with _told():
            transfer.repeat(lambda: self._opened.remove(name), _say)

    def write(self, name: str, path: Path) -> None:
        """Create an object from a file, unless it is there, and read it back; UploadFailed when it is another then."""
        with _told():
            transfer.repeat(lambda: transfer.write_verified(self._opened, name, path), _say)


def open_folder(uri: str, endpoint: str | None, region: str | None, field: str) -> Folder:
    """Return the folder of s3://BUCKET/PREFIX or file:///FOLDER. Raises StageError (SpecInvalid) naming the `field`."""
    try:
        return Folder(folder.open_folder(uri, folder.Connection(endpoint, region)))
    except errors.StoreError as error:
        raise StageError("SpecInvalid", f"{field}: {error.message}") from None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except errors.StoreError as error:
        reason = REASONS.get(error.reason, error.reason)
        raise StageError(reason, error.message, final=error.final) from None


def _say(line: str) -> None:
    print(line, flush=True)
