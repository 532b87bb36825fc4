"""Drift reports: asked for by alerts and by a person's word, one at a time, followed, told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from modelmill.api.base import Alert
from modelmill.api.drift_report import ReportJob, ReportStatus
from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.api.monitoring import DATA_QUALITY, DRIFT, SKEW
from modelmill.api.objects import InferenceService, ModelVersion, status_manifest
from modelmill.contracts.drift_report import page_uri
from modelmill.engine.interface import Aside, Delete, Event
from modelmill.engine.parts import Contribution
from modelmill.kube.conditions import is_true, parse_timestamp, timestamp
from modelmill.kube.labels import REPORT_ANNOTATION
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import JOBS
from modelmill.kube.texts import fitted
from modelmill.monitoring.report_job import build_job, job_name
from modelmill.workloads import jobs
from modelmill.workloads.containers import Image

FIELDS: Final = ("report",)
KINDS: Final = (DRIFT, SKEW, DATA_QUALITY)
"""Of the alerts that a page is made for."""
PAUSE: Final = timedelta(minutes=10)
"""Shortest time between the beginnings of two pages that alerts ask for; what comes meanwhile is told by the second one."""
DEADLINE: Final = timedelta(minutes=15)
"""Longest time that a page is waited for; its Job ends before, and its own words are then known."""
JOB_KEPT: Final = timedelta(minutes=5)
KEPT: Final = 256
"""How much of the annotation is kept and compared."""
SOON: Final = 0.1
WAITS: Final = "a report waits"
"""Begins the message about one that is not begun."""
MOST_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class View:
    """An InferenceService whose status has its alerts, with the Jobs of its reports.

    version: that the report in progress, or the next one, is about; None where it is not there or cannot be read. jobs: by
    name, the service's own; pods: by Job, the Job's own. image: of the trainer.
    """

    service: InferenceService
    version: ModelVersion | None
    jobs: Mapping[str, Manifest]
    pods: Mapping[str, Sequence[Manifest]]
    image: Image
    now: datetime


@dataclass(frozen=True, slots=True)
class _Step:
    """The status as it is to be, Jobs to make, events, and in how many seconds something is due."""

    status: ReportStatus
    create: tuple[Manifest, ...] = ()
    events: tuple[Event, ...] = ()
    waits: Sequence[float] = field(default_factory=tuple)


def plan(view: View) -> Contribution:
    """Return what reports add."""
    known = view.service.status.report or ReportStatus()
    fires = {alert.id for alert in view.service.status.alerts}
    known = replace(known, alerts=tuple(one for one in known.alerts if one in fires))
    step = _followed(view, known, known.job) if known.job is not None and not known.job.over else _next(view, known)
    waits = [*step.waits, *_expiries(view)]
    told = step.status if step.status != ReportStatus() else None
    fields = status_manifest(InferenceServiceStatus(report=told))
    return Contribution(
        aside=[Aside(create=[job]) for job in step.create],
        delete=list(_unwanted(view)),
        status={name: fields[name] for name in FIELDS if name in fields},
        events=step.events,
        requeue_after=max(min(waits), SOON) if waits else None,
    )


def _next(view: View, known: ReportStatus) -> _Step:
    """Return what is next while no page is made."""
    text = view.service.metadata.annotations.get(REPORT_ANNOTATION, "")[:KEPT]
    by_hand = bool(text) and text != known.annotation
    new = [one for one in view.service.status.alerts if one.kind in KINDS and one.id not in known.alerts]
    if not by_hand and not new:
        return _over_before(known) if (known.message or "").startswith(WAITS) else _Step(known)
    monitoring, stable = view.service.spec.monitoring, view.service.status.stable
    answered = replace(known, annotation=text) if by_hand else known
    if monitoring is None:
        return (
            _refused(answered, "spec.monitoring is not set, so that nothing is counted: set it")
            if by_hand
            else _Step(known)
        )
    if stable is None:
        return _Step(replace(known, message=f"{WAITS}: no version serves yet"))
    paused = _paused(known, new, view.now) if not by_hand else None
    if paused is not None:
        return paused
    answered = replace(answered, alerts=(*known.alerts, *(one.id for one in new)))
    version = view.version
    artifact = version.spec.artifact if version is not None else None
    if version is None or artifact is None or artifact.digest != stable.digest:
        return _refused(answered, f"VersionNotFound: {stable.version} with the artifact {stable.digest[:19]} is gone")
    name = job_name(view.service, view.now)
    if known.job is not None and known.job.name == name:
        return _Step(known, waits=[1.0])
    place = page_uri(version.spec.store.uri, view.service.namespace, view.service.name, f"{view.now:%Y%m%dt%H%M%Sz}")
    asked = f"{REPORT_ANNOTATION}: {text}" if by_hand else _named(new)
    run = ReportJob(
        name=name,
        phase="Pending",
        reason=fitted(asked, 1000),
        version=stable.version,
        digest=stable.digest,
        uri=place,
        start_time=timestamp(view.now),
    )
    # The Job is made when this is on record: whoever takes over in between makes the same one.
    return _Step(replace(answered, job=run, message=None), waits=[SOON])


def _over_before(known: ReportStatus) -> _Step:
    """Return that nobody asks any more for the page that waited."""
    words = f"what asked for a report was over before one was begun; ask for one by {REPORT_ANNOTATION}"
    return _Step(replace(known, message=None), events=(Event("Normal", "DriftReportSkipped", words),))


def _paused(known: ReportStatus, new: Sequence[Alert], now: datetime) -> _Step | None:
    """Return that the page of alerts waits, None when it does not; a page that a person asked for holds none back."""
    if known.job is None or known.job.reason.startswith(REPORT_ANNOTATION):
        return None
    due = parse_timestamp(known.job.start_time) + PAUSE
    left = (due - now).total_seconds()
    # A start that is to come was written by somebody else.
    if not 0 < left <= PAUSE.total_seconds():
        return None
    minutes = PAUSE // timedelta(minutes=1)
    words = f"{WAITS} until {timestamp(due)}, {minutes} minutes after the one before: {_named(new)}"
    return _Step(replace(known, message=fitted(words, 2000)), waits=[left])


def _named(alerts: Sequence[Alert]) -> str:
    words = [_words(one) for one in alerts[:MOST_NAMED]]
    more = f" and {len(alerts) - MOST_NAMED} more" if len(alerts) > MOST_NAMED else ""
    return f"alerts fire: {', '.join(words)}{more}"


def _words(alert: Alert) -> str:
    problem = f"({alert.value})" if alert.kind == DATA_QUALITY and alert.value else None
    return " ".join(filter(None, (alert.kind, alert.feature, problem)))


def _followed(view: View, known: ReportStatus, run: ReportJob) -> _Step:
    """Return what is next of a page that is made."""
    job = view.jobs.get(run.name)
    seen = jobs.observe(job, view.pods.get(run.name, ()), view.now) if job is not None else None
    if isinstance(seen, jobs.Complete):
        over = replace(run, phase="Succeeded", end_time=timestamp(seen.finished))
        told = Event("Normal", "DriftReport", fitted(f"{run.uri} ({run.reason})", 1000))
        return _Step(replace(known, job=over, uri=run.uri, time=run.start_time, message=None), events=(told,))
    if isinstance(seen, jobs.Failed):
        return _failed(known, run, _why(seen), view.now)
    left = (parse_timestamp(run.start_time) + DEADLINE - view.now).total_seconds()
    obstacle = f"{seen.obstacle}: {seen.message}" if isinstance(seen, jobs.Active) and seen.obstacle else ""
    if left <= 0:
        what = f"Job {run.name} {'did not end' if job is not None else 'was not made'} in time"
        return _failed(known, run, f"DeadlineExceeded: {what}{obstacle and f': {obstacle}'}", view.now)
    if job is None:
        return _made(view, known, run, left)
    return _Step(
        replace(known, job=replace(run, phase="Running"), message=fitted(obstacle, 2000) or None), waits=[left]
    )


def _made(view: View, known: ReportStatus, run: ReportJob, left: float) -> _Step:
    monitoring, version = view.service.spec.monitoring, view.version
    artifact = version.spec.artifact if version is not None else None
    if monitoring is None:
        return _failed(known, run, "spec.monitoring was taken away", view.now)
    if version is None or artifact is None or artifact.digest != run.digest:
        words = f"VersionNotFound: {run.version} with the artifact {run.digest[:19]} is gone"
        return _failed(known, run, words, view.now)
    return _Step(known, create=(build_job(view.service, monitoring, run, version, view.image),), waits=[left])


def _why(seen: jobs.Failed) -> str:
    """Return why a Job failed."""
    told = seen.failure.result() if seen.failure is not None else None
    if told is not None and told.reason:
        return f"{told.reason}: {' '.join(told.reasons)}"
    return f"JobFailed: {seen.failure.describe() if seen.failure is not None else seen.message}"


def _failed(known: ReportStatus, run: ReportJob, why: str, now: datetime) -> _Step:
    over = replace(run, phase="Failed", end_time=timestamp(now))
    return _refused(replace(known, job=over), why)


def _refused(known: ReportStatus, why: str) -> _Step:
    """Return that a page is not there, which is told once: nobody waits for it any more."""
    words = fitted(f"{why}; ask for another one by {REPORT_ANNOTATION}", 2000)
    return _Step(replace(known, message=words), events=(Event("Warning", "DriftReportFailed", fitted(words, 1000)),))


def _unwanted(view: View) -> Iterator[Delete]:
    """Yield the Jobs that nobody needs.

    A result that is not on record yet keeps its Job. Of a Job that the status does not know, the status that is looked at may
    be an older one.
    """
    recorded = view.service.status.report.job if view.service.status.report is not None else None
    for name, job in view.jobs.items():
        meta = job["metadata"]
        if recorded is not None and name == recorded.name:
            old = recorded.over and _since(recorded.end_time, view.now) >= JOB_KEPT
        else:
            old = _ended(job) and _since(meta.get("creationTimestamp"), view.now) >= DEADLINE
        if old and "deletionTimestamp" not in meta:
            yield Delete(JOBS, view.service.namespace, name, meta["uid"])


def _expiries(view: View) -> list[float]:
    """Return the seconds until Jobs go."""
    recorded = view.service.status.report.job if view.service.status.report is not None else None
    waits = []
    for name, job in view.jobs.items():
        if recorded is not None and name == recorded.name:
            if recorded.over:
                waits.append((JOB_KEPT - _since(recorded.end_time, view.now)).total_seconds())
        elif _ended(job):
            waits.append((DEADLINE - _since(job["metadata"].get("creationTimestamp"), view.now)).total_seconds())
    return [left for left in waits if left > 0]


def _since(moment: str | None, now: datetime) -> timedelta:
    return now - parse_timestamp(moment) if moment else timedelta()


def _ended(job: Manifest) -> bool:
    status = job.get("status") or {}
    return is_true(status, "Complete") or is_true(status, "Failed")
