"""What the pages of serving pods tell: bins of values by the requests that they answered, codes, and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelmill.contracts.counts import BIN, CODE, LABEL, Counts, FeatureReference, Key, Reference
from modelmill.kube import labels
from modelmill.kube.objects import Key as ObjectKey
from modelmill.kube.objects import Manifest
from modelmill.monitoring.reading import Reading
from modelmill.workloads.pod_status import is_ready

FEATURE = "hp"
HALVES = {"0": 0.5, "1": 0.5, "missing": 0.0}


@dataclass
class CountedPods:
    """Stand in the place of the pages' scraper.

    rows: by pod, what was counted, which the surroundings add to. told: whether pods tell anything; without it they do not
    answer. labelled: whether each answer gets a label. worse: versions of whose labels half are wrong, else all are right.
    """

    told: bool = False
    drifted: bool = False
    labelled: bool = False
    worse: set[str] = field(default_factory=set)
    rows: dict[str, Counter[Key]] = field(default_factory=dict)

    def answered(self, uid: str, version: str, rows: int, codes: Sequence[str]) -> None:
        """Count rows of a pod: as in training, or all in one bin. codes: of the answers, in turn."""
        counted = self.rows.setdefault(uid, Counter())
        for place in ("1", "1") if self.drifted else ("0", "1"):
            counted[BIN, FEATURE, place] += rows
        for code in codes:
            counted[CODE, code] += rows // len(codes)
        for said in (("wrong", "correct") if version in self.worse else ("correct",)) if self.labelled else ():
            counted[LABEL, said] += rows

    async def counted(self, key: ObjectKey, pods: Sequence[Manifest]) -> Mapping[str, Reading]:
        """Return what ready pods tell."""
        if not self.told:
            return {}
        return {pod["metadata"]["uid"]: self._reading(pod) for pod in pods if is_ready(pod)}

    def forget(self, key: ObjectKey) -> None:
        """No question is ever late."""

    def _reading(self, pod: Manifest) -> Reading:
        meta = pod["metadata"]
        counted = {key: float(count) for key, count in self.rows.get(meta["uid"], Counter()).items()}
        told: Counts = {key: value for key, value in counted.items() if key[0] != LABEL}
        said: Counts = {key: value for key, value in counted.items() if key[0] == LABEL}
        of_version = {meta["labels"][labels.VERSION_LABEL]: said} if said else {}
        return Reading(told, of_version, Reference({FEATURE: FeatureReference(HALVES, 1.0)}, {}, 10_000.0))
