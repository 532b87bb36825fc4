"""How the run in progress is doing, read from its Job and pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelmill.contracts import names
from modelmill.contracts.result import DATA_REJECTED, FAILED, ResultError, StageResult, decode
from modelmill.kube.conditions import parse_timestamp
from modelmill.kube.objects import Manifest
from modelmill.workloads.pod_status import blocked, ended, first_failure, unschedulable

PHASES = {names.STAGE_FETCH: "Fetching", names.STAGE_TRAIN: "Training", names.STAGE_PUBLISH: "Publishing"}
RESULT_PATIENCE = 30.0
"""Seconds after the Job's completion in which its pod's message may still arrive by another watch."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A run that goes on.

    blocked: CamelCase reason when a person must help, e.g. ImagePullFailed. message: what it waits for.
    again: seconds until it must be looked at without an event.
    """

    phase: str
    attempt: int
    message: str = ""
    blocked: str = ""
    again: float | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """A run that ended. For outcome Failed and DataRejected `cause` is a CamelCase word and `message` the whole story."""

    result: StageResult
    attempts: int
    finished: datetime
    cause: str = ""
    message: str = ""
    succeeded: bool = field(default=False)


def observe(job: Manifest | None, pods: Sequence[Manifest], now: datetime) -> Progress | Ending:
    """Return how the run is doing. `job` is None when it was deleted by somebody else."""
    if job is None:
        return _failed("JobDeleted", "its Job was deleted while it ran; start a run with the annotation", 1, now)
    status = job.get("status") or {}
    attempt = int(status.get("failed", 0)) + 1
    for condition in status.get("conditions") or ():
        if condition["status"] != "True":
            continue
        if condition["type"] == "Complete":
            return _completed(condition, pods, attempt, now)
        if condition["type"] == "Failed":
            return _job_failed(condition, pods, max(int(status.get("failed", 0)), 1), now)
    return _progress(job, pods, attempt)


def _completed(
    condition: Mapping[str, Any], pods: Sequence[Manifest], attempts: int, now: datetime
) -> Progress | Ending:
    finished = parse_timestamp(condition["lastTransitionTime"])
    ends = [end for pod in pods if (end := ended(pod, names.STAGE_PUBLISH)) is not None and end.exit_code == 0]
    if not ends:
        waited = (now - finished).total_seconds()
        if waited < RESULT_PATIENCE:
            return Progress("Publishing", attempts, "waiting for the result of its pod", again=1.0)
        return _failed("ResultLost", "its pod is gone and with it the result; start it again", attempts, finished)
    try:
        result = decode(ends[-1].message)
    except ResultError as error:
        return _failed("ResultInvalid", f"container {names.STAGE_PUBLISH}: {error}", attempts, finished)
    if result.outcome in (FAILED, DATA_REJECTED):
        return Ending(result, attempts, finished, result.reason or result.outcome, " ".join(result.reasons))
    message = "; ".join(result.reasons) if result.reasons else ""
    return Ending(result, attempts, finished, result.reason, message, succeeded=True)


def _job_failed(condition: Mapping[str, Any], pods: Sequence[Manifest], attempts: int, now: datetime) -> Ending:
    finished = parse_timestamp(condition.get("lastTransitionTime") or now.isoformat())
    if condition.get("reason") == "DeadlineExceeded":
        return _failed(
            "DeadlineExceeded", "it ran longer than spec.runPolicy.activeDeadlineSeconds", attempts, finished
        )
    failure = next((end for pod in _newest_first(pods) if (end := first_failure(pod)) is not None), None)
    if failure is None:
        text = condition.get("message") or condition.get("reason") or "the Job failed"
        return _failed("JobFailed", str(text), attempts, finished)
    if failure.reason == "OOMKilled":
        mend = "raise spec.podTemplate.resources.limits.memory"
        return _failed("OutOfMemory", f"{failure.describe()}; {mend}", attempts, finished)
    try:
        result = decode(failure.message.strip())
    except ResultError:
        cause = "TrainingFailed" if failure.container == names.STAGE_TRAIN else "StageFailed"
        return _failed(cause, failure.describe(), attempts, finished)
    if result.outcome not in (FAILED, DATA_REJECTED):
        # It said that it published and then failed: success needs exit code 0 as well.
        return _failed(
            "StageFailed", f"container {failure.container} exited with code {failure.exit_code}", attempts, finished
        )
    text = " ".join(result.reasons) or result.reason
    message = f"container {failure.container} exited with code {failure.exit_code}: {text}"
    return Ending(result, attempts, finished, result.reason or result.outcome, message)


def _progress(job: Manifest, pods: Sequence[Manifest], attempt: int) -> Progress:
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] == "FailureTarget" and condition["status"] == "True":
            return Progress("Pending", attempt, "failed; waiting for its pod to end")
    pod = next((one for one in _newest_first(pods) if (one.get("status") or {}).get("phase") != "Failed"), None)
    if pod is None:
        failure = next((end for one in _newest_first(pods) if (end := first_failure(one)) is not None), None)
        return Progress("Pending", attempt, f"trying again: {failure.describe()}" if failure is not None else "")
    stuck = blocked(pod)
    if stuck is not None:
        return Progress(_phase(pod), attempt, stuck.message, stuck.reason)
    no_node = unschedulable(pod)
    if no_node is not None:
        return Progress("Pending", attempt, f"no node takes the pod: {no_node}")
    return Progress(_phase(pod), attempt)


def _phase(pod: Manifest) -> str:
    phase = "Pending"
    for name, word in PHASES.items():
        statuses = (pod.get("status") or {}).get("initContainerStatuses") or []
        statuses = [*statuses, *((pod.get("status") or {}).get("containerStatuses") or ())]
        state = next((s.get("state") or {} for s in statuses if s["name"] == name), {})
        if "running" in state or "terminated" in state:
            phase = word
    return phase


def _newest_first(pods: Sequence[Manifest]) -> list[Manifest]:
    return sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True)


def _failed(cause: str, message: str, attempts: int, finished: datetime) -> Ending:
    return Ending(StageResult(FAILED, reason=cause, reasons=(message,)), attempts, finished, cause, message)
