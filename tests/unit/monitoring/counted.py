"""Pages of pods for tests of the embedded engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from modelmill.api.monitoring import Monitoring
from modelmill.contracts.counts import BIN, Counts, FeatureReference, History, Key, Reference
from modelmill.kube.conditions import timestamp
from modelmill.kube.objects import Key as ObjectKey
from modelmill.kube.objects import Manifest
from modelmill.monitoring.observing import Observed, Observer
from modelmill.monitoring.reading import Reading
from tests.support import objects as o

CARS = ObjectKey("ml", "cars")
TRACK = ("r1", "cars-1")
REFERENCE = Reference(
    {"hp": FeatureReference({"0": 0.5, "1": 0.5, "missing": 0.0}, 1.0)}, {}, 10_000.0, o.NOW.timestamp()
)


def rows(low: float, high: float) -> dict[Key, float]:
    return {(BIN, "hp", "0"): low, (BIN, "hp", "1"): high}


def pod(uid: str, started: datetime | None = o.NOW) -> Manifest:
    status = {"startTime": timestamp(started)} if started is not None else {}
    return {"metadata": {"uid": uid, "name": uid, "namespace": "ml"}, "status": status}


@dataclass
class Pages:
    """Pods by uid; one that is not there does not answer. late: how many questions are answered None before."""

    told: dict[str, Reading] = field(default_factory=dict)
    late: int = 0
    asked: int = 0
    forgotten: list[ObjectKey] = field(default_factory=list)

    def tell(self, uid: str, counts: Counts, labels: Mapping[str, Counts] | None = None) -> None:
        self.told[uid] = Reading(counts, labels or {}, REFERENCE)

    async def counted(self, key: ObjectKey, pods: Sequence[Manifest]) -> Mapping[str, Reading] | None:
        self.asked += 1
        if self.late:
            self.late -= 1
            return None
        names = {one["metadata"]["uid"] for one in pods}
        return {uid: reading for uid, reading in self.told.items() if uid in names}

    def forget(self, key: ObjectKey) -> None:
        self.forgotten.append(key)


@dataclass
class Watch:
    """An observer and a clock."""

    pages: Pages
    monitoring: Monitoring
    pods: list[Manifest]
    now: datetime = o.NOW
    kept: History | None = None
    others: list[Manifest] = field(default_factory=list)
    observer: Any = None

    def __post_init__(self) -> None:
        self.observer = Observer(self.pages)

    async def look(self, seconds: float = 0.0, track: tuple[str, str] = TRACK) -> Observed:
        self.now += timedelta(seconds=seconds)
        asked = (CARS, self.monitoring, track, self.pods, self.kept, self.now, self.others)
        found: Observed = await self.observer.observed(*asked)
        return found

    def total(self, seen: Observed, ring: str = "drift") -> Counts:
        return seen.history.rings[ring].total(self.now.timestamp())
