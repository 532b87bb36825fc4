"""A run because enough data came since the last run read its data. The memory is `status.lastLook`, which says of which run."""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.api.new_data import LastLook, NewData
from modelmill.api.training_job_status import FinishedRun
from modelmill.training.triggers import reproduce
from modelmill.training.triggers.reason import Reason
from modelmill.training.view import View

KIND = "Data"


def reasons(view: View) -> Sequence[Reason]:
    """Return the reason when the last look found enough beside the data of the last run."""
    new_data, last = view.spec.triggers.new_data, view.status.last_look
    if new_data is None or last is None or not enough(view):
        return ()
    return (Reason(f"data-{last.listing}", KIND, found(last, new_data)),)


def enough(view: View) -> bool:
    """Tell whether the last look found enough that no run has read, or is reading."""
    new_data, last, before = view.spec.triggers.new_data, view.status.last_look, compared(view)
    if new_data is None or last is None or before is None or last.run != before.number:
        return False
    if new_data.min_new_rows is not None:
        return (last.new_rows or 0) >= new_data.min_new_rows
    return (last.new_objects or 0) >= (new_data.min_new_objects or 1)


def compared(view: View) -> FinishedRun | None:
    """Return the last run that read the data; None before it, and while one is in progress.

    A run that makes a version again reads a copy, and is as if it had not been.
    """
    current = view.status.current_run
    if current is not None and current.reason != reproduce.KIND:
        return None
    runs = view.status.runs
    return next((run for run in runs if run.reason != reproduce.KIND), runs[-1] if runs else None)


def found(last: LastLook, new_data: NewData) -> str:
    """Return what the look found, in words."""
    objects = f"{last.new_objects or 0} new or changed objects since run {last.run}"
    gone = f", {last.removed_objects} are gone" if last.removed_objects else ""
    if new_data.min_new_rows is None:
        return f"{objects}{gone}; spec.triggers.newData.minNewObjects is {new_data.min_new_objects}"
    more = "at least " if (last.new_rows or 0) >= new_data.min_new_rows else ""
    text = f"{more}{last.new_rows or 0} new rows in {objects}{gone}"
    return f"{text}; spec.triggers.newData.minNewRows is {new_data.min_new_rows}"
