"""Kinds that the API server does not let us watch: not installed, or not allowed. Each stops only what needs it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence, Set

import structlog

from modelmill.engine import metrics
from modelmill.kube.objects import Resource

Place = tuple[Resource, str | None]
"""A kind in a namespace, or in all of them (None): what one stream watches."""

REFUSALS = (403, 404)
REMIND_SECONDS = 300.0

log = structlog.get_logger(__name__)


class Unwatched:
    """The places that are refused, with the HTTP status; told by the log at once and from time to time, and by a metric."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._statuses: dict[Place, int] = {}
        self._told: dict[Place, float] = {}
        self._quiet: set[Place] = set()
        self._clock = clock

    @property
    def places(self) -> Set[Place]:
        """What is refused."""
        return self._statuses.keys()

    def words(self) -> Sequence[str]:
        """Return a line for each kind that is refused: how many of its places, and the status of one."""
        told = {place: status for place, status in self._statuses.items() if place not in self._quiet}
        counts = Counter(resource for resource, _ in told)
        statuses = {resource: status for (resource, _), status in told.items()}
        return [
            f"{kind.plural}{'.' * bool(kind.group)}{kind.group} is not watched: {statuses[kind]}, {_WHY[statuses[kind]]}"
            + (f" ({count} namespaces)" if count > 1 else "")
            for kind, count in sorted(counts.items())
        ]

    def refuse(self, place: Place, status: int, *, quiet: bool = False) -> None:
        """Note that a list or a watch was refused. status: one of REFUSALS. quiet: whether nobody need be told."""
        now = self._clock()
        (self._quiet.add if quiet else self._quiet.discard)(place)
        if quiet:
            self._statuses[place] = status
            return
        if self._statuses.get(place) != status or now - self._told[place] >= REMIND_SECONDS:
            self._told[place] = now
            log.warning("not watched", path=place[0].path(place[1]), status=status, why=_WHY[status])
        self._statuses[place] = status
        metrics.WATCH_REFUSED.labels(place[0].kind).set(1)

    def allow(self, place: Place) -> None:
        """Note that the place is watched."""
        if self._statuses.pop(place, None) is not None and place not in self._quiet:
            log.warning("watched again", path=place[0].path(place[1]))
        if all(resource != place[0] for resource, _ in self._statuses):
            metrics.WATCH_REFUSED.labels(place[0].kind).set(0)


_WHY = {403: "the operator may not list and watch it", 404: "the kind is not installed"}
