"""Trials that share a pod: one is fitted after the other, and what one of them cannot do is its own failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from modelmill.contracts import names, result
from modelmill.contracts.stage import StageSpec, alone
from modelmill_trainer.failure import StageError, explained
from modelmill_trainer.folders import Folders
from modelmill_trainer.plain_files import is_left, read_plain

FAILURE_FILE: Final = "failure.json"
"""In the output folder of a trial that could not be fitted: why, as the result of a stage."""


def fit_each(spec: StageSpec, folders: Folders, fit: Callable[[StageSpec, Folders], None]) -> None:
    """Fit each trial into its own folder; why one cannot be fitted is left there.

    Raises what may be no trial's own fault, such as a full disk and memory that ran out.
    """
    for one, where in _each(spec, folders):
        print(f"train: trial {where.output.name}", flush=True)
        where.output.mkdir(parents=True, exist_ok=True)
        try:
            fit(one, where)
        except Exception as error:
            failure = _own(error, names.STAGE_TRAIN)
            print(f"train: trial {where.output.name}: {failure.line()}", flush=True)
            (where.output / FAILURE_FILE).write_text(result.encode(failure.result()), encoding="utf-8")


def score_each(
    spec: StageSpec, folders: Folders, score: Callable[[StageSpec, Folders], result.StageResult]
) -> result.StageResult:
    """Return how each trial ended. Raises what may be no trial's own fault."""
    told = [_scored(int(where.output.name), one, where, score) for one, where in _each(spec, folders)]
    return result.StageResult(result.SCORED, trials=tuple(told))


def _scored(
    index: int, spec: StageSpec, where: Folders, score: Callable[[StageSpec, Folders], result.StageResult]
) -> result.TrialResult:
    try:
        _require_fitted(where)
        scored = score(spec, where)
    except Exception as error:
        failure = _own(error, names.STAGE_SCORE)
        print(f"score: trial {index}: {failure.line()}", flush=True)
        return result.TrialResult(index, reason=failure.reason, message=" ".join(failure.messages))
    aim, metrics = spec.primary_metric, scored.metrics
    first = {aim: metrics[aim]} if aim in metrics else {}
    return result.TrialResult(index, first | metrics, model=scored.model)


def _require_fitted(where: Folders) -> None:
    """Raise the StageError that the train stage left of a trial."""
    path = where.output / FAILURE_FILE
    if is_left(path):
        ending = result.decode(read_plain(path, result.MAX_BYTES).decode())
        raise StageError(ending.reason, *ending.reasons)


def _own(error: Exception, stage: str) -> StageError:
    """Return the failure of one trial. Raises an error that another trial may have caused, or that may go away by itself."""
    failure = explained(error, stage)
    if isinstance(error, MemoryError) or not failure.final:
        raise error
    return failure


def _each(spec: StageSpec, folders: Folders) -> Iterator[tuple[StageSpec, Folders]]:
    if spec.trial is None:
        raise StageError("SpecInvalid", "trials that share a pod are those of a search: set trial")
    for one in spec.trial.pod:
        yield alone(spec, one), folders.of_trial(one.index)
