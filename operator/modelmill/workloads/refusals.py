"""Why a Job has no pod: the API server refused it, and only Events say so.

A quota, a LimitRange, Pod Security or an admission webhook refuses the pod and not the Job. The Job controller then tries again
with growing pauses and writes an Event FailedCreate about the Job; its status stays as it was. Source: Kubernetes 1.34,
pkg/controller/job and pkg/controller/controller_utils.go, RealPodControl.createPods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from modelmill.kube.conditions import parse_timestamp
from modelmill.kube.objects import Manifest
from modelmill.kube.texts import fitted

PATIENCE: Final = 5.0
"""Seconds that a pod may take to be made."""
LONGEST_WAIT: Final = 60.0
FAILED_CREATE: Final = "FailedCreate"
_PREFIX: Final = "Error creating: "
_SHOWN: Final = 1000


def waiting_for_pod(job: Manifest, pods: Sequence[Manifest], now: datetime) -> float | None:
    """Return for how many seconds the Job has had no pod, from its start or from its last pod's; None when it has one."""
    status = job.get("status") or {}
    ending = any(one["status"] == "True" for one in status.get("conditions") or ())
    if ending or any((pod.get("status") or {}).get("phase") != "Failed" for pod in pods):
        return None
    since = _since(job, pods)
    return max((now - since).total_seconds(), 0.0) if since is not None else 0.0


def look_again(waited: float) -> float:
    """Return after how many seconds to look for the pod again: soon at first, then ever more rarely."""
    return PATIENCE - waited if waited < PATIENCE else min(max(waited / 2, PATIENCE), LONGEST_WAIT)


def refusal(job: Manifest, pods: Sequence[Manifest], events: Iterable[Manifest]) -> str | None:
    """Return the words of the last refusal since the Job's last pod, or None. events: core/v1 Events about the Job."""
    since = _since(job, pods)
    told = [
        (moment, str(event.get("message") or FAILED_CREATE))
        for event in events
        if event.get("reason") == FAILED_CREATE
        and (moment := _time(event)) is not None
        and (since is None or moment >= since)
    ]
    if not told:
        return None
    _, words = max(told)
    return f"the pod is refused: {fitted(words.removeprefix(_PREFIX), _SHOWN)}"


def _since(job: Manifest, pods: Sequence[Manifest]) -> datetime | None:
    """Return when the last pod was made, or else the Job."""
    made = [one["metadata"].get("creationTimestamp") for one in (job, *pods)]
    return max((parse_timestamp(text) for text in made if text), default=None)


def _time(event: Manifest) -> datetime | None:
    """Return when the Event happened last; what repeats has its last time in one of two places."""
    text = event.get("lastTimestamp") or (event.get("series") or {}).get("lastObservedTime") or event.get("eventTime")
    return parse_timestamp(text) if text else None
