"""How one trial is doing, read from its Job and pods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from modelmill.contracts import names
from modelmill.contracts.names import EXIT_RETRY
from modelmill.contracts.result import SCORED, ResultError, StageResult, decode
from modelmill.kube.conditions import timestamp
from modelmill.kube.objects import Manifest
from modelmill.training.builders.job import RUN_SPEC_HASH_ANNOTATION
from modelmill.training.builders.search_jobs import trial_job_name
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

    job: its name. before: what the ledger says; entry: what it is to say. active: how it goes on, None when it does not.
    unseen: it has ended, but no pod tells how: the cache may be behind.
    """

    job: str
    before: Entry
    entry: Entry
    active: RunActive | None = None
    unseen: bool = False


def observe_trial(view: View, run_job: str, entry: Entry, metric: str) -> TrialSeen:
    """Return how a running trial is doing. metric: of the objective."""
    name = trial_job_name(run_job, entry.index, entry.attempt)
    job = view.jobs.get(name)
    if job is None:
        return TrialSeen(name, entry, entry, RunActive("Pending", entry.attempt))
    seen, look_again = observed_job(view, name)
    pods = view.pods.get(name, ())
    if isinstance(seen, jobs.Complete):
        return _completed(name, entry, pods, metric, seen.finished)
    if isinstance(seen, jobs.Failed):
        return _failed(name, entry, pods, seen)
    doing = active(seen, look_again)
    built_from = (job["metadata"].get("annotations") or {}).get(RUN_SPEC_HASH_ANNOTATION)
    if doing.obstacle and built_from != view.run_spec_hash():
        return TrialSeen(name, entry, replace(entry, attempt=entry.attempt + 1))
    return TrialSeen(name, entry, entry, doing)


def _completed(name: str, entry: Entry, pods: jobs.Pods, metric: str, finished: datetime) -> TrialSeen:
    at = timestamp(finished)
    pod = next((one for one in jobs.newest_first(pods) if _exit(one, names.STAGE_SCORE) == 0), None)
    if pod is None:
        return replace(_lost(name, entry, at, "its pod is gone and with it the result"), unseen=True)
    ends = [end for stage in STAGES if (end := ended(pod, stage)) is not None]
    # The kernel may kill a child of the container's program, which then ends well with half of the work done.
    killed = next((end for end in ends if end.reason == OOM_KILLED), None)
    if killed is not None:
        return TrialSeen(name, entry, _out_of_memory(entry, killed, at))
    try:
        result = decode(ends[-1].message)
    except ResultError as error:
        text = f"container {names.STAGE_SCORE}: {error}"
        return TrialSeen(name, entry, entry.ended("Failed", at, "ResultInvalid", text))
    return TrialSeen(name, entry, _scored(entry, result, metric, at))


def _scored(entry: Entry, result: StageResult, metric: str, at: str) -> Entry:
    if result.outcome != SCORED:
        return entry.ended("Failed", at, result.reason or result.outcome, " ".join(result.reasons))
    if metric not in result.metrics:
        found = ", ".join(sorted(result.metrics))
        remedy = "leave it in MODELMILL_METRICS, or correct spec.tuning.objective"
        text = f"container {names.STAGE_SCORE} told {found}, and no {metric}: {remedy}"
        return entry.ended("Failed", at, METRIC_MISSING, text)
    return entry.succeeded(metric, result.metrics, at)


def _failed(name: str, entry: Entry, pods: jobs.Pods, seen: jobs.Failed) -> TrialSeen:
    at = timestamp(seen.finished)
    if seen.reason == "DeadlineExceeded":
        text = "it ran longer than spec.runPolicy.activeDeadlineSeconds"
        return TrialSeen(name, entry, entry.ended("Failed", at, "DeadlineExceeded", text))
    failure = seen.failure
    if failure is None:
        # No program has failed: the node, or whoever deleted the pod, has ended it.
        return replace(_lost(name, entry, at, seen.message), unseen=not pods)
    if failure.reason == OOM_KILLED:
        return TrialSeen(name, entry, _out_of_memory(entry, failure, at))
    if failure.container == names.STAGE_FETCH and failure.exit_code == EXIT_RETRY:
        return _lost(name, entry, at, failure.describe())
    result = failure.result()
    if result is not None and result.reason:
        return TrialSeen(name, entry, entry.ended("Failed", at, result.reason, failure.describe()))
    word = "TrainingFailed" if failure.container == names.STAGE_TRAIN else "StageFailed"
    return TrialSeen(name, entry, entry.ended("Failed", at, word, failure.describe()))


def _lost(name: str, entry: Entry, at: str, text: str) -> TrialSeen:
    """Return the trial that is to be made again with the same parameters, which does not count."""
    if entry.attempt >= MOST_ATTEMPTS:
        return TrialSeen(name, entry, entry.ended("Failed", at, LOST, f"lost {entry.attempt} times: {text}"))
    return TrialSeen(name, entry, replace(entry, attempt=entry.attempt + 1))


def _out_of_memory(entry: Entry, end: Ended, at: str) -> Entry:
    text = f"{end.describe()}; raise spec.podTemplate.resources.limits.memory"
    return entry.ended("Failed", at, OUT_OF_MEMORY, text)


def _exit(pod: Manifest, container: str) -> int | None:
    end = ended(pod, container)
    return end.exit_code if end is not None else None
