"""What a search does next: which Jobs are made and removed, what is written, and what its run tells of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelmill.api.training_job_status import CurrentRun, TrialFacts, Trials
from modelmill.api.versions import number
from modelmill.engine.interface import Delete, Event
from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import JOBS
from modelmill.kube.texts import fitted
from modelmill.training.builders.job import RUN_SPEC_HASH_ANNOTATION
from modelmill.training.builders.ledger import build_ledger
from modelmill.training.builders.search_jobs import (
    DATA,
    TRIAL,
    build_data_job,
    build_publish_job,
    build_trial_job,
    data_job_name,
    job_of,
)
from modelmill.training.observation import RunActive, RunEnded, failed, observe
from modelmill.training.search.advance import Advance, advance, data_facts, with_suggestions
from modelmill.training.search.curves import LOOK_SECONDS, REASONS, looks_at_reports
from modelmill.training.triggers import holds
from modelmill.training.view import View
from modelmill.tuning.ledger import FAILED, PRUNED, RUNNING, SUCCEEDED, Entry, Ledger
from modelmill.tuning.pods import by_pod
from modelmill.tuning.verdict import GOOD, objective
from modelmill.workloads.containers import Image

SHOWN: Final = 10
KEPT_FAILED: Final = 10
"""Jobs of failed trials that stay, the last ones, so that their logs can be read until the run's Jobs go."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happens now.

    run: with what it tells of its trials. seen: how the run goes on or ended. copying: it does not have its data yet.
    apply: ConfigMaps of the ledger, which are written first. create, delete: Jobs. trials: Jobs of trials that the ledger has.
    """

    run: CurrentRun
    seen: RunActive | RunEnded
    copying: bool = False
    apply: tuple[Manifest, ...] = ()
    create: tuple[Manifest, ...] = ()
    trials: tuple[Manifest, ...] = ()
    delete: tuple[Delete, ...] = ()
    events: tuple[Event, ...] = ()


def follow_search(view: View, run: CurrentRun, trainer: Image) -> Step:
    """Return the next step of a run that searches."""
    far = with_suggestions(view, advance(view, run))
    if far.ended is not None:
        return Step(told(view, run, view.ledger), far.ended, apply=tuple(_as_it_is(view, run)))
    if far.ledger is None:
        return _copying(view, run, far, trainer)
    ledger, header = far.ledger, far.ledger.header
    step = Step(
        run=told(view, run, ledger),
        seen=RunActive("Searching", 1),
        apply=tuple(build_ledger(view, run.number, run.job, view.ledger, ledger)),
        delete=tuple(_removed(view, run, ledger)),
        events=tuple(_events(view, run, ledger)),
    )
    if not header.end:
        missing = [pod for pod in by_pod(ledger.running()) if job_of(run.job, pod[0]) not in view.jobs]
        trials = tuple(build_trial_job(view, run, ledger, pod, trainer) for pod in missing)
        return replace(step, seen=_doing(view, far), trials=trials)
    if header.end not in GOOD:
        ended = failed(header.end, header.message, 1, view.now)
        return replace(step, seen=replace(ended, result=replace(ended.result, data=data_facts(ledger))))
    return _publishing(view, run, ledger, step, trainer)


def _copying(view: View, run: CurrentRun, far: Advance, trainer: Image) -> Step:
    seen = far.data or RunActive("Pending", 1)
    run = told(view, run, view.ledger)
    if data_job_name(run.job) in view.jobs or view.spec.tuning is None or run.trained_hash != view.trained_hash():
        return Step(run, seen, copying=True, apply=tuple(_as_it_is(view, run)))
    job = build_data_job(view, run.number, run.job, run.champion, trainer, None)
    return Step(run, seen, copying=True, create=(job,))


def _as_it_is(view: View, run: CurrentRun) -> Sequence[Manifest]:
    """Return the ConfigMaps of a ledger in which nothing changes; none of one that is damaged, which is left to people."""
    if view.ledger is None or view.ledger.damaged:
        return ()
    return build_ledger(view, run.number, run.job, view.ledger, view.ledger)


def _publishing(view: View, run: CurrentRun, ledger: Ledger, step: Step, trainer: Image) -> Step:
    """Publish with the best parameters. A Job that cannot go on, and was made from another spec, makes way for another."""
    job = view.jobs.get(run.job)
    if job is None:
        made = build_publish_job(view, run, ledger, trainer)
        return replace(step, seen=RunActive("Pending", 1), create=(made,))
    seen = observe(view, run)
    built_from = (job["metadata"].get("annotations") or {}).get(RUN_SPEC_HASH_ANNOTATION)
    stuck = isinstance(seen, RunActive) and seen.obstacle and built_from != view.run_spec_hash()
    if stuck and run.trained_hash == view.trained_hash() and "deletionTimestamp" not in job["metadata"]:
        return replace(step, seen=seen, delete=(*step.delete, _delete(view, run.job)))
    if isinstance(seen, RunEnded) and seen.result.data is None:
        seen = replace(seen, result=replace(seen.result, data=data_facts(ledger)))
    return replace(step, seen=seen)


def _doing(view: View, far: Advance) -> RunActive:
    """Return how the trials go on: an obstacle is one when nothing else goes on."""
    if holds.suspended(view) is not None:
        return RunActive("Searching", 1, "spec.runPolicy.suspend is true: no trial begins")
    active = [one.active for one in far.trials if one.active is not None]
    stuck = [one for one in active if one.obstacle]
    look_again = min((one.look_again for one in active if one.look_again is not None), default=None)
    if looks_at_reports(view) and active:
        look_again = min(look_again or LOOK_SECONDS, LOOK_SECONDS)
    if not stuck:
        return RunActive("Searching", 1, view.no_reports, look_again=look_again)
    worst = max(stuck, key=lambda one: one.needs_help)
    if len(stuck) < len(active):
        return RunActive("Searching", 1, f"{len(stuck)} of {len(active)} trials wait: {worst.message}")
    remedy = worst.remedy.partition(":")[0]
    words = f"{remedy}: after a change of the spec the trial is begun anew" if remedy else ""
    return replace(worst, phase="Searching", attempt=1, done=0, remedy=words, look_again=look_again)


def _removed(view: View, run: CurrentRun, ledger: Ledger) -> Iterator[Delete]:
    """Yield the Jobs of trials that are recorded as ended, or were lost; those of the last failed ones stay for their logs."""
    failures = [one for one in ledger.entries if one.state == FAILED][-KEPT_FAILED:]
    wanted = {job_of(run.job, one) for one in (*ledger.running(), *failures)}
    for name, job in view.jobs.items():
        said = job["metadata"].get("labels") or {}
        ours = (said.get(labels.STEP_LABEL), said.get(labels.RUN_LABEL)) == (TRIAL, str(run.number))
        if ours and name not in wanted and "deletionTimestamp" not in job["metadata"]:
            yield _delete(view, name)


def _delete(view: View, name: str) -> Delete:
    return Delete(JOBS, view.namespace, name, view.jobs[name]["metadata"]["uid"])


def _events(view: View, run: CurrentRun, ledger: Ledger) -> Iterator[Event]:
    before = {one.index: one for one in view.ledger.entries} if view.ledger is not None else {}
    for one in ledger.entries[ledger.header.carried :]:
        old = before.get(one.index)
        if old is not None and old.pod == one.index and one.pod is None:
            text = (
                f"run {run.number}, trials from {one.index} on: {one.message}; each is made again in a pod of its own"
            )
            yield Event("Warning", "TrialsParted", text)
        if one.state == FAILED and (old is None or old.state != FAILED):
            yield Event("Warning", "TrialFailed", f"run {run.number}, trial {one.index}: {one.reason}: {one.message}")
        if one.reason in REASONS and (old is None or old.state != PRUNED):
            yield Event("Normal", "TrialPruned", f"run {run.number}, trial {one.index}: {one.message}")
    if ledger.header.end and (view.ledger is None or not view.ledger.header.end):
        good = ledger.header.end in GOOD
        text = f"run {run.number}: {ledger.header.end}: {ledger.header.message}; {_counts(ledger)}"
        yield Event("Normal" if good else "Warning", "SearchEnded", text[:1000])


def _counts(ledger: Ledger) -> str:
    pruned = f", {ledger.count(PRUNED)} were stopped" if ledger.count(PRUNED) else ""
    return f"{ledger.count(SUCCEEDED)} of {len(ledger.entries)} trials succeeded, {ledger.count(FAILED)} failed{pruned}"


def told(view: View, run: CurrentRun, ledger: Ledger | None) -> CurrentRun:
    """Return the run with what its ledger says: counts, the best trial and the last ten."""
    maximum = view.spec.tuning.max_trials if view.spec.tuning is not None else None
    before = run.trials or Trials(maximum=1)
    trials = replace(before, maximum=maximum or before.maximum)
    if ledger is None:
        return replace(run, trials=trials)
    trials = replace(
        trials,
        succeeded=ledger.count(SUCCEEDED),
        failed=ledger.count(FAILED),
        pruned=ledger.count(PRUNED),
        running=ledger.count(RUNNING),
        end=ledger.header.end or None,
    )
    best = next(iter(ledger.ranked(_direction(view))), None)
    return replace(
        run,
        trials=trials,
        best=facts(best) if best is not None else None,
        last_trials=tuple(facts(one) for one in _newest(ledger.entries)),
    )


def _direction(view: View) -> str:
    tuning, primary = view.spec.tuning, view.spec.evaluation.primary
    return objective(tuning, primary).direction if tuning is not None else primary.direction


def _newest(entries: Sequence[Entry]) -> Sequence[Entry]:
    return entries[: -SHOWN - 1 : -1]


def facts(one: Entry) -> TrialFacts:
    """Return a trial as a status tells it."""
    return TrialFacts(
        index=one.index,
        state=one.state,
        value=f"{one.value:.6g}" if one.value is not None else None,
        reason=one.reason or None,
        parameters=fitted(", ".join(f"{name}={text}" for name, text in one.parameters.items()), 512),
    )


STEPS: Final = (DATA, TRIAL)
"""Steps of a search whose Jobs are not the one that publishes."""


def best_text(view: View, run: CurrentRun) -> str | None:
    """Return the best trial of the search in progress, for the BEST column."""
    if run.best is None or run.best.value is None or view.spec.tuning is None:
        return None
    aim = objective(view.spec.tuning, view.spec.evaluation.primary)
    value = number(run.best.value)
    # Anybody with the right to write the status may have left a text that is none.
    return f"{aim.metric}={value:.4g} (trial {run.best.index})" if value is not None else None
