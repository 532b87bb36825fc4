"""What pods counted over a time, and the figures that are computed from it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

COMPARED: Final = "compared"
DISAGREED: Final = "disagreed"

_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters over a time.

    codes: answers by HTTP code. buckets: cumulative histogram of durations by upper bound, s. mirrored: requests that were
    mirrored, by the revision of the shadow and by what came of them (a result of `contracts.shadow`, COMPARED, DISAGREED).
    """

    codes: Mapping[str, float] = field(default_factory=dict)
    buckets: Mapping[float, float] = field(default_factory=dict)
    mirrored: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @property
    def requests(self) -> float:
        """All answers."""
        return sum(self.codes.values())

    def minus(self, earlier: Sample) -> Sample:
        """Return what was counted since `earlier`; a counter that went back was reset and counts from zero."""
        return Sample(
            _difference(self.codes, earlier.codes),
            _difference(self.buckets, earlier.buckets),
            _difference(self.mirrored, earlier.mirrored),
        )

    def plus(self, other: Sample) -> Sample:
        """Return both counted together."""
        return Sample(
            _sum(self.codes, other.codes), _sum(self.buckets, other.buckets), _sum(self.mirrored, other.mirrored)
        )


def error_ratio(sample: Sample) -> float:
    """Return 5xx answers by all answers; 0 without any."""
    total = sample.requests
    errors = sum(count for code, count in sample.codes.items() if code.startswith("5"))
    return errors / total if total else 0.0


def quantile(sample: Sample, q: float) -> float:
    """Return the q-quantile of the durations in seconds, linear inside a bucket as Prometheus' histogram_quantile.

    A quantile in the last, open bucket is its lower bound. 0 without any duration.
    """
    bounds = sorted(sample.buckets)
    if not bounds or not sample.buckets[bounds[-1]]:
        return 0.0
    rank = q * sample.buckets[bounds[-1]]
    below, lower = 0.0, 0.0
    for bound in bounds:
        count = sample.buckets[bound]
        if count >= rank:
            if bound == float("inf") or count == below:
                return lower
            return lower + (bound - lower) * (rank - below) / (count - below)
        below, lower = count, bound
    return lower


def latency_p95(sample: Sample) -> float:
    """Return the 95th percentile of the durations in seconds."""
    return quantile(sample, 0.95)


def disagreement(sample: Sample) -> float:
    """Return answers of a shadow that differ from the live ones by all that were compared; 0 without any."""
    compared = sum(count for (_, what), count in sample.mirrored.items() if what == COMPARED)
    disagreed = sum(count for (_, what), count in sample.mirrored.items() if what == DISAGREED)
    return disagreed / compared if compared else 0.0


MEASURES: Mapping[str, Callable[[Sample], float]] = {
    "ErrorRatio": error_ratio,
    "LatencyP95Seconds": latency_p95,
    "Disagreement": disagreement,
}
"""The figures by their names in the API."""


def _difference(now: Mapping[_K, float], earlier: Mapping[_K, float]) -> dict[_K, float]:
    return {
        key: value - earlier.get(key, 0.0) if value >= earlier.get(key, 0.0) else value for key, value in now.items()
    }


def _sum(one: Mapping[_K, float], other: Mapping[_K, float]) -> dict[_K, float]:
    return {key: one.get(key, 0.0) + other.get(key, 0.0) for key in {*one, *other}}
