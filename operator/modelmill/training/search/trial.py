"""How the trials of one pod are doing, read from its Job and pods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from modelmill.contracts import names
from modelmill.contracts.names import EXIT_RETRY
from modelmill.contracts.result import SCORED, ResultError, StageResult, TrialResult, decode
from modelmill.kube.conditions import timestamp
from modelmill.kube.objects import Manifest
from modelmill.training.builders.job import RUN_SPEC_HASH_ANNOTATION
from modelmill.training.builders.search_jobs import job_of
from modelmill.training.observation import OUT_OF_MEMORY, RunActive, active, observed_job
from modelmill.training.view import View
from modelmill.tuning.ledger import Entry
from modelmill.workloads import jobs
from modelmill.workloads.pod_status import OOM_KILLED, Ended, ended

STAGES: Final = (names.STAGE_FETCH, names.STAGE_TRAIN, names.STAGE_SCORE)
MOST_ATTEMPTS: Final = 6
"""Pods of one trial that may be lost; one more counts as a failure, so that no trial is begun for ever."""
LOST: Final = "InfrastructureLost"
METRIC_MISSING: Final = "MetricMissing"


@dataclass(frozen=True, slots=True)
class TrialSeen:
    """A trial as it was looked at.

    job: the name of that of its pod. entry: what the ledger is to say. active: how it goes on, None when it does not.
    unseen: it has ended, but no pod that has tells how: the cache may be behind.
    """

    job: str
    entry: Entry
    active: RunActive | None = None
    unseen: bool = False


Changed = Callable[[Entry], Entry]


def observe_pod(view: View, run_job: str, trials: Sequence[Entry], metric: str) -> list[TrialSeen]:
    """Return how the running trials of one pod are doing. metric: of the objective."""
    name = job_of(run_job, trials[0])
    job = view.jobs.get(name)
    if job is None:
        return [TrialSeen(name, one, RunActive("Pending", one.attempt)) for one in trials]
    seen, look_again = observed_job(view, name)
    pods = view.pods.get(name, ())
    if isinstance(seen, jobs.Complete):
        changed, unseen = _completed(trials, pods, metric, seen.finished)
        return [TrialSeen(name, changed(one), unseen=unseen) for one in trials]
    if isinstance(seen, jobs.Failed):
        changed, unseen = _failed(trials, pods, seen)
        return [TrialSeen(name, changed(one), unseen=unseen) for one in trials]
    doing = active(seen, look_again)
    built_from = (job["metadata"].get("annotations") or {}).get(RUN_SPEC_HASH_ANNOTATION)
    if doing.obstacle and built_from != view.run_spec_hash():
        return [TrialSeen(name, one.again()) for one in trials]
    return [TrialSeen(name, one, doing) for one in trials]


def _completed(trials: Sequence[Entry], pods: jobs.Pods, metric: str, finished: datetime) -> tuple[Changed, bool]:
    at = timestamp(finished)
    pod = next((one for one in jobs.newest_first(pods) if _exit(one, names.STAGE_SCORE) == 0), None)
    if pod is None:
        return _lost(at, "its pod is gone and with it the result"), True
    ends = [end for stage in STAGES if (end := ended(pod, stage)) is not None]
    # The kernel may kill a child of the container's program, which then ends well with half of the work done.
    killed = next((end for end in ends if end.reason == OOM_KILLED), None)
    if killed is not None:
        return _blamed(trials, at, *_out_of_memory(killed)), False
    try:
        result = decode(ends[-1].message)
    except ResultError as error:
        return _blamed(trials, at, "ResultInvalid", f"container {names.STAGE_SCORE}: {error}"), False
    if len(trials) == 1:
        return (lambda one: _scored(one, result, metric, at)), False
    untold = _blamed(trials, at, "ResultInvalid", f"container {names.STAGE_SCORE} told nothing of it")
    told = {one.index: one for one in result.trials}
    return (lambda one: _told(one, told[one.index], metric, at) if one.index in told else untold(one)), False


def _scored(entry: Entry, result: StageResult, metric: str, at: str) -> Entry:
    reason = "" if result.outcome == SCORED else result.reason or result.outcome
    return _told(
        entry, TrialResult(entry.index, result.metrics, reason, " ".join(result.reasons), result.model), metric, at
    )


def _told(entry: Entry, result: TrialResult, metric: str, at: str) -> Entry:
    if result.reason:
        return entry.ended("Failed", at, result.reason, result.message)
    if metric not in result.metrics:
        found = ", ".join(sorted(result.metrics))
        remedy = "leave it in MODELMILL_METRICS, or correct spec.tuning.objective"
        text = f"container {names.STAGE_SCORE} told {found}, and no {metric}: {remedy}"
        return entry.ended("Failed", at, METRIC_MISSING, text)
    return entry.succeeded(metric, result.metrics, at, result.model)


def _failed(trials: Sequence[Entry], pods: jobs.Pods, seen: jobs.Failed) -> tuple[Changed, bool]:
    at = timestamp(seen.finished)
    if seen.reason == "DeadlineExceeded":
        text = "it ran longer than spec.runPolicy.activeDeadlineSeconds"
        return _blamed(trials, at, "DeadlineExceeded", text), False
    failure = seen.failure
    if failure is None:
        # No program has failed: the node, or whoever deleted the pod, has ended it.
        return _lost(at, seen.message), not any((pod.get("status") or {}).get("phase") == "Failed" for pod in pods)
    if failure.reason == OOM_KILLED:
        return _blamed(trials, at, *_out_of_memory(failure)), False
    if failure.container == names.STAGE_FETCH and failure.exit_code == EXIT_RETRY:
        return _lost(at, failure.describe()), False
    result = failure.result()
    word = "TrainingFailed" if failure.container == names.STAGE_TRAIN else "StageFailed"
    reason, text = (result.reason if result is not None else "") or word, failure.describe()
    if failure.container == names.STAGE_FETCH and result is not None:
        # Nothing of a trial has begun: alone, each would end like this.
        return (lambda one: one.ended("Failed", at, reason, text)), False
    return _blamed(trials, at, reason, text), False


def _lost(at: str, text: str) -> Changed:
    """Return what makes a trial again with the same parameters and the same company, which does not count."""

    def changed(one: Entry) -> Entry:
        if one.attempt >= MOST_ATTEMPTS:
            return one.ended("Failed", at, LOST, f"lost {one.attempt} times: {text}")
        return one.again()

    return changed


def _blamed(trials: Sequence[Entry], at: str, reason: str, text: str) -> Changed:
    """Return what ends the trial of a pod; of several, which of them did it is not known, and each is made again alone."""
    if len(trials) == 1:
        return lambda one: one.ended("Failed", at, reason, text)
    return lambda one: one.alone(f"{reason}: {text}")


def _out_of_memory(end: Ended) -> tuple[str, str]:
    return OUT_OF_MEMORY, f"{end.describe()}; raise spec.podTemplate.resources.limits.memory"


def _exit(pod: Manifest, container: str) -> int | None:
    end = ended(pod, container)
    return end.exit_code if end is not None else None
