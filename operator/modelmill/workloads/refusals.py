"""Why a Job has no pod: the API server refused it, and only Events say so.

A quota, a LimitRange, Pod Security or an admission webhook refuses the pod and not the Job. The Job controller then tries again
with growing pauses and writes an Event FailedCreate about the Job; its status stays as it was. Source: Kubernetes 1.34,
pkg/controller/job and pkg/controller/controller_utils.go, RealPodControl.createPods. The cache has these Events, of all Jobs of
the cluster, since no selector tells ours from others: some 700 bytes of each, until the API server forgets it after an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from modelmill.kube.conditions import parse_timestamp
from modelmill.kube.objects import Manifest
from modelmill.kube.texts import fitted

PATIENCE: Final = 5.0
"""Seconds that a pod may take to be made: a refusal that passes by then is not told."""
FAILED_CREATE: Final = "FailedCreate"
SELECTOR: Final = f"reason={FAILED_CREATE},involvedObject.kind=Job"
ABOUT: Final = "about"
"""Index of the Events by the uid of their Job."""
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


def reduced(event: Manifest) -> Manifest:
    """Return a core/v1 Event as the cache keeps it: what it is about, its words as they are told, when it happened last."""
    words = str(event.get("message") or FAILED_CREATE).removeprefix(_PREFIX)
    return {
        "metadata": _some_of(event["metadata"], "name", "namespace", "uid", "resourceVersion"),
        "involvedObject": _some_of(event.get("involvedObject") or {}, "name", "uid"),
        "message": fitted(words, _SHOWN),
        "lastTimestamp": _last_time(event),
    }


def about(event: Manifest) -> Mapping[str, Any]:
    """Return name and uid of the Job that an Event is about, either of which may be missing."""
    involved: Mapping[str, Any] = event.get("involvedObject") or {}
    return involved


def _uids(event: Manifest) -> Sequence[str]:
    uid = about(event).get("uid")
    return [uid] if uid else []


INDEXES: Final = {ABOUT: _uids}


def refusal(job: Manifest, pods: Sequence[Manifest], events: Sequence[Manifest]) -> str | None:
    """Return the words of the last refusal since the Job's last pod, or None. events: those about the Job, reduced."""
    since = _since(job, pods) if events else None
    told = [
        (moment, event["message"])
        for event in events
        if (moment := _time(event)) is not None and (since is None or moment >= since)
    ]
    if not told:
        return None
    _, words = max(told)
    return f"the pod is refused: {words}"


def _since(job: Manifest, pods: Sequence[Manifest]) -> datetime | None:
    """Return when the last pod was made, or else the Job."""
    made = [one["metadata"].get("creationTimestamp") for one in (job, *pods)]
    return max((parse_timestamp(text) for text in made if text), default=None)


def _time(event: Manifest) -> datetime | None:
    text = event["lastTimestamp"]
    return parse_timestamp(text) if text else None


def _last_time(event: Manifest) -> str | None:
    """Return when the Event happened last; what repeats has its last time in one of two places."""
    return event.get("lastTimestamp") or (event.get("series") or {}).get("lastObservedTime") or event.get("eventTime")


def _some_of(part: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return {name: part[name] for name in names if name in part}
