"""Folders of bytes: a prefix of an S3 bucket, or a folder on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from modelmill_trainer.failure import StageError

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. name: relative to its folder. etag: what the store calls this content; empty for files."""

    name: str
    size: int
    etag: str = ""


class Folder(Protocol):
    """Objects under one URI. Every method raises StageError in a person's words."""

    uri: str

    def entries(self) -> list[Entry]:
        """Return every object, sorted by name."""

    def chunks(self, name: str, etag: str = "") -> Iterator[bytes]:
        """Yield an object's content; with `etag`, only while it is still that content."""

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that must not exist yet and return True, or False when it exists already."""


def open_folder(uri: str, endpoint: str | None, region: str | None, field: str) -> Folder:
    """Return the folder of s3://BUCKET/PREFIX or file:///FOLDER. Raises StageError (SpecInvalid) naming the `field`."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return FileFolder(uri, Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        from modelmill_trainer.s3 import S3Folder

        # A key may hold ? and #, which mean something in other URIs.
        return S3Folder(uri, parts.netloc, uri.removeprefix(f"s3://{parts.netloc}").lstrip("/"), endpoint, region)
    raise StageError("SpecInvalid", f"{field} is {uri!r}: use s3://BUCKET/PREFIX or file:///FOLDER")


def join(uri: str, *parts: str) -> str:
    """Return a URI below `uri`."""
    return "/".join([uri.rstrip("/"), *parts])


class FileFolder:
    """A folder on disk, e.g. a mounted volume; its URI may also name a single file."""

    def __init__(self, uri: str, path: Path) -> None:
        self.uri = uri
        self._path = path

    def entries(self) -> list[Entry]:
        """Return every file below the folder."""
        if self._path.is_file():
            return [Entry("", self._path.stat().st_size)]
        found = sorted(path for path in self._path.rglob("*") if path.is_file())
        return [Entry(path.relative_to(self._path).as_posix(), path.stat().st_size) for path in found]

    def chunks(self, name: str, etag: str = "") -> Iterator[bytes]:
        """Yield the file's content."""
        path = self._path / name if name else self._path
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except FileNotFoundError:
            raise StageError("ObjectNotFound", f"{path} does not exist") from None
        except PermissionError:
            raise StageError("StoreAuthFailed", f"{path} may not be read by user {os.getuid()}") from None

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole or not at all."""
        path = self._path / name
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            os.link(partial, path)
        except FileExistsError:
            return False
        except PermissionError as error:
            raise StageError("StoreAuthFailed", f"{error.filename} may not be written by user {os.getuid()}") from None
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return True
