"""Which versions an InferenceService sends traffic to, read without the rest of it.

A service that cannot be read whole, e.g. by an older release, serves all the same: what it serves must not be deleted. It is
also read for each version of its namespace, where validation of the whole would cost fifty times as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelmill.kube.objects import Manifest


@dataclass(frozen=True, slots=True)
class Tracks:
    """The versions of a service by name. canary_percent: share of traffic of the canary; history: those that served lately."""

    service: str
    namespace: str
    stable: str | None = None
    canary: str | None = None
    canary_percent: int = 0
    history: tuple[str, ...] = ()

    def serves(self, version: str) -> bool:
        """Whether pods of the version are wanted, if only for a share of zero."""
        return version in (self.stable, self.canary)

    def share(self, version: str) -> int:
        """Share of traffic of the version in percent; both tracks count, since a canary may try another runtime only."""
        stable = 100 - self.canary_percent if version == self.stable else 0
        return stable + (self.canary_percent if version == self.canary else 0)


def read_tracks(service: Manifest) -> Tracks:
    """Return the tracks of an InferenceService; what is not in its form counts as absent."""
    status = _mapping(service.get("status"))
    canary = _mapping(status.get("canary"))
    percent = canary.get("actualWeight")
    history = status.get("history")
    served = (_version(_mapping(one)) for one in history) if isinstance(history, list | tuple) else ()
    return Tracks(
        service=service["metadata"]["name"],
        namespace=service["metadata"]["namespace"],
        stable=_version(_mapping(status.get("stable"))),
        canary=_version(canary),
        canary_percent=min(max(percent, 0), 100) if isinstance(percent, int) else 0,
        history=tuple(name for name in served if name is not None),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _version(track: Mapping[str, Any]) -> str | None:
    version = track.get("version")
    return version if isinstance(version, str) and version else None
