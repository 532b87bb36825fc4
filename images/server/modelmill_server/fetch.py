"""`modelmill-server fetch`: bring one artifact from its store into a folder, verified against its digest."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modelmill.contracts import names
from modelmill.contracts.artifact import File, Manifest, parse_manifest
from modelmill.store import errors
from modelmill.store.folder import Connection, Folder, open_folder
from modelmill.store.transfer import read_small, repeat, save
from modelmill.store.uri import S3Uri, parse_uri
from modelmill_server.failure import StartError
from modelmill_server.folder import mismatch, plain_name
from modelmill_server.settings import number
from modelmill_server.supervisor import Phase, enter

MAX_MANIFEST = 4 << 20
SLOWEST = 256 << 10  # bytes per second that a store must bring at least, beside MODELMILL_FETCH_SECONDS
FULL = 64 << 20  # bytes that a volume keeps free
ATTEMPTS = 3  # of one request; each file is tried three times besides
# Reasons of docs/reference/server.md where the server has a word of its own.
REASONS = {
    errors.OBJECT_NOT_FOUND: "ArtifactMissing",
    errors.OBJECT_CHANGED: "DigestMismatch",
    errors.OBJECT_TOO_LARGE: "ArtifactCorrupt",
    errors.ADDRESS_INVALID: "ConfigInvalid",
    errors.DISK_FAILED: "StoreUnreachable",
}


def fetch(environ: Mapping[str, str]) -> Manifest:
    """Bring the artifact that the environment names into its folder and return the manifest.

    Files that are there already and right are kept, so that a restarted init container does little. Raises StartError.
    """
    uri, expected, folder = (
        _required(environ, name) for name in (names.ENV_ARTIFACT_URI, names.ENV_ARTIFACT_DIGEST, names.ENV_MODEL_FOLDER)
    )
    source, target = open_source(uri), Path(folder)
    seconds = number(environ, names.ENV_FETCH_SECONDS, 300, 1)
    _enter(f"{uri}/{names.MANIFEST_FILE}", seconds)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with _told():
            content = repeat(lambda: read_small(source, names.MANIFEST_FILE, MAX_MANIFEST, expected), _say)
        try:
            manifest = parse_manifest(content)
        except ValueError as error:
            raise StartError("ArtifactCorrupt", f"{uri}: {error}") from None
        size = sum(file.size for file in manifest.files if file.name not in names.NOT_SERVED)
        _require_room(target, size)
        _enter(f"{uri}, {size} bytes,", seconds + size / SLOWEST)
        for file in manifest.files:
            path = target / plain_name(file.name)
            if file.name in names.NOT_SERVED:
                continue
            if path.exists() and not mismatch(path, file.size, file.sha256):
                continue
            _download(source, file, path)
        (target / names.MANIFEST_FILE).write_bytes(content)
    except OSError as error:
        raise StartError("FolderNotWritable", f"{error.filename or folder}: {error.strerror}", final=False) from None
    return manifest


def _enter(what: str, seconds: float) -> None:
    words = f"{what} did not come within {seconds:.0f} s: check store.endpoint and the network to the store"
    enter(Phase("fetching the artifact", seconds, errors.UNREACHABLE, words))


def _require_room(folder: Path, size: int) -> None:
    """Raise StartError (FolderNotWritable) for more bytes than the volume can take: it may be the node's own disk."""
    free = shutil.disk_usage(folder).free
    there = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    if size > free + there - FULL:
        words = f"{folder}: the artifact has {size} bytes, {max(free + there - FULL, 0)} are free"
        raise StartError("FolderNotWritable", words, final=False)


def _download(source: Folder, file: File, path: Path) -> None:
    with _told():
        repeat(lambda: save(source, file.name, path, file.size, sha256=file.sha256, said_by="the manifest says"), _say)


def open_source(uri: str) -> Folder:
    """Return the folder at s3://BUCKET/KEY or file:///FOLDER. Raises StartError (ConfigInvalid) for anything else."""
    try:
        address = parse_uri(uri)
        if isinstance(address, S3Uri) and not address.prefix:
            raise StartError(
                "ConfigInvalid", f"{names.ENV_ARTIFACT_URI} is {uri!r}: use s3://BUCKET/KEY or file:///FOLDER"
            )
        return open_folder(uri, Connection(attempts=ATTEMPTS))
    except errors.StoreError as error:
        raise StartError("ConfigInvalid", f"{names.ENV_ARTIFACT_URI}: {error.message}") from None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except errors.StoreError as error:
        # What the manifest says does not change, so that another content ends the same way again.
        final = error.final or error.reason == errors.OBJECT_CHANGED
        raise StartError(REASONS.get(error.reason, error.reason), error.message, final=final) from None


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise StartError("ConfigInvalid", f"the environment variable {name} is not set")
    return value


def main() -> int:
    """Run the fetch and return the exit code: 0, or 3 when a repeat will not help, or 1 when it may."""
    begin = time.monotonic()
    manifest = fetch(os.environ)
    size = sum(file.size for file in manifest.files)
    print(
        f"fetched {manifest.model} {manifest.version}: {len(manifest.files)} files, {size} bytes, "
        f"{time.monotonic() - begin:.2f} s",
        file=sys.stderr,
    )
    return 0
