"""What pods say about themselves: why a container waits or failed, in one sentence."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelmill.contracts.result import ResultError, StageResult, decode

# Waiting reasons that do not go away without a person or a registry's help. Source: kubelet images and container packages.
BLOCKED = {
    "ErrImagePull": "ImagePullFailed",
    "ImagePullBackOff": "ImagePullFailed",
    "ErrImageNeverPull": "ImagePullFailed",
    "InvalidImageName": "ImagePullFailed",
    "CreateContainerConfigError": "ContainerConfigInvalid",
    "CreateContainerError": "ContainerConfigInvalid",
    "CrashLoopBackOff": "CrashLoop",
}
OOM_KILLED = "OOMKilled"
"""The kubelet's word for a container in which the kernel killed a process for memory, whatever the exit code."""
_SHOWN_OF_RESULT = 2000


@dataclass(frozen=True, slots=True)
class Ended:
    """A container that terminated. `message` is its termination message, `reason` the kubelet's word (OOMKilled, Error)."""

    container: str
    exit_code: int
    reason: str
    message: str

    def result(self) -> StageResult | None:
        """Return the result that a program of ours left; None when it is another's, or died before it could say why."""
        try:
            return decode(self.message.strip())
        except ResultError:
            return None

    def describe(self) -> str:
        """Return container, exit code, and why: what a result says, or else the kubelet's word and the last line."""
        exited = f"container {self.container} exited with code {self.exit_code}"
        result = self.result()
        if result is not None:
            said = [text for text in (result.reason or result.outcome, " ".join(result.reasons)) if text]
            return f"{exited}: {': '.join(said)[:_SHOWN_OF_RESULT]}"
        lines = [line.strip() for line in self.message.strip().splitlines() if line.strip()]
        last = f": {lines[-1][:500]}" if lines else ""
        word = self.reason if self.reason not in ("Error", "Completed") else ""
        word = word or _signal(self.exit_code)
        return f"{exited}{f' ({word})' if word else ''}{last}"


@dataclass(frozen=True, slots=True)
class Blocked:
    """A container that cannot start."""

    container: str
    reason: str
    message: str


def container_statuses(pod: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Yield the statuses of init containers, then of containers."""
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def ended(pod: Mapping[str, Any], container: str) -> Ended | None:
    """Return how the container ended, now or in its last try; None while it never did."""
    for status in container_statuses(pod):
        if status["name"] != container:
            continue
        for state in (status.get("state") or {}, status.get("lastState") or {}):
            if "terminated" in state:
                return _ended(container, state["terminated"])
    return None


def first_failure(pod: Mapping[str, Any]) -> Ended | None:
    """Return the first container that ended with another code than 0, in order of start."""
    for status in container_statuses(pod):
        found = ended(pod, status["name"])
        if found is not None and found.exit_code != 0:
            return found
    return None


def finished_at(pod: Mapping[str, Any]) -> str:
    """Return when the last container ended, RFC 3339 in UTC as the kubelet writes it; "" when none did, or none says."""
    states = (status.get("state") or {} for status in container_statuses(pod))
    return max(((state.get("terminated") or {}).get("finishedAt") or "" for state in states), default="")


def blocked(pod: Mapping[str, Any]) -> Blocked | None:
    """Return why the pod cannot go on without help, or None."""
    for status in container_statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        word = waiting.get("reason", "")
        if word not in BLOCKED:
            continue
        last = ended(pod, status["name"])
        if word == "CrashLoopBackOff" and last is not None:
            return Blocked(status["name"], BLOCKED[word], last.describe())
        message = f"container {status['name']} with image {status.get('image', '?')}: {word}"
        if waiting.get("message"):
            message += f": {waiting['message'][:500]}"
        return Blocked(status["name"], BLOCKED[word], message)
    return None


def unschedulable(pod: Mapping[str, Any]) -> str | None:
    """Return the scheduler's message when the pod found no node, or None."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason") or "not scheduled")
    return None


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Tell whether the pod has the condition Ready and is not being deleted."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _signal(exit_code: int) -> str:
    """Return the name of the signal that ended a container, of which its exit code tells as a shell's: 128 + its number."""
    known = {int(one): one.name for one in signal.Signals}
    return known.get(exit_code - 128, "")


def _ended(container: str, state: Mapping[str, Any]) -> Ended:
    return Ended(container, int(state.get("exitCode", 0)), state.get("reason") or "", state.get("message") or "")
