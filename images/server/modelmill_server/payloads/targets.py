"""Where the payload log is written: a folder or a prefix of an S3 bucket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from modelmill.contracts.names import ENV_PAYLOAD_LOG
from modelmill.store.errors import StoreError
from modelmill.store.files import write_whole
from modelmill.store.folder import Connection
from modelmill.store.s3 import S3Folder
from modelmill.store.uri import FileUri, check_name, parse_uri
from modelmill_server.failure import StartError


class Target(Protocol):
    """Where files are put."""

    def put(self, key: str, content: bytes) -> None:
        """Store one file whole or not at all. Raises OSError or StoreError."""


class FolderTarget:
    """A folder, e.g. a mounted volume. Files appear under their name once they are complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def put(self, key: str, content: bytes) -> None:
        """Write the file under a hidden name, sync it, and rename it."""
        path = self._folder / check_name(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content, os.replace)


class S3Target:
    """A prefix of an S3 bucket; endpoint, region and credentials as the AWS SDKs find them."""

    def __init__(self, folder: S3Folder) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return self._folder.uri

    def put(self, key: str, content: bytes) -> None:
        """Write the object."""
        self._folder.put(key, content, "application/gzip")


def open_target(uri: str) -> Target:
    """Return the target of /FOLDER, file:///FOLDER or s3://BUCKET[/PREFIX]. Raises StartError (ConfigInvalid)."""
    if uri.startswith("/"):
        return FolderTarget(Path(uri))
    try:
        address = parse_uri(uri)
        if isinstance(address, FileUri):
            return FolderTarget(address.path)
        # One attempt: the writer repeats by itself, and can be interrupted between two.
        return S3Target(S3Folder(uri, address, Connection(attempts=1)))
    except StoreError as error:
        raise StartError("ConfigInvalid", f"{ENV_PAYLOAD_LOG} (or /FOLDER): {error.message}") from None
