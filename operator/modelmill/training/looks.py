"""Looks at the data between runs: when the next one is due, its Job, and what it found. Pure.

At most one look is under way, and none while a run reads the data, while what the last one found waits for its run, or while
no run would start by it. For alerts the data is looked at only while they wait for data alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from modelmill.api.new_data import LastLook
from modelmill.api.training_job_status import FinishedRun, TrainingJobStatus
from modelmill.contracts import names
from modelmill.contracts.look import SHOWN_OF_DIGEST, Seen, decode_seen
from modelmill.engine.interface import Delete, Event
from modelmill.kube import labels
from modelmill.kube.conditions import MAX_MESSAGE, parse_timestamp, timestamp
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import JOBS
from modelmill.kube.texts import fitted
from modelmill.training.builders.look_job import DEADLINE_SECONDS, LOOK, build_look_job, look_job_name
from modelmill.training.observation import HELP, observed_job
from modelmill.training.triggers import holds, new_data, rows
from modelmill.training.triggers.decision import decide
from modelmill.training.view import View
from modelmill.workloads import jobs
from modelmill.workloads.containers import Image
from modelmill.workloads.pod_status import ended

DOUBLED_AT_MOST: Final = 4
FOR_ALERTS_SECONDS: Final = 60
FOR_ALERTS_AT_MOST: Final = 900
PATIENCE_SECONDS: Final = 30.0
"""How long the pod of a Job that ended well is waited for: Jobs and pods come by two watches."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The status after it; Jobs to make when it is written, and to remove; events; and in how many seconds something is due."""

    status: TrainingJobStatus
    create: tuple[Manifest, ...] = ()
    delete: tuple[Delete, ...] = ()
    events: tuple[Event, ...] = ()
    again: float | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the data is looked at for. every: seconds between looks for new data; None while there is enough of that.

    wanted: what alerts wait for; None when none waits for data alone.
    """

    every: int | None
    wanted: rows.Wanted | None


def looked(view: View, trainer: Image) -> Looked:
    """Return what is to be done about looks at the data."""
    triggers, before = view.spec.triggers, new_data.compared(view)
    if triggers.new_data is None and not triggers.alerts.waits_for_rows:
        forgotten = replace(view.status, next_look_time=None, last_look=None)
        return Looked(forgotten, delete=tuple(_others(view, None)))
    asked = _asked(view)
    if before is None or asked is None:
        return Looked(replace(view.status, next_look_time=None), delete=tuple(_others(view, None)))
    due = _due(view, asked)
    if view.status.next_look_time is None:
        # The name of its Job is made from the time, which is written first: a restart in between finds it.
        return Looked(replace(view.status, next_look_time=timestamp(due)), again=0.1)
    status = replace(view.status, next_look_time=timestamp(due))
    name = look_job_name(view, before, timestamp(due))
    rest = tuple(_others(view, name))
    if name in view.jobs:
        return replace(_followed(view, asked, status, name, before), delete=rest)
    left = (due - view.now).total_seconds()
    if left > 0:
        return Looked(status, delete=rest, again=left)
    job = build_look_job(view, before, timestamp(due), asked.wanted, trainer)
    return Looked(status, create=(job,), delete=rest)


def _asked(view: View) -> _Asked | None:
    """Return what the data is looked at for; None while no look could start a run."""
    if holds.suspended(view) or holds.model_of_another(view) or holds.row_of_trouble(view):
        return None
    wanted = view.spec.triggers.new_data
    every = wanted.every_seconds if wanted is not None and not new_data.enough(view) else None
    waiting = any(one.hold.reason == rows.WAITS for one in decide(view).waiting)
    if not waiting and every is None:
        return None
    return _Asked(every, (rows.wanted(view) or rows.Wanted(None, None)) if waiting else None)


def _due(view: View, asked: _Asked) -> datetime:
    """Return when the next look is due: the first one at once, later ones so long after the last one."""
    last, planned = view.status.last_look, view.status.next_look_time
    if last is None:
        return parse_timestamp(planned) if planned is not None else view.now
    pauses: list[int] = []
    if asked.every is not None:
        pauses.append(asked.every * 2 ** min(last.failures, DOUBLED_AT_MOST))
    if asked.wanted is not None:
        before = new_data.compared(view)
        in_vain = last.failures + last.too_few if before is not None and before.number == last.run else 0
        pauses.append(min(FOR_ALERTS_SECONDS * 2 ** min(in_vain, DOUBLED_AT_MOST), FOR_ALERTS_AT_MOST))
    return parse_timestamp(last.time) + timedelta(seconds=min(pauses))


def _others(view: View, name: str | None) -> Iterator[Delete]:
    """Yield what removes the Jobs of looks but that one: they are over, or look at what nobody asks for."""
    for other, job in view.jobs.items():
        meta = job["metadata"]
        step = (meta.get("labels") or {}).get(labels.STEP_LABEL)
        if step == LOOK and other != name and "deletionTimestamp" not in meta:
            yield Delete(JOBS, view.namespace, other, meta["uid"])


def _followed(view: View, asked: _Asked, status: TrainingJobStatus, name: str, before: FinishedRun) -> Looked:
    """Return what the look under way has found, or that it goes on."""
    seen, again = observed_job(view, name)
    if isinstance(seen, jobs.Active):
        if not seen.needs_help:
            return Looked(status, again=again)
        words = "; ".join(text for text in (seen.message, HELP.get(seen.obstacle, "")) if text)
        return _failed(view, asked, status, before, f"{seen.obstacle}: {words}")
    if isinstance(seen, jobs.Failed):
        if seen.reason == "DeadlineExceeded":
            return _failed(view, asked, status, before, f"it did not end within {DEADLINE_SECONDS} seconds")
        return _failed(
            view, asked, status, before, seen.failure.describe() if seen.failure is not None else seen.message
        )
    ends = (ended(pod, names.STAGE_LOOK) for pod in view.pods.get(name, ()))
    message = next((end.message for end in ends if end is not None and end.exit_code == 0), None)
    if message is None:
        waited = (view.now - seen.finished).total_seconds()
        if waited < PATIENCE_SECONDS:
            return Looked(status, again=PATIENCE_SECONDS - waited)
        return _failed(view, asked, status, before, "its pod is gone and with it what it found")
    found = decode_seen(message)
    if found is None:
        return _failed(view, asked, status, before, "its image told something else: use the images of one release")
    return _told(view, asked, status, before, found)


def _told(view: View, asked: _Asked, status: TrainingJobStatus, before: FinishedRun, found: Seen) -> Looked:
    earlier = view.status.last_look
    in_vain = earlier.too_few if earlier is not None and earlier.run == before.number else 0
    too_few = min(in_vain + 1, 1000) if asked.wanted is not None else in_vain
    last = LastLook(
        time=timestamp(view.now),
        run=before.number,
        new_objects=found.new,
        new_rows=found.rows,
        since=timestamp(datetime.fromtimestamp(found.after, UTC)) if found.after is not None else None,
        recent_objects=found.recent,
        recent_rows=found.recent_rows,
        removed_objects=found.removed,
        listing=found.digest.removeprefix("sha256:")[:SHOWN_OF_DIGEST],
        message="",
    )
    text = "; ".join(_found(view, asked, last))
    after = replace(status, last_look=replace(last, message=text), next_look_time=None)
    still = _asked(view.with_status(after))
    if still is None or (asked.every is not None and still.every is None) or (asked.wanted and not still.wanted):
        return Looked(after, again=0.1)
    return _next(view, still, replace(after, last_look=replace(last, too_few=too_few, message=f"no run: {text}")))


def _found(view: View, asked: _Asked, last: LastLook) -> Iterator[str]:
    """Yield what the look found for each of those who asked, in words."""
    if view.spec.triggers.new_data is not None:
        yield new_data.found(last, view.spec.triggers.new_data)
    if asked.wanted is not None:
        yield rows.found(last, asked.wanted)


def _failed(view: View, asked: _Asked, status: TrainingJobStatus, before: FinishedRun, why: str) -> Looked:
    """Return that the look found nothing out. It is told once, not with each look that fails for the same reason."""
    earlier = status.last_look
    failures = earlier.failures if earlier is not None else 0
    text = fitted(f"the look at {view.spec.data.train.uri} failed, and no run starts by it: {why}", MAX_MESSAGE)
    last = LastLook(time=timestamp(view.now), run=before.number, failures=min(failures + 1, 1000), message=text)
    again = failures > 0 and earlier is not None and earlier.message == text
    events = () if again else (Event("Warning", "LookFailed", text[:1000]),)
    return replace(_next(view, asked, replace(status, last_look=last)), events=events)


def _next(view: View, asked: _Asked, status: TrainingJobStatus) -> Looked:
    """Return the status with the time of the next look. The Job of this one goes when that is written."""
    due = _due(view.with_status(status), asked)
    return Looked(replace(status, next_look_time=timestamp(due)), again=0.1)
