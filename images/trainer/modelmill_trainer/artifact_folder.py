"""An artifact as files: fetched and verified, or published create-only and read back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from modelmill.contracts import names
from modelmill.contracts.artifact import MAX_ROWS_BYTES, File, Manifest, digest, parse_manifest
from modelmill.contracts.stage import Champion, Store
from modelmill_trainer.failure import StageError
from modelmill_trainer.stores import Folder, join, open_folder

PARALLEL = 4
NOT_LOADED = (names.REPORT_FILE, names.DATA_FILE)


def fetch_artifact(champion: Champion, store: Store, into: Path) -> None:
    """Bring the champion's artifact into a folder, verified. Raises StageError: ChampionMissing, ChampionCorrupt, …"""
    folder = open_folder(champion.uri, store.endpoint, store.region, "champion.uri")
    into.mkdir(parents=True)
    content = _read(folder, names.MANIFEST_FILE, champion)
    if digest(content) != champion.digest:
        raise _corrupt(champion, f"manifest.json has digest {digest(content)}, the ModelVersion says {champion.digest}")
    manifest = _parsed(content, champion)
    (into / names.MANIFEST_FILE).write_bytes(content)
    for file in manifest.files:
        if Path(file.name).name != file.name or file.name in ("", ".."):
            raise _corrupt(champion, f"the file name {file.name!r} is not a plain name")
        if file.name in NOT_LOADED:
            continue
        if file.name == names.ROWS_FILE:
            _fetch_rows(folder, file, into, champion)
            continue
        content = _read(folder, file.name, champion)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise _corrupt(champion, f"{file.name} does not have the sha256 of its manifest")
        (into / file.name).write_bytes(content)


def _fetch_rows(folder: Folder, file: File, into: Path, champion: Champion) -> None:
    """Bring rows.bin, or leave it out when it is damaged: publish then says that the champion cannot be compared."""
    content = bytearray()
    try:
        for chunk in folder.chunks(file.name):
            content += chunk
            if len(content) > MAX_ROWS_BYTES:
                break
    except StageError as error:
        if error.reason != "ObjectNotFound":
            raise
    if hashlib.sha256(content).hexdigest() == file.sha256:
        (into / file.name).write_bytes(content)
    else:
        print(f"fetch: {file.name} of {champion.name} is not what its manifest says, and is left out", flush=True)


def verified_manifest(champion: Champion, folder: Path) -> Manifest:
    """Return the manifest of a fetched artifact whose files are still what it says. Raises StageError (ChampionCorrupt)."""
    path = folder / names.MANIFEST_FILE
    content = path.read_bytes() if path.is_file() or not path.exists() else b""
    if digest(content) != champion.digest:
        raise _corrupt(champion, "manifest.json was changed after it was fetched")
    manifest = _parsed(content, champion)
    for file in manifest.files:
        path = folder / file.name
        if file.name in (*NOT_LOADED, names.ROWS_FILE) and not path.exists():
            continue
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            raise _corrupt(champion, f"{file.name} was changed after it was fetched")
    return manifest


def files_of(folder: Path) -> tuple[File, ...]:
    """Return the entries of a manifest for every file in a folder."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name != names.MANIFEST_FILE:
            found.append(File(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()))
    return tuple(found)


def publish_artifact(source: Path, model_uri: str, store: Store) -> tuple[str, str]:
    """Upload a folder that has a manifest.json and return (uri, digest). Raises StageError.

    Create-only under a content-addressed name; an object that is there already with the same content is as good. Every file
    is read back and compared. manifest.json goes last: it is the commit mark.
    """
    manifest = digest((source / names.MANIFEST_FILE).read_bytes())
    uri = join(model_uri, manifest.replace(":", "-"))
    target = open_folder(uri, store.endpoint, store.region, "store.uri")
    others = [path for path in sorted(source.iterdir()) if path.name != names.MANIFEST_FILE]
    with ThreadPoolExecutor(PARALLEL) as pool:
        _all(pool.map(lambda path: _write(target, path), others))
    _write(target, source / names.MANIFEST_FILE)
    return uri, manifest


def _all(done: Iterable[None]) -> None:
    for _ in done:
        continue


def _write(target: Folder, path: Path) -> None:
    content = path.read_bytes()
    try:
        target.create(path.name, content)
        stored = hashlib.sha256()
        for chunk in target.chunks(path.name):
            stored.update(chunk)
    except StageError as error:
        if error.reason == "ObjectNotFound":
            raise StageError("UploadFailed", f"the store lost {path.name} after it was written", final=False) from None
        raise
    if stored.digest() != hashlib.sha256(content).digest():
        raise StageError(
            "UploadFailed",
            f"{target.uri}/{path.name} has other content than was written: the store lost it or somebody else wrote there",
            final=False,
        )


def _read(folder: Folder, name: str, champion: Champion) -> bytes:
    try:
        return b"".join(folder.chunks(name))
    except StageError as error:
        if error.reason != "ObjectNotFound":
            raise
        raise StageError(
            "ChampionMissing", f"the artifact of the champion {champion.name} lacks {name}: {' '.join(error.messages)}"
        ) from None


def _parsed(content: bytes, champion: Champion) -> Manifest:
    try:
        return parse_manifest(content)
    except ValueError as error:
        raise _corrupt(champion, str(error)) from None


def _corrupt(champion: Champion, problem: str) -> StageError:
    return StageError("ChampionCorrupt", f"the artifact of the champion {champion.name} at {champion.uri}: {problem}")
