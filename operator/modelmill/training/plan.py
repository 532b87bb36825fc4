"""The plan of a TrainingJob: follow the run in progress, or start the next one, and say what is true. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from modelmill.api.objects import readable_model_versions, status_manifest
from modelmill.api.training_job_status import FinishedRun, PendingTrigger, TrainingJobStatus
from modelmill.engine.interface import Aside, Delete, Event
from modelmill.engine.parts import UNCHANGED, Contribution
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.labels import RUN_LABEL, STEP_LABEL
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import CONFIG_MAPS, JOBS
from modelmill.kube.texts import fitted
from modelmill.training import history
from modelmill.training.builders.job import job_name
from modelmill.training.builders.ledger import build_ledger
from modelmill.training.columns import best, phase, progress, trigger
from modelmill.training.conditions import conditions, newly_of_another
from modelmill.training.decisions import decided
from modelmill.training.looks import looked
from modelmill.training.observation import REPLACED, RunActive
from modelmill.training.search.follow import STEPS
from modelmill.training.search.ledgers import searched
from modelmill.training.transition import Transition, follow, start
from modelmill.training.triggers import alerts, holds, reproduce, schedule, unhelpful
from modelmill.training.triggers.decision import Decision, decide
from modelmill.training.view import View
from modelmill.workloads import jobs
from modelmill.workloads.containers import Image


def plan(view: View, trainer: Image) -> Contribution:
    """Return what the TrainingJob needs now."""
    if view.training_job.metadata.deleting:
        return UNCHANGED
    before = view.status
    view = view.with_status(replace(before, unhelpful_runs=unhelpful.counted(view)))
    decision = decide(view)
    transition = _transition(view, decision, trainer)
    look = looked(view.with_status(transition.status), trainer)
    taken, told_why = decided(view.with_status(look.status), before, decision)
    after = _scheduled(view.with_status(taken))
    expired, next_expiry = expired_jobs(after, view.status.runs)
    pruned = history.surplus(after)
    seen = transition.seen
    look_again = [
        (waiting.hold.until - view.now).total_seconds()
        for waiting in decision.waiting
        if waiting.hold.until is not None
    ]
    lasting = unhelpful.lasts_from(after) if after.status.unhelpful_runs else None
    in_line = any(one.hold.reason == holds.JOINS_LINE for one in decision.waiting)
    look_again += [0.1] if in_line else []
    times = (schedule.changes_at(after), lasting if lasting is not None and lasting > view.now else None)
    look_again += [(due - view.now).total_seconds() for due in times if due is not None]
    look_again += [
        seconds
        for seconds in (next_expiry, look.again, seen.look_again if seen is not None else None)
        if seconds is not None
    ]
    made = readable_model_versions(one for one in transition.create if one["kind"] == "ModelVersion")
    status = replace(_told(after, decision, seen), best=best(after, made))
    told = conditions(after, seen)
    another = newly_of_another(view, told)
    events = (*transition.events, *told_why, *look.events, *history.told(view, pruned))
    if another is not None:
        events = (*events, Event("Warning", another.reason, another.message[:1000]))
    return Contribution(
        create=transition.create,
        aside=[Aside(create=[job]) for job in (*transition.trials, *look.create)],
        apply=[*transition.apply, *earlier_ledger(view)],
        keep=[(CONFIG_MAPS, name) for name in kept_ledgers(view)],
        delete=[*transition.delete, *look.delete, *expired, *pruned],
        status=status_manifest(replace(status, conditions=(), observed_generation=None)),
        conditions=told,
        events=events,
        requeue_after=max(min(look_again), 0.1) if look_again else None,
    )


def _transition(view: View, decision: Decision, trainer: Image) -> Transition:
    if view.status.current_run is not None:
        return follow(view, view.status.current_run, decision, trainer)
    if decision.start is not None:
        return start(view, decision.start, decision, trainer)
    return Transition(view.status)


def _scheduled(view: View) -> View:
    """Return the view with the next time of the schedule."""
    due, of = schedule.kept(view)
    return view.with_status(replace(view.status, next_schedule_time=due, schedule_hash=of))


def _told(view: View, decision: Decision, seen: RunActive | None) -> TrainingJobStatus:
    """Return the status with the fields that are computed anew each time."""
    pending = tuple(
        PendingTrigger(
            id=one.reason.id,
            reason=one.reason.kind,
            message=fitted(f"{one.reason.message}: {one.hold.message}", 1000),
            hold=one.hold.reason,
            until=timestamp(one.hold.until) if one.hold.until is not None else None,
        )
        for one in decision.waiting
    )
    return replace(
        view.status,
        phase=phase(view),
        progress=progress(view.status, seen),
        trigger=trigger(view.status),
        pending_triggers=pending,
        handled_reproduction=view.status.handled_reproduction if reproduce.asked(view) is not None else None,
        answered_alerts=alerts.still_answered(view),
        turn_since=_turn_since(view, decision),
    )


def _turn_since(view: View, decision: Decision) -> str | None:
    """Return since when a run waits for nothing but its turn."""
    line = (holds.JOINS_LINE, holds.WAITS_FOR_TURN)
    if view.status.current_run is not None or not any(one.hold.reason in line for one in decision.waiting):
        return None
    return view.status.turn_since or timestamp(view.now)


def earlier_ledger(view: View) -> list[Manifest]:
    """Return the ConfigMaps of the last search that ended, as they are: a search with more trials goes on with them."""
    last = searched(view.status)
    if last is None or view.earlier is None or view.earlier.damaged:
        return []
    return [*build_ledger(view, last.number, last.job, view.earlier, view.earlier)]


def kept_ledgers(view: View) -> list[str]:
    """Return the ConfigMaps that stay: those of runs before the last search that ended go."""
    last = searched(view.status)
    least = last.number if last is not None else 0
    return [name for name, number in view.ledgers.items() if number >= least]


def expired_jobs(view: View, written: Sequence[FinishedRun]) -> tuple[list[Delete], float | None]:
    """Return Jobs kept long enough after their run, and the seconds until the next one is.

    A Job may go only when its result is in the status that was `written`; the API server's own TTL would not wait for that.
    """
    runs = {run.job: run for run in view.status.runs}
    known = {run.job for run in written}
    current = view.status.current_run
    deletes: list[Delete] = []
    waits: list[float] = []
    for name, job in view.jobs.items():
        of_current = current is not None and (name == current.job or _step_of(view, job, current.number))
        if of_current or "deletionTimestamp" in job["metadata"]:
            continue
        run = runs.get(name) or next((one for one in view.status.runs if _step_of(view, job, one.number)), None)
        if run is None:
            until = _kept_until(view, job, written)
        else:
            until = view.now if run.job != name and _useless(view, job) else _recorded_until(view, run)
        if until is None:
            continue
        left = (until - view.now).total_seconds()
        if left <= 0 and (run is None or run.job in known):
            deletes.append(Delete(JOBS, view.namespace, name, job["metadata"]["uid"]))
        else:
            waits.append(left)
    return deletes, min(waits, default=None)


def _step_of(view: View, job: Manifest, number: int) -> bool:
    """Tell whether the Job is one of the search of run `number` beside the one that publishes."""
    said = job["metadata"].get("labels") or {}
    return said.get(STEP_LABEL) in STEPS and said.get(RUN_LABEL) == str(number)


def _useless(view: View, job: Manifest) -> bool:
    """Tell whether nobody will look at the Job of a step when its run is over: one that has not failed."""
    return not isinstance(jobs.observe(job, (), view.now), jobs.Failed)


def _recorded_until(view: View, run: FinishedRun) -> datetime:
    """Return until when the Job of a run on record is kept.

    That of a run that was given up for the next one goes at once: its pod may take the place of the next one's.
    """
    seconds = 0 if run.cause == REPLACED else view.spec.run_policy.ttl_seconds_after_finished
    return parse_timestamp(run.finish_time) + timedelta(seconds=seconds)


def _kept_until(view: View, job: Manifest, written: Sequence[FinishedRun]) -> datetime | None:
    """Return until when a Job of a run is kept that is not on record any more, or never was; None while it may come to be.

    Numbers only grow: nothing is waited for of a run below one that has ended.
    """
    text = (job["metadata"].get("labels") or {}).get(RUN_LABEL, "")
    number = int(text) if text.isascii() and text.isdigit() else 0
    newest = max((run.number for run in written), default=0)
    ours = _step_of(view, job, number) or job["metadata"]["name"] == job_name(view, number)
    if number >= newest or not ours:
        return None
    seen = jobs.observe(job, (), view.now)
    if isinstance(seen, jobs.Active):
        return view.now
    return seen.finished + timedelta(seconds=view.spec.run_policy.ttl_seconds_after_finished)
