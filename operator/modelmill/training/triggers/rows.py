"""New data that an alert waits for: training again on the same data cannot help. The memory is `status.lastLook`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from modelmill.api.new_data import LastLook
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.training.triggers import alerts, new_data
from modelmill.training.triggers.reason import Hold
from modelmill.training.view import View

WAITS: Final = "WaitsForNewData"
FIELD: Final = "spec.triggers.alerts.minNewRows"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a look is to find. since: only objects written after it count; None for all. rows: how many; None for one object."""

    since: datetime | None
    rows: int | None


def too_few(view: View) -> Hold | None:
    """A change is learned from rows of the changed time only, and as many as are asked for."""
    oldest = min((one.changed_after for one in alerts.reasons(view) if one.changed_after is not None), default=None)
    # Of what was written after a later time there is no more than of what was written after the oldest one.
    return _missing(view, Wanted(oldest, _rows(view)))


def nothing_new(view: View) -> Hold | None:
    """An old model that is trained on the same data is as old as it was."""
    return _missing(view, Wanted(None, None))


def wanted(view: View) -> Wanted | None:
    """Return what a look would have to find for the alerts of changes; None when there are none."""
    found = [one.changed_after for one in alerts.reasons(view) if one.changed_after is not None]
    return Wanted(min(found), _rows(view)) if found else None


def found(last: LastLook, asked: Wanted) -> str:
    """Return what a look found for the alerts that wait, in words."""
    if asked.since is None:
        return f"{last.new_objects or 0} new or changed objects since run {last.run}"
    objects = (
        f"{last.recent_objects or 0} new or changed objects since run {last.run} that were written after {last.since}"
    )
    if asked.rows is None:
        return objects
    return f"{last.recent_rows or 0} new rows in {objects}; {FIELD} is {asked.rows}"


def _rows(view: View) -> int | None:
    """Return how many rows are wanted; None where they are made by a stage, which a look cannot do."""
    return view.spec.triggers.alerts.min_new_rows if view.spec.prepare is None else None


def _missing(view: View, asked: Wanted) -> Hold | None:
    before, last = new_data.compared(view), view.status.last_look
    if not view.spec.triggers.alerts.waits_for_rows or before is None:
        return None
    if last is not None and (last.run != before.number or not (last.failures or _answers(last, asked))):
        last = None
    if last is not None and not last.failures and _count(last, asked) >= (asked.rows or 1):
        return None
    told = "" if last is None else f": {last.message if last.failures else found(last, asked)}"
    many = f"{asked.rows} new rows" if asked.rows is not None else "a new or changed object"
    when = f" written after {timestamp(asked.since)}" if asked.since is not None else ""
    return Hold(WAITS, f"waits for {many}{when} that run {before.number} has not read{told}; {_next(view)}")


def _answers(last: LastLook, asked: Wanted) -> bool:
    """Tell whether the look told apart what is asked for: another alert may have been the oldest one."""
    return asked.since is None or last.since == timestamp(asked.since)


def _count(last: LastLook, asked: Wanted) -> int:
    if asked.since is None:
        return last.new_objects or 0
    return (last.recent_rows if asked.rows is not None else last.recent_objects) or 0


def _next(view: View) -> str:
    due = view.status.next_look_time
    if due is None or parse_timestamp(due) <= view.now:
        return "the data is being looked at"
    return f"the data is looked at next at {due}"
