"""What pods counted over a time, and the figures that are computed from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

COMPARED: Final = "compared"
DISAGREED: Final = "disagreed"
MAX_SERIES = 1024
"""Of one kind, of all pods together: what each of a thousand pods tells is bounded, and so is what they tell together."""

_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters over a time.

    codes: answers by HTTP code. buckets: cumulative histogram of durations by upper bound, s. bins: predicted rows by bin.
    edges: upper bounds of the bins of predicted numbers, which are no counters. scores: labels that came later, and the sums of
    their errors, by the version that predicted and by what: correct, wrong, scored, absolute, squared.
    mirrored: requests that were mirrored, by the revision of the shadow and by what came of them (a result of
    `contracts.shadow`, COMPARED, DISAGREED).
    """

    codes: Mapping[str, float] = field(default_factory=dict)
    buckets: Mapping[float, float] = field(default_factory=dict)
    bins: Mapping[str, float] = field(default_factory=dict)
    edges: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[tuple[str, str], float] = field(default_factory=dict)
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
            _difference(self.bins, earlier.bins),
            self.edges,
            _difference(self.scores, earlier.scores),
            _difference(self.mirrored, earlier.mirrored),
        )

    def plus(self, other: Sample) -> Sample:
        """Return both counted together."""
        return Sample(
            _sum(self.codes, other.codes),
            _sum(self.buckets, other.buckets),
            _sum(self.bins, other.bins),
            {**self.edges, **other.edges} if len(self.edges) < MAX_SERIES else self.edges,
            _sum(self.scores, other.scores),
            _sum(self.mirrored, other.mirrored),
        )


def errors(sample: Sample) -> float:
    """Return 5xx answers."""
    return sum(count for code, count in sample.codes.items() if code.startswith("5"))


def error_ratio(sample: Sample) -> float:
    """Return 5xx answers by all answers; 0 without any."""
    return errors(sample) / sample.requests if sample.requests else 0.0


def durations(sample: Sample) -> float:
    """Return how many durations were counted."""
    return max(sample.buckets.values(), default=0.0)


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


QUANTILES: Mapping[str, float] = {"LatencyP50Seconds": 0.5, "LatencyP95Seconds": 0.95, "LatencyP99Seconds": 0.99}
"""Quantiles of the duration by their names in the API."""


def slower(sample: Sample, seconds: float) -> float:
    """Return how many durations are above `seconds`, linear inside a bucket.

    Those in the last, open bucket count as its lower bound.
    """
    below, lower = 0.0, 0.0
    for bound in sorted(sample.buckets):
        count = sample.buckets[bound]
        if bound == float("inf"):
            return count - below if seconds < lower else 0.0
        if seconds < bound:
            inside = (count - below) * (seconds - lower) / (bound - lower) if seconds > lower else 0.0
            return durations(sample) - below - inside
        below, lower = count, bound
    return 0.0


def _difference(now: Mapping[_K, float], earlier: Mapping[_K, float]) -> dict[_K, float]:
    return {
        key: value - earlier.get(key, 0.0) if value >= earlier.get(key, 0.0) else value for key, value in now.items()
    }


def _sum(one: Mapping[_K, float], other: Mapping[_K, float]) -> dict[_K, float]:
    total = dict(one)
    for key, count in other.items():
        if key in total or len(total) < MAX_SERIES:
            total[key] = total.get(key, 0.0) + count
    return total
