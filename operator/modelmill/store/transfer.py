"""Objects brought to disk and back: bounded by what was said of their size, verified by sha256, repeated when cut."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from modelmill.store.errors import (
    OBJECT_CHANGED,
    OBJECT_NOT_FOUND,
    OBJECT_TOO_LARGE,
    UNREACHABLE,
    UPLOAD_FAILED,
    StoreError,
)
from modelmill.store.folder import Folder

PAUSES: Final = (0.5, 2.0)  # seconds before the second and the third attempt

T = TypeVar("T")


class ContentDiffers(StoreError):
    """An object has another size or sha256 than was said."""

    def __init__(self, message: str) -> None:
        super().__init__(OBJECT_CHANGED, message, final=False)


def repeat(
    call: Callable[[], T],
    say: Callable[[str], None],
    pauses: tuple[float, ...] = PAUSES,
    wait: Callable[[float], None] = time.sleep,
) -> T:
    """Call, and call again after a failure of the store that may go away, e.g. a connection cut within an object.

    say: is told each failure that is followed by another attempt. wait: is given the pauses. Raises what the last call raises.
    """
    for pause in pauses:
        try:
            return call()
        except StoreError as error:
            if error.final or error.reason != UNREACHABLE:
                raise
            say(f"{error.reason}: {error.message}; trying again in {pause} s")
            wait(pause)
    return call()


def read_small(folder: Folder, name: str, limit: int) -> bytes:
    """Return an object of `limit` bytes at most. Raises StoreError: ObjectTooLarge for a larger one, which is not read on."""
    content = bytearray()
    for chunk in folder.chunks(name):
        content += chunk
        if len(content) > limit:
            raise StoreError(OBJECT_TOO_LARGE, f"{name} has more than {limit} bytes")
    return bytes(content)


def save(folder: Folder, name: str, path: Path, size: int, *, sha256: str = "", etag: str = "", said_by: str) -> str:
    """Bring an object to the file `path` and return its sha256 in hex. The file appears when it is whole and right.

    size: in bytes, as `said_by` (e.g. "the manifest says") has it; not a byte more is written. sha256: in hex, empty for any.
    etag: as Folder.chunks takes it. Raises StoreError, ContentDiffers when size or sha256 are others, and OSError when the
    file cannot be written.
    """
    label = name or folder.uri.rstrip("/").rsplit("/", 1)[-1]
    partial = path.with_name(f".{path.name}.part")
    digest, seen = hashlib.sha256(), 0
    try:
        with partial.open("wb") as stream:
            for chunk in folder.chunks(name, etag):
                seen += len(chunk)
                if seen > size:
                    raise ContentDiffers(f"{label} has {seen} bytes or more, {said_by} {size}")
                digest.update(chunk)
                stream.write(chunk)
        if seen != size:
            raise ContentDiffers(f"{label} has {seen} bytes, {said_by} {size}")
        if sha256 and digest.hexdigest() != sha256:
            raise ContentDiffers(f"{label} has sha256 {digest.hexdigest()}, {said_by} {sha256}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return digest.hexdigest()


def write_verified(folder: Folder, name: str, path: Path) -> None:
    """Create an object from a file and read it back; one that is there already with the same content is as good.

    Raises StoreError: UploadFailed, which a repeat may mend, when the object is not there afterwards or has other content.
    """
    with path.open("rb") as stream:
        expected = hashlib.file_digest(stream, "sha256").digest()
    size, seen, stored = path.stat().st_size, 0, hashlib.sha256()
    folder.create(name, path)
    try:
        for chunk in folder.chunks(name):
            seen += len(chunk)
            stored.update(chunk)
            if seen > size:
                break
    except StoreError as error:
        if error.reason != OBJECT_NOT_FOUND:
            raise
        raise StoreError(UPLOAD_FAILED, f"the store lost {name} after it was written", final=False) from None
    if stored.digest() != expected:
        raise StoreError(
            UPLOAD_FAILED,
            f"{folder.uri}/{name} has other content than was written: the store lost it or somebody else wrote there",
            final=False,
        )
