"""Champion and challenger on hold-out rows that neither has been trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from modelmill.contracts import names
from modelmill.contracts.artifact import Manifest
from modelmill.contracts.result import ChampionFacts
from modelmill.contracts.stage import Champion
from modelmill_trainer.artifact_folder import verified_manifest
from modelmill_trainer.failure import StageError
from modelmill_trainer.kinds import TEXT, model_frame
from modelmill_trainer.metrics import evaluate
from modelmill_trainer.models import Model, Outputs, load_artifact
from modelmill_trainer.rows import RowsError, TrainedRows, parse_rows

# Of fewer rows one decides by more than a tenth: docs/decisions/0010-fresh-rows.md.
MIN_ROWS = 10
MAX_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Challenger:
    """The new model on the hold-out. holdout: every column; seen: whether it was trained on an equal row."""

    model: Model
    holdout: pd.DataFrame
    kinds: dict[str, str]
    target: np.ndarray
    outputs: Outputs
    seen: np.ndarray


def compare(
    champion: Champion | None, folder: Path, challenger: Challenger, skipped: str = ""
) -> tuple[ChampionFacts | None, list[str]]:
    """Return the champion's metrics beside the challenger's on the same rows, or why it has none, and notes for people.

    skipped: why it is not to be scored; empty when it is.

    Raises StageError: ChampionMissing, ChampionCorrupt.
    """
    if champion is None:
        return None, []
    if skipped:
        return _not_compared(champion, skipped)
    manifest = fetched_manifest(champion, folder)
    problem = _unfit(manifest, challenger)
    if problem:
        return _not_compared(champion, problem)
    try:
        fresh, notes = _fresh(champion, manifest, folder, challenger)
    except RowsError as error:
        return _not_compared(champion, f"its {names.ROWS_FILE} says nothing about its rows: {error}")
    rows, count = len(fresh), int(fresh.sum())
    if count < MIN_ROWS:
        return _not_compared(
            champion,
            f"only {count} of the {rows} rows to measure on are new to both, and at least {MIN_ROWS} are needed; add data",
        )
    try:
        theirs, ours = _scores(manifest, folder, challenger, fresh)
    except StageError as error:
        return _not_compared(champion, " ".join(error.messages))
    except Exception as error:  # another model on other data may fail in any way
        return _not_compared(champion, f"{type(error).__name__}: {' '.join(str(error).split())}")
    if count == rows:
        return ChampionFacts(champion.name, theirs, rows=count), notes
    notes.append(
        f"the champion {champion.name} is compared on the {count} of {rows} rows to measure on that are new to both"
    )
    return ChampionFacts(champion.name, theirs, rows=count, challenger=ours), notes


def fetched_manifest(champion: Champion, folder: Path) -> Manifest:
    """Return the manifest of the champion's artifact, verified. Raises StageError: ChampionMissing, ChampionCorrupt."""
    try:
        return verified_manifest(champion, folder)
    except FileNotFoundError:
        raise StageError("ChampionMissing", f"{folder} has no artifact of the champion {champion.name}") from None


def _not_compared(champion: Champion, why: str) -> tuple[ChampionFacts, list[str]]:
    message = why[:MAX_MESSAGE]
    return ChampionFacts(champion.name, message=message), [f"the champion {champion.name} is not compared: {message}"]


def _unfit(manifest: Manifest, challenger: Challenger) -> str:
    inputs, kinds = manifest.signature.inputs, challenger.kinds
    if manifest.signature.task != challenger.model.task:
        return f"it is a model for {manifest.signature.task}, this one for {challenger.model.task}"
    lacking = [tensor.name for tensor in inputs if tensor.name not in challenger.holdout.columns]
    if lacking:
        return f"it needs {', '.join(lacking)}, which the data of this run lacks"
    changed = [tensor.name for tensor in inputs if (tensor.datatype == "BYTES") != (kinds[tensor.name] == TEXT)]
    if changed:
        return f"{', '.join(changed)} had another type in its data"
    return ""


def _fresh(
    champion: Champion, manifest: Manifest, folder: Path, challenger: Challenger
) -> tuple[np.ndarray, list[str]]:
    """Return which rows of the hold-out are new to both, and notes. Raises RowsError when rows.bin is damaged."""
    unseen = ~challenger.seen
    flattered = "so it may have been trained on some of the rows, which flatters it"
    if not any(file.name == names.ROWS_FILE for file in manifest.files):
        return unseen, [f"the champion {champion.name} has no {names.ROWS_FILE}, {flattered}"]
    trained = _read_rows(folder / names.ROWS_FILE)
    try:
        return unseen & trained.fresh(challenger.holdout, challenger.kinds), []
    except RowsError as error:
        return unseen, [f"the champion {champion.name}: {error}, {flattered}"]


def _read_rows(path: Path) -> TrainedRows:
    try:
        return parse_rows(path.read_bytes())
    except FileNotFoundError:
        # Fetch leaves out what is not what the manifest says.
        raise RowsError("it is not what its manifest says, or is not there") from None


def _scores(
    manifest: Manifest, folder: Path, challenger: Challenger, fresh: np.ndarray
) -> tuple[dict[str, float], dict[str, float]]:
    """Return (the champion's metrics, the challenger's) on the chosen rows."""
    model, task, target = load_artifact(folder, manifest), challenger.model.task, challenger.target[fresh]
    theirs = model.outputs(model_frame(challenger.holdout[fresh], model.features, challenger.kinds))
    ours = {name: values[fresh] for name, values in challenger.outputs.items()}
    return evaluate(task, target, theirs, model.classes), evaluate(task, target, ours, challenger.model.classes)
