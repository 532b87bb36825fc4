"""A model is loaded, run, compared, gated and described. `model_process` does this in a process of its own."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from modelmill.contracts import names, result
from modelmill.contracts.artifact import MODEL_FILES, Manifest, Signature, canonical, digest
from modelmill.contracts.stage import BEST_TRIAL, StageSpec
from modelmill_trainer import champion, golden, warm_start
from modelmill_trainer.artifact_folder import file_sha256, files_of
from modelmill_trainer.facts import Facts, read_facts
from modelmill_trainer.failure import StageError
from modelmill_trainer.folders import Folders
from modelmill_trainer.gates import judge
from modelmill_trainer.identifiers import identifiers_note
from modelmill_trainer.interpretation import Answered, Interpretation, interpret
from modelmill_trainer.kinds import BOOLEAN, NUMBER, model_frame, target_values
from modelmill_trainer.lineage import lineage, told_published
from modelmill_trainer.measured import Measured
from modelmill_trainer.metrics import evaluate, own_metrics, primary_of, require_finite
from modelmill_trainer.model_document import CLASSIFICATION
from modelmill_trainer.models import PREDICT, Left, Model, Outputs, SklearnModel, find_model, load_left
from modelmill_trainer.phases import ARTIFACT_FOLDER, FIRST_ROWS, Phase
from modelmill_trainer.plain_files import NotPlain, open_plain
from modelmill_trainer.reference import make_profile, permutation_importance
from modelmill_trainer.report.page import render
from modelmill_trainer.rows import TrainedRows, key_of
from modelmill_trainer.signature import left_out, left_out_note, make_signature, require_features
from modelmill_trainer.tables import read_rows
from modelmill_trainer.trials import read_trials

COMPARED_ROWS = 500
NOTHING: Mapping[Phase, str] = {}
Begin = Callable[[Phase], None]


def _untold(_: Phase) -> None:
    """Nobody watches."""


def evaluate_model(
    spec: StageSpec, folders: Folders, into: Path, skipped: Mapping[Phase, str], begin: Begin = _untold
) -> result.StageResult:
    """Judge the model that the train stage left and write its artifact; return the result, whose artifact has no address.

    A trial's model is measured only. skipped: why a phase is left out, one of `evaluate.DISPENSABLE`. begin: is told each
    phase. Raises StageError.
    """
    if spec.trial is not None:
        scored = score(folders, begin)
        # What an image of somebody else leaves it may not leave again.
        model = file_sha256(scored.left.file) if spec.estimator is not None else ""
        return result.StageResult(result.SCORED, data=scored.facts.told(), metrics=scored.metrics, model=model)
    measured = measure(spec, folders, skipped, begin)
    shown = ", ".join(f"{name} {value:.4g}" for name, value in measured.metrics.items())
    print(f"evaluate: on {len(measured.target)} rows of the hold-out: {shown}", flush=True)
    for verdict in measured.verdicts:
        print(f"evaluate: gate {'passed' if verdict.passed else 'FAILED'}: {verdict.text}", flush=True)
    for note in measured.notes:
        print(f"evaluate: {note}", flush=True)
    failed = tuple(verdict.text for verdict in measured.verdicts if not verdict.passed)
    ending = result.StageResult(
        outcome=result.PUBLISHED if measured.passed else result.GATE_FAILED,
        reason="" if measured.passed else "GateFailed",
        reasons=failed,
        data=measured.facts.told(),
        metrics=measured.metrics,
        champion=measured.champion,
        gates=tuple(verdict.text for verdict in measured.verdicts),
        notes=measured.notes,
        warm_start=measured.warm_start,
    )
    result.encode(ending)  # a metric that cannot be told is refused before anything is written
    folder = into / ARTIFACT_FOLDER
    folder.mkdir()
    if folders.schema.exists():
        shutil.copyfile(folders.schema, folder / names.SCHEMA_FILE)
    form = write_artifact(measured, folder, skipped, begin)
    found = digest((folder / names.MANIFEST_FILE).read_bytes())
    size = sum(path.stat().st_size for path in folder.iterdir())
    return replace(ending, artifact=result.Artifact("", found, size, form))


@dataclass(frozen=True, slots=True)
class Scored:
    """The model of the train stage and its answers.

    train, holdout: the rows as they were written; train_target, target: their targets. frame: the hold-out as the model takes
    it; outputs, metrics: for it.
    """

    facts: Facts
    left: Left
    model: Model
    train: pd.DataFrame
    train_target: np.ndarray
    holdout: pd.DataFrame
    target: np.ndarray
    frame: pd.DataFrame
    outputs: Outputs
    metrics: dict[str, float]


def score(folders: Folders, begin: Begin = _untold) -> Scored:
    """Load the model and score it on the rows to measure on. Raises StageError."""
    begin(Phase.READ)
    facts = read_facts(folders.snapshot)
    left = find_model(folders.output)
    kinds = facts.kinds
    train, holdout = _rows(folders, facts)
    known = target_values(train[facts.target], kinds[facts.target])
    begin(Phase.LOAD)
    model = load_left(left, list(facts.features), _labels(known))
    require_features(model, facts)
    target = target_values(holdout[facts.target], kinds[facts.target])
    _require_numbers(model, facts)
    frame = model_frame(holdout, model.features, kinds)
    begin(Phase.FIRST)
    _outputs(model, frame.head(FIRST_ROWS))
    begin(Phase.HOLDOUT)
    outputs = _outputs(model, frame)
    metrics = own_metrics(folders.metrics) | evaluate(model.task, target, outputs, model.classes)
    return Scored(facts, left, model, train, known, holdout, target, frame, outputs, metrics)


def measure(
    spec: StageSpec, folders: Folders, skipped: Mapping[Phase, str] = NOTHING, begin: Begin = _untold
) -> Measured:
    """Load the model and score it and the champion on the hold-out. Raises StageError."""
    scored = score(folders, begin)
    facts, left, model, kinds = scored.facts, scored.left, scored.model, scored.facts.kinds
    train, holdout, metrics = scored.train, scored.holdout, scored.metrics
    trained = TrainedRows.of(train, facts.row_kinds(), key_of(spec.seed))
    begun, unknown = warm_start.left(spec, folders.output), ""
    if begun is not None and begun.version:
        trained, unknown = warm_start.with_rows_of_champion(trained, folders.champion)
    seen = trained.contains(holdout, kinds)
    challenger = champion.Challenger(model, holdout, kinds, scored.target, scored.outputs, seen)
    begin(Phase.CHAMPION)
    rival, compared = champion.compare(spec.champion, folders.champion, challenger, skipped.get(Phase.CHAMPION, ""))
    begin(Phase.TRAINED)
    primary, direction = primary_of(model.task, spec.primary_metric, spec.primary_direction)
    rows_file = trained.pack()
    unused = left_out(model, facts, train)
    # A hold-out that is given apart may number its rows anew.
    whole = [train] if facts.holdout_uri else [train, holdout]
    identifiers = identifiers_note(whole, model.features, kinds)
    began = f"train.warmStart: {begun.told()}" if begun is not None else ""
    notes = [left.note, began, unknown, left_out_note(unused), identifiers, *facts.notes, _twice_note(seen), *compared]
    published = told_published(spec.search, file_sha256(left.file)) if spec.search is not None else ""
    if spec.search is not None and spec.search.publish == BEST_TRIAL:
        notes.append(published)
    if rows_file is None:
        notes.append(
            f"there is no {names.ROWS_FILE}: the names of the columns are too long to keep which rows were trained on"
        )
    return Measured(
        spec=spec,
        facts=facts,
        left=left,
        model=model,
        train=model_frame(train, model.features, kinds),
        train_target=scored.train_target,
        rows_file=rows_file,
        frame=scored.frame,
        target=scored.target,
        outputs=scored.outputs,
        metrics=metrics,
        champion=rival,
        primary=primary,
        direction=direction,
        verdicts=judge(spec.gates, metrics, rival, primary, direction),
        left_out=unused,
        notes=tuple(note for note in notes if note),
        trials=None if folders.trials is None else read_trials(folders.trials),
        warm_start=begun,
        published=published,
    )


def _labels(target: np.ndarray) -> list[object]:
    """Return what may be classes: the target's sorted different values, none where they are numbers with fractions."""
    return [] if target.dtype.kind == "f" else sorted(set(target.tolist()))


def _require_numbers(model: Model, facts: Facts) -> None:
    kind = facts.kinds[facts.target]
    if model.task != CLASSIFICATION and kind != NUMBER:
        what = "true and false" if kind == BOOLEAN else "labels"
        raise StageError("ModelInvalid", f"the model predicts numbers, and data.target {facts.target!r} has {what}")


def _twice_note(seen: np.ndarray) -> str:
    count = int(seen.sum())
    return f"{count} of the {len(seen)} rows to measure on are equal to rows that were trained on" if count else ""


def write_artifact(
    measured: Measured, into: Path, skipped: Mapping[Phase, str] = NOTHING, begin: Begin = _untold
) -> str:
    """Write every file of the artifact and return its format."""
    spec, model, facts = measured.spec, measured.model, measured.facts
    fitted = _outputs(model, measured.train)
    require_finite(fitted, "that were trained on: it must answer rows with missing values, where the data has some")
    predicted_train = fitted[PREDICT]
    importance = permutation_importance(model, measured.frame, measured.target, spec.seed)
    profile = make_profile(measured.train, measured.train_target, predicted_train, importance)
    candidates = pd.concat([measured.frame, measured.train], ignore_index=True).head(
        COMPARED_ROWS + len(measured.frame)
    )
    every = np.concatenate([measured.outputs[PREDICT], predicted_train])[: len(candidates)]
    rows = candidates.iloc[golden.choose_rows(candidates, every)].reset_index(drop=True)
    absolute = golden.tolerance(model.task, every)
    begin(Phase.GOLDEN)
    answers = _outputs(model, rows)
    begin(Phase.CONVERSION)
    compared = pd.concat([rows, candidates.head(COMPARED_ROWS)], ignore_index=True)
    form, serving = _model_files(measured, into, compared, absolute, skipped.get(Phase.CONVERSION, ""))
    begin(Phase.INTERPRETATION)
    interpretation = _interpretation(measured, importance, skipped.get(Phase.INTERPRETATION, ""))
    begin(Phase.WRITE)
    (into / names.PROFILE_FILE).write_bytes(canonical(profile))
    (into / names.GOLDEN_FILE).write_bytes(canonical(golden.make_golden(rows, facts.kinds, answers, absolute)))
    (into / names.DATA_FILE).write_bytes(canonical(facts))
    if measured.rows_file is not None:
        (into / names.ROWS_FILE).write_bytes(measured.rows_file)
    created = datetime.fromtimestamp(measured.left.modified, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    origin = lineage(spec, facts, created, serving, measured.published, measured.warm_start)
    signature = make_signature(model, facts, measured.outputs)
    page = render(measured, signature, profile, importance, interpretation, origin, form)
    (into / names.REPORT_FILE).write_text(page, encoding="utf-8")
    (into / names.MANIFEST_FILE).write_bytes(canonical(_manifest(measured, into, form, signature, origin, created)))
    return form


def _interpretation(measured: Measured, importance: Mapping[str, float], left_out: str) -> Interpretation:
    if left_out:
        return Interpretation(missing=left_out)
    rows = Answered(measured.frame, measured.target, measured.outputs, measured.train)
    return interpret(measured.model, rows, list(importance), measured.spec.seed)


def _model_files(
    measured: Measured, into: Path, compared: pd.DataFrame, absolute: float, unconverted: str
) -> tuple[str, str]:
    """Write the model and return (format, why it is served in this format). unconverted: why it is not converted."""
    content = measured.left.file.read_bytes()
    if not isinstance(measured.model, SklearnModel):
        form = measured.left.form
        called = MODEL_FILES[form]
        (into / (called[-1] if measured.left.file.suffix == ".json" else called[0])).write_bytes(content)
        return form, f"the train stage left {'ONNX' if form == 'onnx' else form}"
    from modelmill_trainer.conversion import Conversion, convert

    (into / names.SKOPS_FILE).write_bytes(content)
    expected = _outputs(measured.model, compared)
    if unconverted:
        conversion = Conversion(None, f"there is no ONNX conversion: {unconverted}")
    else:
        conversion = convert(measured.model, measured.facts.kinds, compared, expected, absolute)
    print(f"evaluate: {conversion.reason}", flush=True)
    if conversion.content is None:
        return "skops", conversion.reason
    (into / names.ONNX_FILE).write_bytes(conversion.content)
    return "onnx", conversion.reason


def _manifest(
    measured: Measured, folder: Path, form: str, signature: Signature, origin: dict[str, str], trained: str
) -> Manifest:
    return Manifest(
        format=form,
        files=files_of(folder),
        signature=signature,
        metrics=measured.metrics,
        lineage=origin,
        created=trained,
        model=measured.spec.model,
        version=measured.spec.version,
    )


def _rows(folders: Folders, facts: Facts) -> tuple[pd.DataFrame, pd.DataFrame]:
    path = folders.train(facts.format)
    try:
        with open_plain(path, sys.maxsize) as stream:
            same = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}" == facts.train_sha256
    except (NotPlain, FileNotFoundError):
        same = False
    if not same:
        raise StageError(
            "InputChanged", f"the train stage changed {path.name}: it must leave {names.ENV_INPUT} as it is"
        )
    held = folders.held_out(facts.format)
    return read_rows(path, facts.format, facts.kinds), read_rows(held, facts.format, facts.kinds)


def _outputs(model: Model, frame: pd.DataFrame) -> Outputs:
    try:
        return model.outputs(frame)
    except (StageError, MemoryError):
        raise
    except Exception as error:  # a model may raise anything
        text = " ".join(str(error).split())[:400]
        raise StageError(
            "ModelInvalid", f"the model cannot predict rows of the data: {type(error).__name__}: {text}"
        ) from error
