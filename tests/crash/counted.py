"""What the pages of serving pods tell of values: bins by the requests that they answered, drifted or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelmill.contracts.counts import BIN, Counts, FeatureReference, Key, Reference
from modelmill.kube.objects import Key as ObjectKey
from modelmill.kube.objects import Manifest
from modelmill.monitoring.reading import Reading
from modelmill.workloads.pod_status import is_ready

FEATURE = "hp"
HALVES = {"0": 0.5, "1": 0.5, "missing": 0.0}


@dataclass
class CountedPods:
    """Stand in the place of the pages' scraper.

    rows: by pod and bin, which the surroundings add to. told: whether pods tell anything; without it they do not answer.
    """

    told: bool = False
    drifted: bool = False
    rows: dict[str, Counter[str]] = field(default_factory=dict)

    def answered(self, uid: str, rows: int) -> None:
        """Count rows of a pod: as in training, or all in one bin."""
        bins = self.rows.setdefault(uid, Counter())
        for place in ("1", "1") if self.drifted else ("0", "1"):
            bins[place] += rows

    async def counted(self, key: ObjectKey, pods: Sequence[Manifest]) -> Mapping[str, Reading]:
        """Return what ready pods tell."""
        if not self.told:
            return {}
        return {pod["metadata"]["uid"]: self._reading(pod["metadata"]["uid"]) for pod in pods if is_ready(pod)}

    def forget(self, key: ObjectKey) -> None:
        """No question is ever late."""

    def _reading(self, uid: str) -> Reading:
        counts: dict[Key, float] = {
            (BIN, FEATURE, name): float(count) for name, count in self.rows.get(uid, Counter()).items()
        }
        told: Counts = counts
        return Reading(told, {}, Reference({FEATURE: FeatureReference(HALVES, 1.0)}, {}, 10_000.0))
