"""The conditions of a TrainingJob, in kstatus form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelmill.api.training_job_status import CurrentRun, FinishedRun
from modelmill.contracts.result import DATA_REJECTED, GATE_FAILED, PUBLISHED, REPRODUCED, UNCHANGED
from modelmill.kube.conditions import FALSE, TRUE, UNKNOWN, Condition
from modelmill.kube.labels import RUN_ANNOTATION
from modelmill.training.columns import NOT_TERMINAL, needs_mending
from modelmill.training.observation import RunActive
from modelmill.training.triggers import holds, reproduce, schedule
from modelmill.training.view import View

TYPES = ("Ready", "Running", "Finished", "DataValid", "Stalled", "Suspended", "RetrainSuspended")
OF_ANOTHER: Final = "ModelOwnedByAnother"
UNSCHEDULED: Final = "ScheduleInvalid"
NONE_ENDED: Final = "no run has ended yet"


def conditions(view: View, seen: RunActive | None) -> list[Condition]:
    """Return what is true. seen: the run in progress, None when there is none."""
    current, last = view.status.current_run, view.status.last_run
    obstacle = _obstacle(view, seen)
    told = [
        _ready(current, last, obstacle),
        _running(current, seen),
        _finished(current, last),
        _data_valid(last),
        _stalled(current, last, obstacle),
    ]
    if view.spec.run_policy.suspend:
        text = "spec.runPolicy.suspend is true: no run starts; reasons to run wait in status.pendingTriggers"
        told.append(Condition("Suspended", TRUE, "Suspended", text))
    trouble = holds.row_of_trouble(view)
    if trouble is not None:
        reason, sentence = trouble
        text = f"{sentence}; alerts, the schedule and new data start no more runs until you start one: {holds.command(view)}"
        told.append(Condition("RetrainSuspended", TRUE, reason, text))
    return told


def newly_of_another(view: View, told: Sequence[Condition]) -> Condition | None:
    """Return the condition that says that the model is another's, when it did not say so before."""
    before = {one.reason for one in view.status.conditions if one.type == "Ready"}
    ready = next(one for one in told if one.type == "Ready")
    return ready if ready.reason == OF_ANOTHER and OF_ANOTHER not in before else None


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why no run can go on or start. needs_help: it does not go away by itself."""

    reason: str
    message: str
    needs_help: bool


def _obstacle(view: View, seen: RunActive | None) -> _Obstacle | None:
    if seen is not None and seen.obstacle:
        return _Obstacle(seen.obstacle, seen.told, seen.needs_help)
    another = holds.model_of_another(view)
    if another is not None:
        return _Obstacle(OF_ANOTHER, another.message, needs_help=True)
    wrong = schedule.problem(view)
    return _Obstacle(UNSCHEDULED, f"{wrong}; no run starts by it", needs_help=True) if wrong is not None else None


def _ready(current: CurrentRun | None, last: FinishedRun | None, obstacle: _Obstacle | None) -> Condition:
    if obstacle is not None:
        return Condition("Ready", FALSE, obstacle.reason, obstacle.message)
    if current is not None:
        again = " again" if current.reason == reproduce.KIND else ""
        return Condition("Ready", TRUE, "RunInProgress", f"run {current.number} makes {current.version}{again}")
    if last is None:
        return Condition("Ready", TRUE, "Accepted", "no run yet")
    if last.outcome == PUBLISHED:
        return Condition("Ready", TRUE, "Published", f"run {last.number} published {last.version}")
    if last.outcome in (UNCHANGED, REPRODUCED):
        return Condition("Ready", TRUE, last.outcome, f"run {last.number}: {last.message or ''}")
    if last.outcome == GATE_FAILED:
        text = f"run {last.number} made {last.version}, which failed its gates: {last.message or ''}"
        return Condition("Ready", TRUE, "GateFailed", text)
    return Condition("Ready", FALSE, _cause(last), f"run {last.number}: {last.message or ''}")


def _running(current: CurrentRun | None, seen: RunActive | None) -> Condition:
    if current is None:
        return Condition("Running", FALSE, "Idle", "no run in progress")
    text = f"run {current.number}, trigger {current.reason}, try {current.attempt}, Job {current.job}"
    if seen is not None and seen.message:
        return Condition("Running", TRUE, seen.obstacle or "Waiting", f"{text}: {seen.told}")
    return Condition("Running", TRUE, current.phase, text)


def _finished(current: CurrentRun | None, last: FinishedRun | None) -> Condition:
    if current is not None:
        return Condition("Finished", FALSE, "NotFinished", f"run {current.number} is in progress")
    if last is None:
        return Condition("Finished", FALSE, "NotFinished", NONE_ENDED)
    text = f"run {last.number} ended {last.finish_time} with outcome {last.outcome}"
    return Condition("Finished", TRUE, last.outcome, text)


def _data_valid(last: FinishedRun | None) -> Condition:
    if last is not None and last.outcome == DATA_REJECTED:
        return Condition("DataValid", FALSE, _cause(last), last.message or "")
    if last is not None and (last.outcome in NOT_TERMINAL or last.data_digest is not None):
        text = "; ".join((f"run {last.number} read data with digest {last.data_digest or '?'}", *last.notes))
        if last.drift:
            return Condition("DataValid", TRUE, "Drifted", f"{'; '.join(last.drift)}; {text}")
        return Condition("DataValid", TRUE, "Valid", text)
    text = NONE_ENDED if last is None else f"run {last.number} did not get as far as checking the data"
    return Condition("DataValid", UNKNOWN, "NotChecked", text)


def _stalled(current: CurrentRun | None, last: FinishedRun | None, obstacle: _Obstacle | None) -> Condition:
    if obstacle is not None:
        return Condition("Stalled", TRUE if obstacle.needs_help else FALSE, obstacle.reason, obstacle.message)
    if current is None and last is not None and needs_mending(last):
        text = (
            f"{last.message or ''}; mend it and change the spec, or set the annotation {RUN_ANNOTATION} to a new text"
        )
        return Condition("Stalled", TRUE, _cause(last), text)
    return Condition("Stalled", FALSE, "NotStalled", "nothing stands in the way")


def _cause(last: FinishedRun) -> str:
    return last.cause or last.outcome
