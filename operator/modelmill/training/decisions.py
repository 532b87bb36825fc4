"""What was decided about runs that nobody asked for, and why: `status.decisions` and an Event for each change of mind. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from modelmill.api.training_job_status import DecisionAction, DecisionTaken, TrainingJobStatus
from modelmill.contracts.result import PUBLISHED
from modelmill.engine.interface import Event
from modelmill.kube.conditions import TRUE, parse_timestamp, timestamp
from modelmill.kube.texts import fitted
from modelmill.training.triggers import holds
from modelmill.training.triggers.decision import Decision
from modelmill.training.view import View

KEPT: Final = 10
QUIET: Final = timedelta(hours=1)
"""An alert that comes and goes is told once in this time."""
MAX_ABOUT: Final = 256
RECURRING: Final = ("Held", "Ignored")


@dataclass(frozen=True, slots=True)
class _Stance:
    """What is decided by this plan."""

    action: DecisionAction
    reason: str
    message: str


def decided(view: View, before: TrainingJobStatus, decision: Decision) -> tuple[TrainingJobStatus, tuple[Event, ...]]:
    """Return the status with what was decided, and the events that tell it.

    view: as it is after that. before: the status before.
    """
    kept, events = list(view.status.decisions), []
    for stance in _stances(view, before, decision):
        newest = kept[0] if kept else None
        if newest is not None and stance.action in RECURRING and _same(newest, stance):
            continue
        earlier = next((one for one in kept if stance.action in RECURRING and _same(one, stance)), None)
        again = earlier is not None and view.now - parse_timestamp(earlier.time) < QUIET
        message = fitted(stance.message, 1000)
        if earlier is not None and again:
            kept.remove(earlier)
        elif stance.action != "Started":
            # RunStarted tells that.
            kind = "Warning" if stance.action == "Suspended" else "Normal"
            events.append(Event(kind, f"Retrain{stance.action}", f"{stance.reason}: {message}"))
        count = min(earlier.count + 1, 1_000_000) if earlier is not None and again else 1
        made = DecisionTaken(
            time=timestamp(view.now), action=stance.action, reason=stance.reason, message=message, count=count
        )
        kept = [made, *kept][:KEPT]
    return replace(view.status, decisions=tuple(kept)), tuple(events)


def _same(one: DecisionTaken, stance: _Stance) -> bool:
    return (one.action, one.reason) == (stance.action, stance.reason)


def _stances(view: View, before: TrainingJobStatus, decision: Decision) -> Iterator[_Stance]:
    """Yield what is decided: what a run that ended answers, whether runs are suspended, and what is done about the reasons."""
    current, last = view.status.current_run, view.status.last_run
    ended = last is not None and before.current_run is not None and last != before.last_run
    if ended and last is not None and last.alerts and last.outcome == PUBLISHED:
        text = f"run {last.number} made {last.version} for the alerts of kind {', '.join(last.alerts)}"
        yield _Stance("Answered", last.outcome, text)
    suspended = any(one.type == "RetrainSuspended" and one.status == TRUE for one in before.conditions)
    trouble = holds.row_of_trouble(view)
    if trouble is not None and not suspended:
        reason, sentence = trouble
        yield _Stance("Suspended", reason, f"{sentence}; start a run: {holds.command(view)}")
    if trouble is None and suspended:
        why = f"run {current.number} has started" if current is not None else "the limit was raised"
        yield _Stance(
            "Resumed", "RunStarted" if current is not None else "LimitRaised", f"{why}: alerts start runs again"
        )
    if current is not None and (before.current_run is None or before.current_run.number != current.number):
        yield _Stance("Started", current.reason, decision.start.message if decision.start is not None else "")
    elif trouble is None and not ended:
        yield from _waits(view, decision)


def _waits(view: View, decision: Decision) -> Iterator[_Stance]:
    waiting = next((one for one in decision.waiting if one.reason in decision.occasions), None)
    if waiting is not None and waiting.hold.reason == holds.JOINS_LINE:
        return
    if waiting is not None:
        alike = [one.reason.message for one in decision.waiting if one.hold.reason == waiting.hold.reason]
        about = ", ".join(dict.fromkeys([waiting.reason.message, *alike]))
        yield _Stance("Held", waiting.hold.reason, f"{fitted(about, MAX_ABOUT)}: {waiting.hold.message}")
    elif decision.start is None and view.status.decisions and view.status.decisions[0].action == "Held":
        yield _Stance("Ignored", "Resolved", "what waited is over before a run began")
