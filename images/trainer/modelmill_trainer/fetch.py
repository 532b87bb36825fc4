"""The fetch stage: data pinned by digest, checked, divided; and the champion's artifact."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelmill.contracts import artifact
from modelmill.contracts.snapshot import SnapshotObject
from modelmill.contracts.stage import Champion, Holdout, StageSpec
from modelmill_trainer.artifact_folder import fetch_artifact
from modelmill_trainer.copies import bring, keep
from modelmill_trainer.facts import Facts, write_facts
from modelmill_trainer.failure import StageError, Unchanged
from modelmill_trainer.folders import Folders
from modelmill_trainer.look import remember
from modelmill_trainer.object_window import ObjectWindow
from modelmill_trainer.reproduction import origin_manifest
from modelmill_trainer.scripts import fetch_script
from modelmill_trainer.snapshot import Fetched, data_digest, download
from modelmill_trainer.stores import open_folder

if TYPE_CHECKING:
    from modelmill_trainer.data_gates.examine import Examined
    from modelmill_trainer.tables import Table

FORMATS = ("csv", "parquet", "jsonl")


@dataclass(frozen=True, slots=True)
class Source:
    """The objects of a run, in a folder that goes. held: of a hold-out given apart. objects: which these are, for people.

    script: digest of the script that trains on them; empty without one.
    """

    train: list[Fetched]
    held: list[Fetched]
    objects: str
    scratch: Path
    script: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Files of rows to divide. held: those of a hold-out given apart.

    digest, objects, copied: of the data that they are, or that they were made from. window: which part of the source they are.
    prepared: digest of the files that a prepare stage made; script: of the script that trains; empty without one.
    """

    train: list[Fetched]
    held: list[Fetched]
    digest: str
    objects: tuple[SnapshotObject, ...]
    copied: bool
    window: str = ""
    prepared: str = ""
    script: str = ""


def fetch(spec: StageSpec, folders: Folders) -> Facts:
    """Fill the input and hold-out folders and return what is known of the data.

    Raises StageError; Unchanged when the data need no training.
    """
    begin = time.monotonic()
    with source(spec, folders) as found:
        digest = spec.data.snapshot or data_digest(found.train, found.held)
        objects = tuple(item.facts() for item in found.train)
        copied = spec.data.copy or spec.data.snapshot is not None
        given = Rows(found.train, found.held, digest, objects, copied, found.objects, script=found.script)
        facts = divide_rows(spec, folders, given)
        if spec.data.copy:
            keep(found.train, found.held, spec.store, found.scratch)
    for note in facts.notes:
        print(f"fetch: {note}", flush=True)
    print(
        f"fetch: {facts.rows} rows to train on, {facts.holdout_rows} to measure on, {len(facts.features)} features, "
        f"data {facts.digest[:19]}, {time.monotonic() - begin:.2f} s",
        flush=True,
    )
    return facts


@contextmanager
def source(spec: StageSpec, folders: Folders) -> Iterator[Source]:
    """Bring the data and the champion's artifact. Raises StageError; Unchanged when the data need no training."""
    begin = time.monotonic()
    if spec.data.format not in FORMATS:
        raise StageError("SpecInvalid", f"data.train.format {spec.data.format!r} is none of {', '.join(FORMATS)}")
    _check_store(spec)
    if spec.reproduces is not None:
        origin_manifest(spec.reproduces, spec.store)  # after the training, which may take hours, it would be late
    for folder in (folders.input / "train", folders.champion):
        shutil.rmtree(folder, ignore_errors=True)
    if spec.champion is not None:
        _bring_champion(spec, spec.champion, folders)
        print(f"fetch: champion {spec.champion.name} from {spec.champion.uri}", flush=True)
    for folder in (folders.input, folders.holdout):
        folder.mkdir(parents=True, exist_ok=True)
    script = fetch_script(spec, folders)
    # A copy has the objects of the window of its time.
    window = ObjectWindow.of(spec.data.window, time.time()) if spec.data.snapshot is None else None
    with tempfile.TemporaryDirectory(prefix="modelmill-") as name:
        train, held = _brought(spec, Path(name), window)
        size = sum(item.size for item in (*train, *held))
        print(f"fetch: {len(train) + len(held)} objects, {size} bytes in {time.monotonic() - begin:.2f} s", flush=True)
        if spec.listed and spec.data.snapshot is None:
            remember(spec, train)
        if spec.unless_digest is not None and data_digest(train, held) == spec.unless_digest:
            raise Unchanged(spec.unless_digest)
        yield Source(train, held, window.told(len(train)) if window is not None else "", Path(name), script)


def _bring_champion(spec: StageSpec, champion: Champion, folders: Folders) -> None:
    try:
        fetch_artifact(champion, spec.store, folders.champion)
    except StageError as error:
        if spec.reproduces is None or error.reason != "ChampionMissing":
            raise
        words = " ".join(error.messages)
        text = f"{spec.reproduces.name} was trained on from {champion.name}, which is gone: {words}"
        raise StageError("VersionMissing", text) from None


def _check_store(spec: StageSpec) -> None:
    """Look whether there is a bucket to publish to: after the training, which may take hours, it would be late."""
    store = spec.store
    try:
        open_folder(store.uri, store.endpoint, store.region, "store.uri").check_bucket()
    except StageError as error:
        if error.reason == "SpecInvalid":
            raise  # it names the field
        raise StageError(error.reason, f"store.uri: {' '.join(error.messages)}", final=error.final) from None


def _brought(spec: StageSpec, into: Path, window: ObjectWindow | None) -> tuple[list[Fetched], list[Fetched]]:
    """Bring the objects to train on and those of a hold-out that is given apart, which a trial has no business with."""
    store, data = spec.store, spec.data
    if data.snapshot is not None:
        return bring(data.snapshot, store, into / "copy", holdout=spec.trial is None)
    field = "data.train.uri"
    train = download(open_folder(data.uri, store.endpoint, store.region, field), into / "train", field, window)
    if not data.holdout.uri:
        return train, []
    field = "data.holdout.uri"
    return train, download(open_folder(data.holdout.uri, store.endpoint, store.region, field), into / "holdout", field)


def divide_rows(spec: StageSpec, folders: Folders, given: Rows) -> Facts:
    """Fill the input and hold-out folders with the rows to train on and to measure on. Raises StageError."""
    # Late: an unreachable store is told without waiting for pandas.
    from modelmill_trainer.dataset import make_split
    from modelmill_trainer.row_window import windowed
    from modelmill_trainer.tables import read_objects, write_rows
    from modelmill_trainer.target_of_task import require_target_for

    data = spec.data
    table, rows = windowed(read_objects(given.train, data.format), data.window)
    window = rows or given.window
    apart = read_objects(given.held, data.format) if given.held else None
    split = make_split(table, apart, data, spec.seed, spec.trial)
    examined = _examined(spec, folders, table, split.copies)
    if spec.estimator is not None:
        require_target_for(
            spec.estimator.chosen().estimator, data.target, split.kinds[data.target], split.train[data.target]
        )
    train_file, held_file = folders.train(data.format), folders.held_out(data.format)
    write_rows(split.train, train_file, data.format)
    held_file.unlink(missing_ok=True)
    if len(split.holdout):
        write_rows(split.holdout, held_file, data.format)
    facts = Facts(
        uri=data.uri,
        holdout_uri=data.holdout.uri,
        format=data.format,
        digest=given.digest,
        objects=given.objects,
        holdout_objects=tuple(item.facts() for item in given.held),
        target=data.target,
        features=tuple(split.features),
        excluded=data.exclude,
        kinds=split.kinds,
        missing={
            name: int(split.train[name].isna().sum() + split.holdout[name].isna().sum()) for name in split.features
        },
        rows=len(split.train),
        holdout_rows=len(split.holdout),
        dropped_rows=split.dropped,
        holdout=_spoken_holdout(spec, len(split.holdout), len(split.train) + len(split.holdout)),
        notes=(*([f"data.window keeps {window}"] if window else []), *split.notes),
        train_sha256=artifact.digest(train_file.read_bytes()),
        copied=given.copied,
        prepared=given.prepared,
        script=given.script,
        window=window,
        compared=examined.compared if examined is not None else "",
        drift=examined.told() if examined is not None else (),
    )
    write_facts(facts, folders.snapshot)
    params = {
        "v": 1,
        "model": spec.model,
        "version": spec.version,
        "run": spec.run,
        "seed": spec.seed,
        "format": data.format,
        "train": f"train/{train_file.name}",
        "target": data.target,
        "features": [{"name": name, "kind": split.kinds[name]} for name in split.features],
        "target_kind": split.kinds[data.target],
        "rows": len(split.train),
        "parameters": spec.estimator.chosen().parameters if spec.estimator is not None else {},
    }
    folders.params.write_text(json.dumps(params, ensure_ascii=False, indent=1), encoding="utf-8")
    return facts


def _examined(spec: StageSpec, folders: Folders, table: Table, copies: float) -> Examined | None:
    """Return what the data gates say, and leave schema.json. Raises StageError (SchemaViolated) where they stop the run.

    None for a trial, whose data its search has looked at, and for a version that is made again from data that were good then.
    """
    folders.schema.unlink(missing_ok=True)
    if spec.trial is not None or spec.reproduces is not None:
        return None
    from modelmill_trainer.data_gates.examine import examine, reference_of

    examined = examine(table, spec.data, copies, reference_of(spec.champion, folders.champion))
    print(f"fetch: data gates: {examined.compared}", flush=True)
    for one in examined.findings:
        print(f"fetch: {'STOPPED' if one.stops else 'told'} by {one.gate}: {one.text}", flush=True)
    examined.require()
    examined.keep(folders.schema)
    return examined


def _spoken_holdout(spec: StageSpec, held: int, rows: int) -> str:
    holdout, trial = spec.data.holdout, spec.trial
    if trial is not None:
        if trial.folds:
            return f"{trial.folds} folds"
        holdout = Holdout(trial.fraction, trial.strategy, trial.column)
    if holdout.uri:
        return f"given apart at {holdout.uri}"
    if holdout.strategy == "Latest":
        return f"the {holdout.fraction:.0%} of the rows with the greatest {holdout.column}"
    return f"by a hash of each row's content, seed {spec.seed}: {held} of {rows} rows for a fraction of {holdout.fraction:g}"
