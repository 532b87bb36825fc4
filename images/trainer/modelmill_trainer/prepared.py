"""A run with a prepare stage: fetch leaves the objects as they are, and `divide` makes training rows of what prepare left.

Between the two a program of the user has run, which has neither keys nor the hold-out: what fetch knows of the objects is
beside the hold-out, where that program cannot change it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NoReturn

from modelmill.contracts import artifact, names
from modelmill.contracts.data import is_mark
from modelmill.contracts.result import DataFacts
from modelmill.contracts.snapshot import SnapshotObject
from modelmill.contracts.stage import StageSpec
from modelmill.store.folder import MAX_OBJECTS
from modelmill_trainer.copies import keep
from modelmill_trainer.facts import Facts
from modelmill_trainer.failure import StageError, rejected
from modelmill_trainer.fetch import Rows, divide_rows, source
from modelmill_trainer.folders import Folders
from modelmill_trainer.snapshot import Fetched, data_digest, pinned, require_room

RAW_FILE: Final = "raw.json"
OUTPUT: Final = names.ENV_OUTPUT


@dataclass(frozen=True, slots=True)
class Raw:
    """The objects that prepare was given. digest: of them all. objects: in the order of their names.

    window: which of the source's objects they are, for people. copied: the store has a copy of them.
    script: as in `Rows`.
    """

    digest: str
    objects: tuple[SnapshotObject, ...]
    window: str = ""
    copied: bool = False
    script: str = ""


def fetch_raw(spec: StageSpec, folders: Folders) -> DataFacts:
    """Leave the objects of the data under their own names for prepare. Raises StageError; Unchanged as `fetch` does."""
    raw = _folder(folders.raw, names.ENV_RAW)
    if spec.data.holdout.uri:
        raise StageError("SpecInvalid", "data.holdout.uri is not prepared: use data.holdout.fraction")
    with source(spec, folders) as found:
        shutil.rmtree(raw, ignore_errors=True)
        for item in found.train:
            _put(item, raw)
        facts = Raw(
            spec.data.snapshot or data_digest(found.train, found.held),
            tuple(item.facts() for item in found.train),
            found.objects,
            spec.data.copy or spec.data.snapshot is not None,
            found.script,
        )
        if spec.data.copy:
            keep(found.train, found.held, spec.store, found.scratch)
    (folders.holdout / RAW_FILE).write_text(json.dumps(asdict(facts)), encoding="utf-8")
    print(f"fetch: {len(facts.objects)} objects for prepare, data {facts.digest[:19]}", flush=True)
    return DataFacts(facts.digest, 0, 0, facts.copied)


def divide(spec: StageSpec, folders: Folders) -> Facts:
    """Divide the rows that prepare left, as fetch divides those of a source. Raises StageError."""
    raw = _read(folders.holdout / RAW_FILE)
    rows = _left(_folder(folders.prepared, names.ENV_PREPARED), spec.data.format)
    prepared = artifact.digest(pinned(rows, ()).document())
    facts = divide_rows(
        spec, folders, Rows(rows, [], raw.digest, raw.objects, raw.copied, raw.window, prepared, raw.script)
    )
    for note in facts.notes:
        print(f"divide: {note}", flush=True)
    print(
        f"divide: {facts.rows} rows to train on, {facts.holdout_rows} to measure on, prepared {prepared[:19]}",
        flush=True,
    )
    return facts


def _folder(path: Path | None, variable: str) -> Path:
    if path is None:
        raise StageError("SpecInvalid", f"{variable} is not set: set it, or give --work FOLDER")
    return path


def _put(item: Fetched, folder: Path) -> None:
    """Give an object its own name. An object and a folder of one name cannot both be files."""
    path = folder / item.name
    if ".." in item.name.split("/") or not path.is_relative_to(folder):
        raise rejected("DataUnreadable", f"the object {item.name!r} has no name that a file can have: rename it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not moved: a copy of the data is made of these files as well.
        os.link(item.path, path)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        words = f"the object {item.name!r} cannot be a file beside the others: one has the name of a folder"
        raise rejected("DataUnreadable", f"{words}; rename it") from None
    except OSError:
        shutil.copyfile(item.path, path)  # another file system


def _read(path: Path) -> Raw:
    try:
        raw = json.loads(path.read_bytes())
        objects = tuple(SnapshotObject(**one) for one in raw["objects"])
        return Raw(raw["digest"], objects, raw["window"], raw["copied"], raw["script"])
    except FileNotFoundError:
        raise StageError("InputMissing", f"{path.parent} has no {path.name}: run the fetch stage first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StageError("InputMissing", f"{path.name} is not what the fetch stage wrote: {error}") from None


def _left(folder: Path, form: str) -> list[Fetched]:
    """Return the files that prepare left, sorted by name; links and pipes are refused, and followed by nobody."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        found += [Path(place, name) for name in files]
        found += [path for name in folders if (path := Path(place, name)).is_symlink()]
        if len(found) > MAX_OBJECTS:
            raise rejected("DataUnreadable", f"container prepare left more than {MAX_OBJECTS} files: write fewer")
    kept = sorted((path.relative_to(folder).as_posix(), path) for path in found)
    rows = [(name, path, path.lstat()) for name, path in kept if not is_mark(name)]
    for name, _, state in rows:
        if not name.isprintable():
            raise rejected("DataUnreadable", f"container prepare left a file called {name!a}: give it a plain name")
        if not stat.S_ISREG(state.st_mode):
            raise rejected("DataUnreadable", f"container prepare left {name}, which is no plain file: leave a file")
    rows = [(name, path, state) for name, path, state in rows if state.st_size]
    if not rows:
        raise rejected("PreparedEmpty", f"container prepare left no rows: write {form} files into {OUTPUT}")
    require_room(OUTPUT, folder, sum(state.st_size for _, _, state in rows), "what container prepare left")
    return [_fetched(name, path, state.st_size) for name, path, state in rows]


def _unreadable(error: OSError) -> NoReturn:
    """Raise the StageError for what prepare left and this stage, of another user, may not read."""
    where = Path(error.filename or "").name
    raise rejected(
        "DataUnreadable", f"what container prepare left cannot be read: {where!a}, {error.strerror}: let others read it"
    ) from None


def _fetched(name: str, path: Path, size: int) -> Fetched:
    try:
        stream = path.open("rb")
    except PermissionError as error:
        _unreadable(error)
    with stream:
        return Fetched(name, size, hashlib.file_digest(stream, "sha256").hexdigest(), path)
