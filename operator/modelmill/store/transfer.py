"""Objects brought to disk and back: bounded by what was said of their size, verified by sha256, repeated when cut."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from modelmill.store.errors import (
    OBJECT_CHANGED,
    OBJECT_NOT_FOUND,
    OBJECT_TOO_LARGE,
    UPLOAD_FAILED,
    StoreError,
)
from modelmill.store.folder import Folder
from modelmill.store.uri import join

PAUSES: Final = (0.5, 2.0)  # seconds before the second and the third attempt
# What most stores call an object that was put in one piece and is not encrypted: the MD5 of its content.
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')

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
    *,
    unless: str = "",
) -> T:
    """Call, and call again after a failure that may go away: the store's own, a connection cut, a content damaged on the way.

    say: is told each failure that is followed by another attempt. wait: is given the pauses. unless: a reason for which this
    call would end the same way. Raises what the last call raises.
    """
    for pause in pauses:
        try:
            return call()
        except StoreError as error:
            if error.final or error.reason == unless:
                raise
            say(f"{error.reason}: {error.message}; trying again in {pause} s")
            wait(pause)
    return call()


def read_small(folder: Folder, name: str, limit: int, expected: str | None = None) -> bytes:
    """Return an object of `limit` bytes at most. expected: its digest, `sha256:` + hex; None for any.

    Raises StoreError: ObjectTooLarge for a larger one, which is not read on, ContentDiffers for another digest.
    """
    content = bytearray()
    for chunk in folder.chunks(name):
        content += chunk
        if len(content) > limit:
            raise StoreError(OBJECT_TOO_LARGE, f"{_label(folder, name)} has more than {limit} bytes")
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if expected is not None and found != expected:
        raise ContentDiffers(f"{_label(folder, name)} has digest {found}, expected {expected}")
    return bytes(content)


def save(folder: Folder, name: str, path: Path, size: int, *, sha256: str = "", etag: str = "", said_by: str) -> str:
    """Bring an object to the file `path` and return its sha256 in hex. The file appears when it is whole and right.

    size: in bytes, as `said_by` (e.g. "the manifest says") has it; not a byte more is written. sha256: in hex, empty for any.
    etag: as Folder.chunks takes it. Without a sha256 an ETag that may be an MD5 is compared with the content's; one that only
    looks so, e.g. of an encrypted object, is outvoted by an object that comes twice with the same content. Raises StoreError,
    ContentDiffers when size or content are others, and OSError when the file cannot be written.
    """
    label = _label(folder, name)
    partial = path.with_name(f".{path.name}.part")
    named = None if sha256 else _MD5.fullmatch(etag)

    def bring() -> tuple[str, bool]:
        digest, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False) if named else None
        seen = 0
        with partial.open("wb") as stream:
            for chunk in folder.chunks(name, etag):
                seen += len(chunk)
                if seen > size:
                    raise ContentDiffers(f"{label} has {seen} bytes or more, {said_by} {size}")
                digest.update(chunk)
                if md5 is not None:
                    md5.update(chunk)
                stream.write(chunk)
        if seen != size:
            raise ContentDiffers(f"{label} has {seen} bytes, {said_by} {size}")
        return digest.hexdigest(), named is None or md5 is None or md5.hexdigest() == named[1]

    try:
        found, right = bring()
        if not right:
            before = found
            found, right = bring()
            if not right and found != before:
                raise ContentDiffers(f"{label} came twice and each time damaged: neither has the MD5 {etag}")
        if sha256 and found != sha256:
            raise ContentDiffers(f"{label} has sha256 {found}, {said_by} {sha256}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return found


def _label(folder: Folder, name: str) -> str:
    return join(folder.uri, name) if name else folder.uri


def write_verified(folder: Folder, name: str, path: Path) -> None:
    """Create an object from a file and read it back; one that is there already with the same content is as good.

    Raises StoreError: UploadFailed, which a repeat may mend, when the object is not there afterwards or has other content.
    """
    with path.open("rb") as stream:
        expected = hashlib.file_digest(stream, "sha256").digest()
    size, seen, stored = path.stat().st_size, 0, hashlib.sha256()
    created = folder.create(name, path)
    try:
        for chunk in folder.chunks(name):
            seen += len(chunk)
            stored.update(chunk)
            if seen > size:
                break
    except StoreError as error:
        if error.reason != OBJECT_NOT_FOUND:
            raise
        label = _label(folder, name)
        words = f"the store lost {label} after it was written"
        if not created:
            words = f"the store says that {label} is there already (HTTP 409 or 412), and that it is not (404)"
        raise StoreError(UPLOAD_FAILED, words, final=False) from None
    if stored.digest() != expected:
        raise StoreError(
            UPLOAD_FAILED,
            f"{_label(folder, name)} has other content than was written: the store lost it or somebody else wrote there",
            final=False,
        )
