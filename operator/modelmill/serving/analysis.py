"""Whether a new version is good enough: verdicts from what its pods and the stable ones counted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from modelmill.api.inference_service import Analysis, Check

_K = TypeVar("_K")

PASS = "Pass"
FAIL = "Fail"
INSUFFICIENT = "Insufficient"


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters of one track over a time: answers by HTTP code, and cumulative histogram of durations by upper bound, s."""

    codes: Mapping[str, float] = field(default_factory=dict)
    buckets: Mapping[float, float] = field(default_factory=dict)

    @property
    def requests(self) -> float:
        """All answers."""
        return sum(self.codes.values())

    def minus(self, earlier: Sample) -> Sample:
        """Return what was counted since `earlier`; a counter that went back was reset and counts from zero."""
        return Sample(_difference(self.codes, earlier.codes), _difference(self.buckets, earlier.buckets))

    def plus(self, other: Sample) -> Sample:
        """Return both counted together."""
        return Sample(_sum(self.codes, other.codes), _sum(self.buckets, other.buckets))


@dataclass(frozen=True, slots=True)
class Samples:
    """Both tracks over the same time. silent: ready pods of the canary that did not answer."""

    canary: Sample
    stable: Sample
    silent: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks say. `requests` to the canary in the measured time."""

    verdict: str
    requests: int
    message: str


def judge(analysis: Analysis, samples: Samples) -> Verdict:
    """Return the verdict of all checks; with fewer requests than minRequests nothing is concluded."""
    requests = int(samples.canary.requests)
    if requests < analysis.min_requests:
        silent = f"; {samples.silent} pods did not answer the operator at /metrics" if samples.silent else ""
        return Verdict(INSUFFICIENT, requests, f"{requests} of {analysis.min_requests} requests needed{silent}")
    failed: list[str] = []
    passed: list[str] = []
    for check in analysis.checks:
        good, text = _check(check, samples, analysis.min_requests)
        (passed if good else failed).append(text)
    if failed:
        return Verdict(FAIL, requests, "; ".join(failed))
    return Verdict(PASS, requests, "; ".join(passed))


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


MEASURES: dict[str, Callable[[Sample], float]] = {"ErrorRatio": error_ratio, "LatencyP95Seconds": latency_p95}


def _check(check: Check, samples: Samples, min_requests: int) -> tuple[bool, str]:
    measure = MEASURES[check.metric]
    value = measure(samples.canary)
    text = f"{check.metric} {value:.4g}"
    if check.maximum is not None:
        if value > float(check.maximum):
            return False, f"{text} > {check.maximum}"
        text += f" <= {check.maximum}"
    if check.max_ratio_to_stable is not None:
        if samples.stable.requests < min_requests:
            return True, f"{text}, stable had {int(samples.stable.requests)} requests: not compared"
        stable = measure(samples.stable)
        if value > stable * float(check.max_ratio_to_stable):
            return False, f"{text}, stable {stable:.4g}: more than {check.max_ratio_to_stable} times"
        text += f", stable {stable:.4g}"
    return True, text


def _difference(now: Mapping[_K, float], earlier: Mapping[_K, float]) -> dict[_K, float]:
    return {
        key: value - earlier.get(key, 0.0) if value >= earlier.get(key, 0.0) else value for key, value in now.items()
    }


def _sum(one: Mapping[_K, float], other: Mapping[_K, float]) -> dict[_K, float]:
    return {key: one.get(key, 0.0) + other.get(key, 0.0) for key in {*one, *other}}
