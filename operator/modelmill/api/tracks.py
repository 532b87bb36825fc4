"""Which versions an InferenceService sends traffic to, read without the rest of it.

A service that cannot be read whole, e.g. by an older release, serves all the same: what it serves must not be deleted. It is
also read for each version of its namespace, where validation of the whole would cost fifty times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelmill.kube.objects import Manifest


@dataclass(frozen=True, slots=True)
class Tracks:
    """The versions of a service by name. canary_percent: share of traffic of the canary."""

    service: str
    stable: str | None = None
    canary: str | None = None
    canary_percent: int = 0

    def serves(self, version: str) -> bool:
        """Whether pods of the version are wanted, if only for a share of zero."""
        return version in (self.stable, self.canary)

    def share(self, version: str) -> int:
        """Share of traffic of the version in percent; both tracks count, since a canary may try another runtime only."""
        stable = 100 - self.canary_percent if version == self.stable else 0
        return stable + (self.canary_percent if version == self.canary else 0)


def read_tracks(service: Manifest) -> Tracks:
    """Return the tracks of an InferenceService; what is not in its form counts as absent."""
    status = _fields(service.get("status"))
    canary = _fields(status.get("canary"))
    percent = canary.get("actualWeight")
    return Tracks(
        service["metadata"]["name"],
        _version(_fields(status.get("stable"))),
        _version(canary),
        min(max(percent, 0), 100) if isinstance(percent, int) else 0,
    )


def versions_of(service: Manifest) -> set[str]:
    """Return the versions that an InferenceService serves or served lately."""
    status = _fields(service.get("status"))
    history = status.get("history")
    tracks = [status.get("stable"), status.get("canary"), *(history if isinstance(history, list) else ())]
    return {name for name in (_version(_fields(track)) for track in tracks) if name is not None}


def _fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _version(track: dict[str, Any]) -> str | None:
    version = track.get("version")
    return version if isinstance(version, str) and version else None
