"""The texts of `kubectl get` for a TrainingJob."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final, Literal

from modelmill.api.objects import ModelVersion
from modelmill.api.training_job_status import FinishedRun, TrainingJobStatus
from modelmill.api.versions import REJECTED, gain, number, stable_versions, version_number
from modelmill.contracts.result import GATE_FAILED, PUBLISHED, REPRODUCED, UNCHANGED
from modelmill.kube.texts import fitted
from modelmill.training.observation import PHASES, REPLACED, RunActive
from modelmill.training.search.follow import best_text
from modelmill.training.view import View

MAX_WORD: Final = 64
STAGES: Final = {
    "Pending": f"0/{len(PHASES)}",
    "Preparing": f"1/{len(PHASES)} prepare",
    "Searching": "searching",
    **{phase: f"{place}/{len(PHASES)} {stage}" for place, (stage, phase) in enumerate(PHASES.items(), 1)},
}
NOT_TERMINAL: Final = (PUBLISHED, GATE_FAILED, UNCHANGED, REPRODUCED)
"""Outcomes after which the TrainingJob is in order."""


def phase(view: View) -> Literal["Idle", "Running", "Suspended", "Failed"]:
    """Return the one word for scripts."""
    if view.status.current_run is not None:
        return "Running"
    if view.spec.run_policy.suspend:
        return "Suspended"
    last = view.status.last_run
    return "Failed" if last is not None and needs_mending(last) else "Idle"


def needs_mending(last: FinishedRun) -> bool:
    """Return whether the run failed and a person has to do something: not when the next one is about to start."""
    return last.outcome not in NOT_TERMINAL and last.cause != REPLACED


def progress(status: TrainingJobStatus, seen: RunActive | None) -> str:
    """Return which stage runs, or how many trials are over; of a run that cannot go on also what is in the way."""
    trials = status.current_run.trials if status.current_run is not None else None
    if trials is not None and trials.end is None:
        over = f"{trials.succeeded + trials.failed + trials.pruned}/{trials.maximum} trials"
        return fitted(f"{over} {seen.obstacle}" if seen is not None and seen.obstacle else over, MAX_WORD)
    if seen is not None and seen.obstacle:
        return fitted(f"{seen.done}/{len(PHASES)} {seen.obstacle}", MAX_WORD)
    return STAGES[status.current_run.phase] if status.current_run is not None else "-"


def trigger(status: TrainingJobStatus) -> str | None:
    """Return what started the run in progress, or else the last one; None before the first."""
    run = status.current_run or status.last_run
    return run.reason if run is not None else None


def best(view: View, made: Sequence[ModelVersion] = ()) -> str | None:
    """Return the best value of the primary metric and whose it is; None when no version has it, or the model is another's.

    While a search goes on it is that of its trials, on their validation rows.

    Values are of different hold-outs; where a version was compared with its champion on the same rows, that counts: the one of
    the two that was worse is not the best while the other may be. One that is being deleted counts while it serves, as in
    `champion`.
    made: versions that this plan makes, which the view does not have yet.
    """
    current = view.status.current_run
    searching = best_text(view, current) if current is not None else None
    if searching is not None:
        return searching
    primary = view.spec.evaluation.primary
    sign = 1 if primary.direction == "Maximize" else -1
    known = {one.name: one for one in [*made, *view.versions]}
    serving = stable_versions(view.services)
    values = {
        name: value
        for name, one in known.items()
        if one.spec.approval != REJECTED
        and (not one.metadata.deleting or name in serving)
        and (value := number(one.spec.metrics.get(primary.metric))) is not None
    }
    if not values or view.owner is not None:
        return None
    beaten = {_loser(known[name], primary.metric, sign, values) for name in values}
    # Of equals the newest. Versions made by hand may all say of each other that they are worse.
    candidates = (values.keys() - beaten) or values.keys()
    name = max(candidates, key=lambda one: (sign * values[one], version_number(one), one))
    return f"{primary.metric}={values[name]:.4g} ({name})"


def _loser(version: ModelVersion, metric: str, sign: int, others: Container[str]) -> str | None:
    """Return which was worse on the same rows, the version or its champion; None of equals, and where nothing says so.

    others: versions that count. Against one that does not nothing is lost.
    """
    difference, champion = gain(version.spec, metric), version.spec.champion
    if not difference or champion is None or champion.version not in others:
        return None
    return champion.version if sign * difference > 0 else version.name
