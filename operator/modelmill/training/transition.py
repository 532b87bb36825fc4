"""What happens to the run: it starts, goes on, or ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from modelmill.api.training_job_status import CurrentRun, FinishedRun, RunOutcome, TrainingJobStatus, Trials
from modelmill.api.versions import champion, version_number
from modelmill.contracts.artifact import report_uri
from modelmill.contracts.result import DATA_REJECTED, GATE_FAILED, PUBLISHED, UNCHANGED
from modelmill.engine.interface import Delete, Event
from modelmill.kube.conditions import MAX_MESSAGE, timestamp
from modelmill.kube.labels import RUN_ANNOTATION
from modelmill.kube.objects import Manifest
from modelmill.kube.texts import fitted
from modelmill.training import reproduction
from modelmill.training.builders.job import CHAMPION_ANNOTATION, TRAINED_HASH_ANNOTATION, build_job, job_name
from modelmill.training.builders.model_version import build_model_version, metric_texts
from modelmill.training.builders.search_jobs import build_data_job, data_job_name
from modelmill.training.observation import REPLACED, RunActive, RunEnded, observe
from modelmill.training.replacement import given_up, other_spec
from modelmill.training.search.follow import follow_search
from modelmill.training.triggers import alerts, holds, manual, reproduce, schedule
from modelmill.training.triggers.decision import MAX_REASONS, Decision, Start
from modelmill.training.triggers.reason import Reason
from modelmill.training.view import View
from modelmill.workloads.containers import Image

KEPT_RUNS = 10
KEPT_NOTES = 16
MAX_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Transition:
    """The status after it, what is done before that is written, events, and the run as it was seen if it goes on.

    trials: Jobs that come after the status, since the ledger has their trials.
    """

    status: TrainingJobStatus
    apply: tuple[Manifest, ...] = ()
    create: tuple[Manifest, ...] = ()
    trials: tuple[Manifest, ...] = ()
    delete: tuple[Delete, ...] = ()
    events: tuple[Event, ...] = ()
    seen: RunActive | None = None


def start(view: View, begin: Start, decision: Decision, trainer: Image) -> Transition:
    """Start a run: its Job first, then the status that says so.

    Both are deterministic until the status is written, so that a restart in between finds the same Job and goes on.
    """
    number = view.next_number
    existing = view.jobs.get(job_name(view, number))
    again = reproduction.asked(view, existing, begin.kind)
    if again is not None:
        return _start_again(view, again, existing, trainer)
    version = f"{view.spec.model}-{number}"
    unless = known_digest(view) if begin.unattended else None
    name = job_name(view, number)
    searches = existing is None and view.spec.tuning is not None
    compared = champion(view.versions, view.services)
    if view.spec.tuning is not None and searches:
        existing = view.jobs.get(data_job_name(name))
        first = compared.name if compared is not None else None
        job = existing or build_data_job(view, number, name, first, trainer, unless)
    else:
        job = existing or build_job(view, number, version, compared, trainer, unless)
    annotations = job["metadata"]["annotations"]
    run = CurrentRun(
        number=number,
        reason=begin.kind if begin.kind != reproduce.KIND else manual.KIND,
        triggers=tuple(one.id for one in decision.occasions),
        alerts=_kinds(decision.occasions),
        trained_hash=annotations[TRAINED_HASH_ANNOTATION],
        version=version,
        job=name,
        champion=annotations[CHAMPION_ANNOTATION] or None,
        phase="Pending",
        attempt=1,
        start_time=timestamp(view.now),
        trials=Trials(maximum=view.spec.tuning.max_trials) if view.spec.tuning is not None and searches else None,
    )
    status = replace(schedule.answered(view), current_run=run, trained_hash=run.trained_hash)
    token = view.annotations.get(RUN_ANNOTATION)
    if token:
        status = replace(status, handled_annotation=token[: manual.KEPT])
    if not begin.unattended:
        status = replace(status, consecutive_failures=0, consecutive_rejections=0, unhelpful_runs=())
    else:
        status = replace(status, unattended_starts=holds.with_start(view, begin.kind, run.start_time))
    event = Event("Normal", "RunStarted", f"run {number} started, trigger {begin.kind}: {begin.message}"[:1000])
    return Transition(status, create=() if existing else (job,), events=(event,), seen=RunActive("Pending", 1))


def _start_again(view: View, version: str, existing: Manifest | None, trainer: Image) -> Transition:
    """Start a run that makes a version again: it answers no other reason to run, and makes up for no failure."""
    begun = reproduction.begun(view, version, existing, trainer)
    if begun is None:
        return Transition(view.status)
    run, job = begun
    status = replace(view.status, current_run=run, handled_reproduction=version)
    event = Event("Normal", "RunStarted", f"run {run.number} started, trigger {run.reason}: it makes {version} again")
    return Transition(status, create=() if existing else (job,), events=(event,), seen=RunActive("Pending", 1))


def known_digest(view: View) -> str | None:
    """Return the digest of the data that the last version was trained on, when it was trained as the next one would be.

    None with a script, which may have changed without a word.
    """
    if view.spec.train.script is not None:
        return None
    last = next((run for run in view.status.runs if run.outcome in (PUBLISHED, GATE_FAILED)), None)
    return last.data_digest if last is not None and last.trained_hash == view.trained_hash() else None


def follow(view: View, run: CurrentRun, decision: Decision, trainer: Image) -> Transition:
    """Follow the run in progress to its end."""
    if run.trials is None:
        return _followed(view, run, observe(view, run), decision, replaceable=True)
    step = follow_search(view, run, trainer)
    # What is found already is not thrown away for a change of the pods: those that cannot run are made anew.
    replaceable = step.copying or bool(manual.reasons(view))
    made = _followed(view, step.run, step.seen, decision, replaceable=replaceable)
    return replace(
        made,
        apply=step.apply,
        create=(*step.create, *made.create),
        trials=step.trials,
        delete=step.delete,
        events=(*step.events, *made.events),
    )


def _followed(
    view: View, run: CurrentRun, seen: RunActive | RunEnded, decision: Decision, *, replaceable: bool
) -> Transition:
    if isinstance(seen, RunEnded):
        return _replace(view, run, seen, decision) if seen.cause == REPLACED else finish(view, run, seen, decision)
    ended = given_up(view, run, seen) if replaceable else None
    if ended is not None:
        return _replace(view, run, ended, decision)
    message = fitted(seen.told, MAX_MESSAGE) or None
    current = replace(run, phase=seen.phase, attempt=seen.attempt, message=message)
    events: tuple[Event, ...] = ()
    if seen.obstacle and run.message != message:
        events = (Event("Warning", seen.obstacle, f"run {run.number}: {seen.told}"[:1000]),)
    return Transition(replace(view.status, current_run=current), events=events, seen=seen)


def finish(view: View, run: CurrentRun, ended: RunEnded, decision: Decision) -> Transition:
    """Latch the result in the status; a run that made a version creates its ModelVersion first."""
    if reproduction.is_reproduction(run):
        ended = reproduction.without_version(ended)
    record = _record(view, run, ended, decision)
    status = replace(view.status, current_run=None, last_run=record, runs=(record, *view.status.runs)[:KEPT_RUNS])
    create: tuple[Manifest, ...] = ()
    if ended.made_version:
        create = (build_model_version(view, run, ended.result, record.finish_time),)
        status = replace(status, latest_version=run.version)
    if record.cause != REPLACED and not reproduction.is_reproduction(record):
        status = _counted(status, record.outcome)
    events: tuple[Event, ...] = (_event(view, record),)
    if record.drift:
        text = f"run {record.number}: {'; '.join(record.drift)}"
        events = (Event("Warning", "DataDrifted", text[:1000]), *events)
    return Transition(status, create=create, events=events)


def _replace(view: View, run: CurrentRun, ended: RunEnded, decision: Decision) -> Transition:
    """Latch the end of a run that is given up; its Job goes, and the next run starts, when that is written.

    A run for another spec is due though nothing that it trains may be changed: the status then knows of nothing trained.
    """
    last = finish(view, run, ended, decision)
    return replace(last, status=replace(last.status, trained_hash=None)) if other_spec(view, run) else last


def _counted(status: TrainingJobStatus, outcome: RunOutcome) -> TrainingJobStatus:
    """Return the status with what failed in a row: a failed run says nothing about whether the next version passes."""
    if outcome == PUBLISHED:
        return replace(status, consecutive_failures=0, consecutive_rejections=0)
    if outcome == UNCHANGED:
        return status
    if outcome == GATE_FAILED:
        return replace(status, consecutive_failures=0, consecutive_rejections=_one_more(status.consecutive_rejections))
    return replace(status, consecutive_failures=_one_more(status.consecutive_failures))


def _one_more(count: int) -> int:
    """Return the next count, as long as an integer of the API takes it: somebody may have written the greatest."""
    return min(count + 1, MAX_COUNT)


def _record(view: View, run: CurrentRun, ended: RunEnded, decision: Decision) -> FinishedRun:
    result, reproduced = ended.result, reproduction.record_of(ended.result)
    came = _answered_too(ended, decision)
    message = reproduction.told(reproduced) if reproduced is not None else ended.message
    return FinishedRun(
        number=run.number,
        reason=run.reason,
        triggers=tuple(dict.fromkeys((*run.triggers, *(one.id for one in came))))[:MAX_REASONS],
        alerts=tuple(dict.fromkeys((*run.alerts, *_kinds(came)))),
        outcome=cast(RunOutcome, result.outcome),  # `contracts.result` lets no other through
        cause=ended.cause or None,
        message=fitted(message, MAX_MESSAGE) or None,
        version=run.version if ended.made_version else None,
        report=report_uri(result.artifact.uri) if ended.made_version and result.artifact is not None else None,
        notes=tuple(fitted(note, 1024) for note in (*_same_data(view, run, ended), *result.notes)[:KEPT_NOTES]),
        drift=tuple(fitted(sentence, 1024) for sentence in result.drift[:KEPT_NOTES]),
        trained_hash=run.trained_hash,
        data_digest=result.data.digest if result.data is not None else None,
        metrics=metric_texts(result.metrics),
        champion=result.champion.name if result.champion is not None else None,
        champion_metrics=metric_texts(result.champion.metrics) if result.champion is not None else {},
        trials=run.trials,
        best=run.best,
        reproduced=reproduced,
        job=run.job,
        attempts=ended.attempts,
        start_time=run.start_time,
        finish_time=timestamp(ended.finished),
    )


def _same_data(view: View, run: CurrentRun, ended: RunEnded) -> tuple[str, ...]:
    """Return a note when the run made a version on the data of the version before: it is likely no other."""
    earlier = [one for one in view.versions if version_number(one.name) < run.number and one.spec.lineage is not None]
    before = max(earlier, key=lambda one: version_number(one.name), default=None)
    data = ended.result.data
    if not ended.made_version or data is None or before is None or before.spec.lineage is None:
        return ()
    same = before.spec.lineage.data_digest == data.digest
    return (f"the data are those that {before.name} was trained on",) if same else ()


def _answered_too(ended: RunEnded, decision: Decision) -> list[Reason]:
    """Return the alerts that came while the run trained and that it answers beside those that it was started for.

    One drift shows in one feature after the other; a run that succeeded has seen the data that they are about. What began
    when the run was over, and only its record was late, waits for the next one. So does a time of the schedule: it is for the
    data that there are then.
    """
    if not ended.made_version and ended.result.outcome != UNCHANGED:
        return []
    told = [one for one in decision.occasions if one.kind == alerts.KIND]
    return [one for one in told if one.since is None or one.since <= ended.finished]


def _kinds(reasons: Sequence[Reason]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.alert for one in reasons if one.alert))


def _event(view: View, record: FinishedRun) -> Event:
    if record.outcome == PUBLISHED:
        metric = view.spec.evaluation.primary.metric
        text = f"run {record.number} published {record.version}, {metric}={record.metrics.get(metric, 'not reported')}"
        return Event("Normal", "RunPublished", text)
    if record.reproduced is not None:
        return reproduction.event(record, record.reproduced)
    if record.outcome == UNCHANGED:
        return Event("Normal", "RunUnchanged", f"run {record.number}: {record.message}")
    if record.outcome == GATE_FAILED:
        text = f"run {record.number}: {record.version} failed its gates and is kept as Rejected: {record.message or ''}"
        return Event("Warning", "GateFailed", text[:1000])
    if record.cause == REPLACED:
        return Event("Normal", "RunReplaced", f"run {record.number}: {record.message}"[:1000])
    reason = "DataRejected" if record.outcome == DATA_REJECTED else "RunFailed"
    return Event("Warning", reason, f"run {record.number}: {record.cause}: {record.message}"[:1000])
