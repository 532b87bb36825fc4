"""When the schedule of an entry begins a run. Times that were missed make one run; those while it was suspended make none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelmill.api.batch import Batch, BatchStatus
from modelmill.api.cron import next_time
from modelmill.api.fingerprint import short_hash
from modelmill.kube.conditions import parse_timestamp, timestamp


@dataclass(frozen=True, slots=True)
class Clock:
    """next_time: of the schedule, RFC 3339; it has passed where a run is due. problem: why there is none, naming the field."""

    next_time: str | None = None
    schedule_hash: str | None = None
    due: bool = False
    problem: str = ""


def clock(entry: Batch, known: BatchStatus, now: datetime) -> Clock:
    """Return where the schedule is; one that is new or changed begins now."""
    schedule = entry.schedule
    if schedule is None:
        return Clock()
    wanted = short_hash(schedule)
    if known.schedule_hash == wanted and known.next_time is not None:
        due = parse_timestamp(known.next_time) <= now
        if not (due and entry.suspend):
            return Clock(known.next_time, wanted, due)
    where = f"spec.batch[{entry.name}].schedule"
    try:
        found = next_time(schedule.cron, schedule.time_zone, now)
    except ValueError as error:
        return Clock(problem=f"{where}: {error}")
    if found is None:
        return Clock(problem=f"{where}.cron: {schedule.cron} is on no day")
    return Clock(timestamp(found), wanted)


def answered(entry: Batch, now: datetime) -> Clock:
    """Return where the schedule is after a run has begun, which answers all times until now."""
    return clock(entry, BatchStatus(name=entry.name), now)
