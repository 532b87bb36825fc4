"""A Job: its manifest, and how it is doing by its conditions and pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from modelmill.contracts.names import EXIT_FINAL
from modelmill.kube.conditions import is_true, parse_timestamp
from modelmill.kube.objects import Manifest
from modelmill.workloads.pod_status import Ended, blocked, finished_at, first_failure, unschedulable
from modelmill.workloads.pods import Pod, build_pod

PODS_REFUSED: Final = "PodsRefused"
UNSCHEDULABLE: Final = "Unschedulable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A Job of one pod at a time, or of `partitions`, each of which has its index and is one pod at a time.

    parallelism: of the partitions, how many pods run at once. The first partition that fails for good ends the Job.
    tries_again: how often a failed pod is replaced; a disruption (a drained node, a preemption) is not counted.
    pod_annotations: of its pods.
    final_containers: those whose exit code EXIT_FINAL means that trying again would fail again, which ends the Job at once.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    pod: Pod
    tries_again: int
    deadline_seconds: int
    final_containers: Sequence[str] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    pod_annotations: Mapping[str, str] = field(default_factory=dict)
    partitions: int | None = None
    parallelism: int = 1


def build_job(job: Job) -> dict[str, Any]:
    """Return the manifest. The Job is deleted by whoever made it, when its result is safe: it has no TTL of its own."""
    pod = {"labels": dict(job.labels), "annotations": dict(job.pod_annotations)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job.name,
            "namespace": job.namespace,
            "labels": dict(job.labels),
            "annotations": dict(job.annotations),
        },
        "spec": {
            "backoffLimit": job.tries_again,
            "activeDeadlineSeconds": job.deadline_seconds,
            "podFailurePolicy": {"rules": _failure_rules(job.final_containers)},
            "podReplacementPolicy": "Failed",
            **_partitioned(job),
            "template": {"metadata": {name: given for name, given in pod.items() if given}, "spec": build_pod(job.pod)},
        },
    }


def _partitioned(job: Job) -> dict[str, Any]:
    """Return the fields of a Job whose pods have indexes. Source: Kubernetes documentation, Jobs, backoff limit per index."""
    if job.partitions is None:
        return {}
    return {
        "completionMode": "Indexed",
        "completions": job.partitions,
        "parallelism": job.parallelism,
        "backoffLimit": job.tries_again * job.partitions,
        "backoffLimitPerIndex": job.tries_again,
        "maxFailedIndexes": 0,
    }


def _failure_rules(final_containers: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rules of the podFailurePolicy, of which the first that fits counts: disruptions before exit codes."""
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    final = [
        {"action": "FailJob", "onExitCodes": {"containerName": name, "operator": "In", "values": [EXIT_FINAL]}}
        for name in final_containers
    ]
    return [disrupted, *final]


@dataclass(frozen=True, slots=True)
class Active:
    """A Job that goes on.

    attempt: which try this is, from 1. pod: the pod of this try, None before there is one.
    obstacle: CamelCase reason why the pod cannot run, e.g. ImagePullFailed, Unschedulable, PodsRefused; empty when nothing is
        in the way. message: what it waits for.
    needs_help: the obstacle does not go away by itself. A pod that finds no node may get one from an autoscaler.
    previous: how the pod of the try before ended, while there is no pod.
    """

    attempt: int
    pod: Manifest | None = None
    obstacle: str = ""
    message: str = ""
    needs_help: bool = False
    previous: Ended | None = None


@dataclass(frozen=True, slots=True)
class Complete:
    """A Job whose pod ended with exit code 0. attempts: how many tries it took."""

    attempts: int
    finished: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """A Job that failed. reason, message: the Job controller's. failure: the container that ended it; None when unknown."""

    attempts: int
    finished: datetime
    reason: str
    message: str
    failure: Ended | None


Pods = Sequence[Manifest]
Observation = Active | Complete | Failed


def observe(job: Manifest, pods: Sequence[Manifest], now: datetime, refusal: str | None = None) -> Observation:
    """Return how the Job is doing. `refusal`: why the API server refuses its pods, when that is known."""
    status = job.get("status") or {}
    failures = int(status.get("failed", 0))
    for condition in status.get("conditions") or ():
        if condition["status"] == "True" and condition["type"] == "Complete":
            return Complete(failures + 1, _time(condition, now))
        if condition["status"] == "True" and condition["type"] == "Failed":
            reason = str(condition.get("reason") or "")
            text = str(condition.get("message") or reason or "the Job failed")
            return Failed(max(failures, 1), _time(condition, now), reason, text, _latest_failure(pods))
    if is_true(status, "FailureTarget"):
        return Active(failures + 1, message="failed; waiting for its pod to end")
    pod = next((one for one in newest_first(pods) if (one.get("status") or {}).get("phase") != "Failed"), None)
    if pod is not None:
        return _with_pod(pod, failures + 1)
    if refusal is not None:
        return Active(failures + 1, obstacle=PODS_REFUSED, message=refusal, needs_help=True)
    return Active(failures + 1, previous=_latest_failure(pods))


def _with_pod(pod: Manifest, attempt: int) -> Active:
    stuck = blocked(pod)
    if stuck is not None:
        return Active(attempt, pod, stuck.reason, stuck.message, needs_help=True)
    no_node = unschedulable(pod)
    if no_node is not None:
        return Active(attempt, pod, UNSCHEDULABLE, f"no node takes the pod: {no_node}")
    return Active(attempt, pod)


def newest_first(pods: Sequence[Manifest]) -> list[Manifest]:
    """Return the pods, the one that was made last first."""
    return sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True)


def _latest_failure(pods: Sequence[Manifest]) -> Ended | None:
    """Return the failure that the Job's is of: the last one, but for pods that were deleted, which ended for that."""
    failed = [(pod, end) for pod in pods if (end := first_failure(pod)) is not None]
    if not failed:
        return None
    _, last = max(failed, key=lambda one: _end_of(one[0]))
    return last


def _end_of(pod: Manifest) -> tuple[bool, str, str]:
    meta = pod["metadata"]
    return "deletionTimestamp" not in meta, finished_at(pod), meta.get("creationTimestamp", "")


def _time(condition: Mapping[str, Any], now: datetime) -> datetime:
    text = condition.get("lastTransitionTime")
    return parse_timestamp(text) if text else now
