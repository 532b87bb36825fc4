"""Which versions an InferenceService serves or deploys, read without the rest of it.

A service that cannot be read whole, e.g. by an older release, serves all the same: what it serves must not be deleted. It is
also read for each version of its namespace, where validation of the whole would cost fifty times as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelmill.kube.conditions import FALSE
from modelmill.kube.objects import Manifest

GIVEN_UP = ("RolledBack", "Superseded")
"""Outcomes in `status.history` of a version that did not come to serve, or was taken back after it had."""
STOPPED = ("Suspended", "ScaledToZero")
"""Phases of a service that is to have no pods."""


@dataclass(frozen=True, slots=True)
class Tracks:
    """The versions of a service by name, and how many pods of each are ready. canary_percent: recorded share of the canary.

    reason, message: why no pod of the stable version is ready, as its Ready condition says; empty when one is, and beside a
    canary, since the condition may then be about that. deploying: the service has never served the stable version.
    stopped: it is to have no pods. scoring: versions that a batch run in progress scores with.
    given_up: versions that it neither wants nor served after it gave them up, with when (RFC 3339) and why.
    """

    service: str
    stable: str | None = None
    canary: str | None = None
    canary_percent: int = 0
    stable_ready: int = 0
    canary_ready: int = 0
    reason: str = ""
    message: str = ""
    deploying: bool = False
    stopped: bool = False
    given_up: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    scoring: frozenset[str] = frozenset()

    @property
    def versions(self) -> set[str]:
        """Versions that anything is said of here."""
        return {name for name in (self.stable, self.canary, *self.given_up, *self.scoring) if name is not None}

    def serves(self, version: str) -> bool:
        """Whether pods that serve the version are wanted, if only for a share of zero."""
        return version in (self.stable, self.canary)

    def wants(self, version: str) -> bool:
        """Whether pods of the version are wanted, to serve it or to score a prefix with it."""
        return self.serves(version) or version in self.scoring

    def answers(self, version: str) -> bool:
        """Whether a pod of the version is ready."""
        return (version == self.stable and self.stable_ready > 0) or (version == self.canary and self.canary_ready > 0)

    def share(self, version: str) -> int:
        """Share of traffic of the version in percent; both tracks count, since a canary may try another runtime only."""
        of_stable, of_canary = 100 - self.canary_percent, self.canary_percent
        if not self.stable_ready:
            # A Service sends everything to what is ready, whatever share the canary should have.
            of_stable, of_canary = 0, 100 if self.canary_ready else 0
        return (of_stable if version == self.stable else 0) + (of_canary if version == self.canary else 0)


def read_tracks(service: Manifest) -> Tracks:
    """Return the tracks of an InferenceService; what is not in its form counts as absent, a count as zero."""
    status = _fields(service.get("status"))
    stable, canary = _fields(status.get("stable")), _fields(status.get("canary"))
    tracks = Tracks(
        service["metadata"]["name"],
        _version(stable),
        _version(canary),
        min(_count(canary, "actualWeight"), 100),
        _count(stable, "ready"),
        _count(canary, "ready"),
        deploying=status.get("phase") == "Deploying",
        stopped=status.get("phase") in STOPPED,
        given_up=_given_up(status, {_version(stable), _version(canary)}),
        scoring=_scoring(status),
    )
    if tracks.stable is None or tracks.canary is not None or tracks.stable_ready:
        return tracks
    listed = status.get("conditions")
    ready = next(
        (one for one in map(_fields, listed if isinstance(listed, list) else ()) if one.get("type") == "Ready"), {}
    )
    if ready.get("status") != FALSE:
        return tracks
    return replace(tracks, reason=str(ready.get("reason", "")), message=str(ready.get("message", "")))


def _scoring(status: dict[str, Any]) -> frozenset[str]:
    """Return the versions of batch runs that are not over."""
    entries = status.get("batch")
    runs = [_fields(entry).get("runs") for entry in entries] if isinstance(entries, list) else []
    last = [_fields(of_entry[0]) for of_entry in runs if isinstance(of_entry, list) and of_entry]
    names = (_version(run) for run in last if run.get("phase") in ("Pending", "Running"))
    return frozenset(name for name in names if name is not None)


def _given_up(status: dict[str, Any], wanted: set[str | None]) -> dict[str, tuple[str, str]]:
    last: dict[str, dict[str, Any]] = {}
    for entry in _history(status):
        name = _version(entry)
        if name is not None and name not in wanted:
            last.setdefault(name, entry)
    return {
        name: (str(entry.get("endTime", "")), str(entry.get("message", "")))
        for name, entry in last.items()
        if entry.get("outcome") in GIVEN_UP
    }


def _history(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the service served, newest first."""
    history = status.get("history")
    return [_fields(entry) for entry in history] if isinstance(history, list) else []


def _fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _version(track: dict[str, Any]) -> str | None:
    version = track.get("version")
    return version if isinstance(version, str) and version else None


def _count(track: dict[str, Any], name: str) -> int:
    count = track.get(name)
    return max(count, 0) if isinstance(count, int) and not isinstance(count, bool) else 0
