"""A run by the clock. The memory is `status.nextScheduleTime`: times that were missed since then make one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from modelmill.api.cron import next_time
from modelmill.api.fingerprint import short_hash
from modelmill.api.training_job_status import TrainingJobStatus
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.training.triggers.reason import Hold, Reason
from modelmill.training.view import View

KIND = "Schedule"


def reasons(view: View) -> Sequence[Reason]:
    """Return the reason when the next time of the schedule, as it was when that was set, has come."""
    due = due_time(view)
    if due is None or due > view.now or view.status.schedule_hash != _hash(view):
        return ()
    following = _next(view, due)
    missed = following is not None and following <= view.now
    text = f"scheduled for {timestamp(due)}" + (", and for later times that were missed" if missed else "")
    return (Reason(f"schedule-{timestamp(due)}", KIND, text, due),)


def due_time(view: View) -> datetime | None:
    """Return the next time, or the first that no run has answered; None without a schedule."""
    text = view.status.next_schedule_time
    return parse_timestamp(text) if view.spec.triggers.schedule is not None and text else None


def changes_at(view: View) -> datetime | None:
    """Return when the reason begins, or that which waits comes to speak of a later time as well; None when neither does."""
    due = due_time(view)
    if due is None or due > view.now:
        return due
    following = _next(view, due)
    return following if following is not None and following > view.now else None


def problem(view: View) -> str | None:
    """Return why the schedule never starts a run, naming the field; None when it does, or there is none."""
    schedule = view.spec.triggers.schedule
    if schedule is None or kept(view)[0] is not None:
        return None
    try:
        found = next_time(schedule.cron, schedule.time_zone, view.now)
    except ValueError as error:
        return f"spec.triggers.schedule: {error}"
    return f"spec.triggers.schedule.cron: {schedule.cron} is on no day" if found is None else None


def soon(view: View) -> Hold | None:
    """A model that is too old can wait for the run of the schedule, if that is near."""
    due = due_time(view)
    if due is None or view.status.schedule_hash != _hash(view):
        return None
    following = _next(view, due)
    tenth = (following - due) / 10 if following is not None else timedelta()
    if due > view.now + max(tenth, timedelta(seconds=view.spec.retrain.cooldown_seconds)):
        return None
    text = f"the schedule starts a run at {timestamp(due)}, which answers it"
    return Hold("ScheduleIsNear", text, due if due > view.now else None)


def kept(view: View) -> tuple[str | None, str | None]:
    """Return the next time and the hash of the schedule that it is of: a schedule that is new or changed begins now."""
    status, wanted = view.status, _hash(view)
    if wanted is None:
        return None, None
    if status.schedule_hash == wanted and status.next_schedule_time is not None:
        return status.next_schedule_time, wanted
    found = _next(view, view.now)
    return (timestamp(found), wanted) if found is not None else (None, None)


def answered(view: View) -> TrainingJobStatus:
    """Return the status after a run has begun, which answers all times until now."""
    # `kept` then finds the next one.
    return replace(view.status, next_schedule_time=None) if reasons(view) else view.status


def _next(view: View, after: datetime) -> datetime | None:
    schedule = view.spec.triggers.schedule
    try:
        return next_time(schedule.cron, schedule.time_zone, after) if schedule is not None else None
    except ValueError:
        # `problem` tells it.
        return None


def _hash(view: View) -> str | None:
    schedule = view.spec.triggers.schedule
    return short_hash(schedule) if schedule is not None else None
