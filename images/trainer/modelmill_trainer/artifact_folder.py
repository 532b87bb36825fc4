"""An artifact as files: fetched and verified, or published create-only and read back."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from modelmill.contracts import names
from modelmill.contracts.artifact import MAX_ROWS_BYTES, File, Manifest, canonical, digest, parse_manifest
from modelmill.contracts.stage import Champion, Store
from modelmill_trainer.confinement import MAX_FILE
from modelmill_trainer.failure import StageError
from modelmill_trainer.plain_files import NotPlain, is_left, open_plain, read_plain
from modelmill_trainer.stores import Folder, join, open_folder

PARALLEL = 4
NOT_LOADED = (names.REPORT_FILE, names.DATA_FILE)
MAX_MANIFEST = 4 << 20


def fetch_artifact(champion: Champion, store: Store, into: Path) -> None:
    """Bring the champion's artifact into a folder, verified. Raises StageError: ChampionMissing, ChampionCorrupt, …"""
    folder = open_folder(champion.uri, store.endpoint, store.region, "champion.uri")
    into.mkdir(parents=True)
    with _asked(names.MANIFEST_FILE, champion):
        content = folder.read(names.MANIFEST_FILE, MAX_MANIFEST, champion.digest)
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
        with _asked(file.name, champion):
            folder.save(file.name, into / file.name, file.size, sha256=file.sha256, said_by="its manifest says")


def _fetch_rows(folder: Folder, file: File, into: Path, champion: Champion) -> None:
    """Bring rows.bin, or leave it out when it is damaged: the evaluation then says that the champion cannot be compared."""
    try:
        (into / file.name).write_bytes(folder.read(file.name, MAX_ROWS_BYTES, f"sha256:{file.sha256}"))
    except StageError as error:
        if error.reason not in ("ObjectNotFound", "ObjectTooLarge", "DataChanged"):
            raise
        print(f"fetch: {file.name} of {champion.name} is not what its manifest says, and is left out", flush=True)


def verified_manifest(champion: Champion, folder: Path) -> Manifest:
    """Return the manifest of a fetched artifact whose files are still what it says. Raises StageError (ChampionCorrupt)."""
    path = folder / names.MANIFEST_FILE
    try:
        content = read_plain(path, MAX_MANIFEST)
    except NotPlain:
        content = b""
    if digest(content) != champion.digest:
        raise _corrupt(champion, "manifest.json was changed after it was fetched")
    manifest = _parsed(content, champion)
    for file in manifest.files:
        path = folder / file.name
        if file.name in (*NOT_LOADED, names.ROWS_FILE) and not is_left(path):
            continue
        try:
            with open_plain(path, file.size) as stream:
                same = hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
        except (NotPlain, FileNotFoundError):
            same = False
        if not same:
            raise _corrupt(champion, f"{file.name} was changed after it was fetched")
    return manifest


def files_of(folder: Path) -> tuple[File, ...]:
    """Return the entries of a manifest for every file in a folder."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name != names.MANIFEST_FILE:
            found.append(File(path.name, path.stat().st_size, file_sha256(path)))
    return tuple(found)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_artifact(folder: Path, allowed: Collection[str]) -> tuple[Manifest, bytes]:
    """Return the manifest of a folder that another process wrote, and its bytes. Raises ValueError, OSError.

    Nothing of it is believed: a plain file for each name that is allowed, the sizes and digests of the manifest, and the one
    form that a manifest has.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise NotPlain(f"{folder.name} is no folder")
    found = sorted(path.name for path in folder.iterdir())
    strange = [name for name in found if name not in allowed]
    if strange:
        raise ValueError(f"an artifact has no file {strange[0]!r}")
    for name in found:
        with open_plain(folder / name, MAX_FILE):
            pass
    content = read_plain(folder / names.MANIFEST_FILE, MAX_MANIFEST)
    manifest = parse_manifest(content)
    if content != canonical(manifest):
        raise ValueError(f"{names.MANIFEST_FILE} has fields that a manifest has not")
    if manifest.files != files_of(folder):
        raise ValueError("its files are not those of its manifest")
    return manifest, content


def publish_artifact(source: Path, model_uri: str, store: Store) -> tuple[str, str]:
    """Upload a folder that has a manifest.json and return (uri, digest). Raises StageError.

    Create-only under a content-addressed name; an object that is there already with the same content is as good. Every file
    is read back and compared. manifest.json goes last: it is the commit mark.
    """
    manifest = digest((source / names.MANIFEST_FILE).read_bytes())
    uri = join(model_uri, manifest.replace(":", "-"))
    target = open_folder(uri, store.endpoint, store.region, "store.uri")
    # The smallest first: with it the store is asked what it knows, which writes it twice.
    files = (path for path in source.iterdir() if path.name != names.MANIFEST_FILE)
    others = sorted(files, key=lambda path: (path.stat().st_size, path.name))
    with ThreadPoolExecutor(PARALLEL) as pool:
        _all(pool.map(lambda path: target.write(path.name, path), others))
    target.write(names.MANIFEST_FILE, source / names.MANIFEST_FILE)
    return uri, manifest


def _all(done: Iterable[None]) -> None:
    for _ in done:
        continue


@contextmanager
def _asked(name: str, champion: Champion) -> Iterator[None]:
    """Say of a failure that it is the champion's artifact that lacks an object or has another than its manifest says."""
    try:
        yield
    except StageError as error:
        words = " ".join(error.messages)
        if error.reason == "ObjectNotFound":
            text = f"the artifact of the champion {champion.name} lacks {name}: {words}"
            raise StageError("ChampionMissing", text) from None
        if error.reason in ("DataChanged", "ObjectTooLarge"):
            raise _corrupt(champion, words) from None
        raise


def _parsed(content: bytes, champion: Champion) -> Manifest:
    try:
        return parse_manifest(content)
    except ValueError as error:
        raise _corrupt(champion, str(error)) from None


def _corrupt(champion: Champion, problem: str) -> StageError:
    return StageError("ChampionCorrupt", f"the artifact of the champion {champion.name} at {champion.uri}: {problem}")
