"""Asks the pods of monitored services what they counted, and keeps it by time in bounded memory.

What is kept is in a ConfigMap as well, from which it goes on after a restart of the operator. Rows that were answered while no
operator ran are not in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from modelmill.api.monitoring import Monitoring
from modelmill.contracts import counts as c
from modelmill.contracts.counts import DRIFT_RING, ERRORS_RING, QUALITY_RING, History, Reference, Ring, minus, only
from modelmill.kube.conditions import parse_timestamp
from modelmill.kube.objects import Key, Manifest
from modelmill.monitoring.evaluating import rings_of
from modelmill.monitoring.reading import Reading
from modelmill.workloads.pod_status import is_ready

MOST_SECONDS: Final = 60.0
"""Longest time between two readings: what a pod counted after the last one is lost with the pod."""
LEAST_SECONDS: Final = 2.0
ASK_AGAIN_SECONDS: Final = 1.0
FORGOTTEN_AFTER: Final = timedelta(hours=1)
"""Every service is looked at more often than this; one that is not any more has been deleted."""
MOST_PODS: Final = 50
"""Of one service that are read; the others are taken to be like them."""

_NOTHING: Final = Reading({}, {}, Reference())
_OF_DRIFT: Final = (c.BIN, c.INVALID, c.OUT_OF_RANGE, c.MAGNITUDE, c.PREDICTION)


class Pods(Protocol):
    """Asks pods what they counted; see `measuring.scrape.PageScraper`."""

    async def counted(self, key: Key, pods: Sequence[Manifest]) -> Mapping[str, Reading] | None:
        """Return what the pods counted by their uid, None while they are asked."""

    def forget(self, key: Key) -> None:
        """Give the question up."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was counted of a revision. moment: of the last reading, None before the first. again: when to come back, s.

    heard: how many of the pods answered last. silent: how many are ready and told nothing the last two times; None before
    these.
    """

    history: History
    moment: datetime | None
    again: float
    heard: int = 0
    silent: int | None = None


@dataclass(slots=True)
class _Memory:
    """What is remembered of one revision of a service. known: last counters by uid of the pod; seen: when it was looked at."""

    history: History
    windows: tuple[float, ...]
    seen: datetime
    restored: bool
    known: dict[str, Reading] = field(default_factory=dict)
    read: datetime | None = None
    heard: int = 0
    silent: frozenset[str] | None = None
    silent_again: int | None = None

    def observed(self, moment: datetime | None, again: float) -> Observed:
        """Return what is known."""
        return Observed(self.history, moment, again, self.heard, self.silent_again)


class Observer:
    """Reads the pods of services, each once in a slot's time, and more often where a reading must not be far from the last."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._memory: dict[Key, _Memory] = {}

    def forget(self, key: Key) -> None:
        """Forget what was counted for a service."""
        if self._memory.pop(key, None) is not None:
            self._pods.forget(key)

    async def observed(
        self,
        key: Key,
        monitoring: Monitoring,
        track: tuple[str, str],
        pods: Sequence[Manifest],
        kept: History | None,
        now: datetime,
        others: Sequence[Manifest] = (),
        most_seconds: float = MOST_SECONDS,
    ) -> Observed:
        """Return what was counted; asks the pods when that is due.

        track: revision and version. pods: of the revision. others: of other revisions of the service, who may have been told
        labels of the version. kept: what is in the ConfigMap, if it can be read. most_seconds: longest time between readings.
        """
        memory = self._of(key, monitoring, track, kept, now)
        memory.seen = now
        pause = min(most_seconds, max(LEAST_SECONDS, memory.history.rings[DRIFT_RING].seconds))
        if memory.read is not None:
            left = pause - (now - memory.read).total_seconds()
            # A clock that was set back must not stop the readings.
            if 0 < left <= pause:
                return memory.observed(memory.read, left)
        asked = [*pods, *others][:MOST_PODS]
        readings = await self._pods.counted(key, asked)
        if readings is None:
            return memory.observed(memory.read, ASK_AGAIN_SECONDS)
        mine = {pod["metadata"]["uid"] for pod in pods}
        self._take(memory, monitoring, asked, mine, readings, now)
        return memory.observed(now, pause)

    def remember(self, key: Key, document: Mapping[str, object]) -> None:
        """Keep what an evaluation remembers beside the counts."""
        memory = self._memory.get(key)
        if memory is not None:
            memory.history = replace(memory.history, memory=document)

    def _of(
        self, key: Key, monitoring: Monitoring, track: tuple[str, str], kept: History | None, now: datetime
    ) -> _Memory:
        revision, version = track
        rings = rings_of(monitoring)
        windows = tuple(ring.seconds for ring in rings.values())
        memory = self._memory.get(key)
        if memory is not None and _track(memory.history) == track and memory.windows == windows:
            return memory
        if memory is not None and _track(memory.history) == track:
            kept = memory.history
        self.forget(key)
        for old in [one for one, kept_one in self._memory.items() if now - kept_one.seen > FORGOTTEN_AFTER]:
            self.forget(old)
        fits = kept is not None and _track(kept) == track and _windows(kept.rings, rings) == windows
        history = kept if kept is not None and fits else History(revision, version, Reference(), rings)
        if kept is not None and _track(kept) == track:
            # With other windows counting begins anew, but it was fine before all the same.
            history = replace(history, memory=kept.memory)
        memory = self._memory[key] = _Memory(history, windows, now, fits)
        return memory

    def _take(
        self,
        memory: _Memory,
        monitoring: Monitoring,
        pods: Sequence[Manifest],
        mine: Collection[str],
        readings: Mapping[str, Reading],
        now: datetime,
    ) -> None:
        history, moment = memory.history, now.timestamp()
        drift, quality, errors = (history.rings[name] for name in (DRIFT_RING, QUALITY_RING, ERRORS_RING))
        oldest = None
        if memory.read is not None or not memory.restored:
            oldest = now - timedelta(seconds=monitoring.drift.window_seconds)
        started = {pod["metadata"]["uid"]: _started(pod) for pod in pods}
        reference = history.reference
        for uid, reading in readings.items():
            before = _before(memory.known.get(uid), started.get(uid), oldest)
            if before is not None:
                labels = reading.labels.get(history.version, {})
                quality = quality.added(moment, minus(labels, before.labels.get(history.version, {})))
            if uid not in mine:
                continue
            if before is not None:
                grown = minus(reading.counts, before.counts)
                drift = drift.added(moment, only(grown, *_OF_DRIFT))
                quality = quality.added(moment, only(grown, c.PREDICTIONS))
                errors = errors.added(moment, only(grown, c.CODE))
            if reading.reference.features or reading.reference.prediction:
                reference = reading.reference
        still = {uid: one for uid, one in memory.known.items() if uid in started}
        memory.known = still | dict(readings)
        memory.read, memory.heard = now, len(readings.keys() & mine)
        silent = frozenset(
            uid for pod in pods if is_ready(pod) and (uid := pod["metadata"]["uid"]) in mine - readings.keys()
        )
        memory.silent_again = len(silent & memory.silent) if memory.silent is not None else None
        memory.silent = silent
        rings = {DRIFT_RING: drift, QUALITY_RING: quality, ERRORS_RING: errors}
        # A slot begins with the first reading in it, also when nothing was counted.
        rings = {name: ring.added(moment, {}) for name, ring in rings.items()}
        memory.history = replace(history, reference=reference, rings=rings)


def _before(known: Reading | None, started: datetime | None, oldest: datetime | None) -> Reading | None:
    """Return what a pod had counted before; None where that is not known, so that its first reading is where counting begins.

    What a pod that is first seen has counted may be of last week, or be kept already. oldest: since when a pod must have
    started to be taken for new; None when none is.
    """
    if known is not None:
        return known
    return _NOTHING if started is not None and oldest is not None and started >= oldest else None


def _track(history: History) -> tuple[str, str]:
    return history.revision, history.version


def _windows(kept: Mapping[str, Ring], wanted: Mapping[str, Ring]) -> tuple[float, ...]:
    return tuple(kept[name].seconds if name in kept else 0.0 for name in wanted)


def _started(pod: Manifest) -> datetime | None:
    text = (pod.get("status") or {}).get("startTime")
    try:
        return parse_timestamp(text) if text else None
    except ValueError:
        return None
