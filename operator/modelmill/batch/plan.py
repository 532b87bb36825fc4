"""What the entries of spec.batch need: runs that begin, go on and are over, one of an entry at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from modelmill.api.batch import RUNS, Batch, BatchRun, BatchStatus
from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.api.objects import status_manifest
from modelmill.batch.clock import answered, clock
from modelmill.batch.job import run_name
from modelmill.batch.runs import Step, followed
from modelmill.batch.view import View
from modelmill.engine.interface import Aside, Delete, Event
from modelmill.engine.parts import Contribution
from modelmill.kube.conditions import is_true, parse_timestamp, timestamp
from modelmill.kube.labels import BATCH_ANNOTATION
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import JOBS
from modelmill.kube.texts import fitted

FIELDS: Final = ("batch", "batchAnnotation", "scoring")
KEPT: Final = 256
"""How much of the annotation is kept and compared."""
SOON: Final = 0.1
Trigger = Literal["Schedule", "Manual"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the annotation asks for and no run has answered. entry: empty for nothing. text: as it is kept."""

    entry: str = ""
    text: str | None = None


def plan(view: View) -> Contribution:
    """Return what batch prediction adds to an InferenceService whose status has the version that serves."""
    known = {one.name: one for one in view.service.status.batch}
    asked, handled, events = _asked(view), view.service.status.batch_annotation, []
    if asked.entry and asked.entry not in {entry.name for entry in view.entries}:
        words = f"{BATCH_ANNOTATION} is {fitted(asked.text or '', 64)!r}, and spec.batch has no such entry"
        events.append(Event("Warning", "BatchNotFound", words))
        handled, asked = asked.text, Asked()
    told: list[BatchStatus] = []
    create: list[Manifest] = []
    waits: list[float] = []
    for entry in view.entries:
        by_hand, before = asked.entry == entry.name, known.get(entry.name) or BatchStatus(name=entry.name)
        status, step = _advanced(view, entry, before, by_hand=by_hand)
        if step is not None:
            create += step.create
            events += step.events
            waits += [] if step.again is None else [step.again]
            if by_hand and step.run.name not in {run.name for run in before.runs}:
                handled = asked.text
        told.append(status)
        waits += _until(status, view.now)
    delete = list(_unwanted(view, told))
    waits += _expiries(view, told)
    fields = InferenceServiceStatus(batch=tuple(told), batch_annotation=handled, scoring=_column(told))
    manifest = status_manifest(fields)
    return Contribution(
        aside=[Aside(create=[job]) for job in create],
        delete=delete,
        status={name: manifest[name] for name in FIELDS if name in manifest},
        events=events,
        requeue_after=max(min(waits), SOON) if waits else None,
    )


def _asked(view: View) -> Asked:
    text = view.annotations.get(BATCH_ANNOTATION, "")[:KEPT]
    if not text or text == view.service.status.batch_annotation:
        return Asked()
    return Asked(text.partition("=")[0], text)


def _advanced(view: View, entry: Batch, known: BatchStatus, *, by_hand: bool) -> tuple[BatchStatus, Step | None]:
    """Return an entry's status now, and what its run needs."""
    at = clock(entry, known, view.now)
    status = replace(known, next_time=at.next_time, schedule_hash=at.schedule_hash, message=at.problem or None)
    running = known.running
    if running is not None:
        step = followed(view, entry, running, asked_again=by_hand and not entry.suspend)
        status = replace(status, runs=(step.run, *known.runs[1:]))
        # Whoever waits for its end begins when that is written.
        return status, replace(step, again=SOON) if step.run.over and (by_hand or at.due) else step
    if not (by_hand or at.due):
        return status, None
    stable = view.service.status.stable
    if entry.suspend or stable is None:
        why = "it is suspended" if entry.suspend else _nothing_serves(view)
        return replace(status, message=f"a run waits: {why}"), None
    name = run_name(view.service, entry, view.now)
    if known.runs and known.runs[0].name == name:
        return status, Step(known.runs[0], again=1.0)
    run = BatchRun(
        name=name,
        trigger="Manual" if by_hand else "Schedule",
        phase="Pending",
        version=stable.version,
        digest=stable.digest,
        output=f"{entry.output.uri.rstrip('/')}/{name}",
        start_time=timestamp(view.now),
        partitions=entry.partitions,
    )
    after = answered(entry, view.now)
    status = replace(
        status, next_time=after.next_time, schedule_hash=after.schedule_hash, runs=(run, *known.runs)[:RUNS]
    )
    words = f"{name}: {entry.input.uri} is scored with {run.version}"
    # The Job is made when the run is on record: whoever takes over in between makes the same one.
    return status, Step(run, events=(Event("Normal", "BatchStarted", fitted(words, 1000)),), again=SOON)


def _nothing_serves(view: View) -> str:
    spec = view.service.spec
    if spec.suspend or spec.replicas == 0:
        return "no version has served yet, and the service has no pods: give it some until one does"
    return "no version serves yet"


def _until(status: BatchStatus, now: datetime) -> Iterator[float]:
    """Yield the seconds until the schedule begins a run."""
    if status.next_time is not None:
        left = (parse_timestamp(status.next_time) - now).total_seconds()
        if left > 0:
            yield left


def _unwanted(view: View, told: Sequence[BatchStatus]) -> Iterator[Delete]:
    """Yield the Jobs that nobody needs: of runs that were over long enough, or given up, and of entries that are no more.

    Jobs are deleted before the status is written: a result that is not on record yet keeps its Job. So does a run that the
    status does not know: it was put on record before its Job was made, and the status that is looked at is an older one.
    """
    known = {run.name for one in view.service.status.batch for run in one.runs}
    recorded = {run.name for one in view.service.status.batch for run in one.runs if run.over}
    ttl = {entry.name: timedelta(seconds=entry.ttl_seconds_after_finished) for entry in view.entries}
    kept = {
        run.name
        for one in told
        for run in one.runs
        if run.name not in recorded or (_ended(view.jobs.get(run.name)) and not _expired(run, ttl[one.name], view.now))
    }
    for name, job in view.jobs.items():
        if name in known and name not in kept and _stands(job):
            yield Delete(JOBS, view.service.namespace, name, job["metadata"]["uid"])


def _ended(job: Manifest | None) -> bool:
    status = (job or {}).get("status") or {}
    return is_true(status, "Complete") or is_true(status, "Failed")


def _stands(job: Manifest | None) -> bool:
    return job is not None and "deletionTimestamp" not in job["metadata"]


def _expired(run: BatchRun, ttl: timedelta, now: datetime) -> bool:
    return run.over and run.end_time is not None and parse_timestamp(run.end_time) + ttl <= now


def _expiries(view: View, told: Sequence[BatchStatus]) -> list[float]:
    """Return the seconds until Jobs of runs that are over go."""
    ttl = {entry.name: timedelta(seconds=entry.ttl_seconds_after_finished) for entry in view.entries}
    ends = [
        (parse_timestamp(run.end_time) + ttl[one.name] - view.now).total_seconds()
        for one in told
        for run in one.runs
        if run.over and run.end_time is not None and _stands(view.jobs.get(run.name))
    ]
    return [max(left, SOON) for left in ends]


def _column(told: Sequence[BatchStatus]) -> str | None:
    """Return BATCH: the run in progress, else the one that ended last."""
    going = [(one.name, one.running) for one in told if one.running is not None]
    if going:
        name, run = going[0]
        more = f" +{len(going) - 1}" if len(going) > 1 else ""
        return f"{name} {run.partitions_done}/{run.partitions}{more}" if run is not None else None
    ended = [(one.runs[0].end_time or "", one.name, one.runs[0].phase) for one in told if one.runs]
    if not ended:
        return None
    _, name, phase = max(ended)
    return f"{name} {phase}"
