"""How often chance alone takes a version back that is as good as the stable one, by seeded simulation.

Each rollout is measured 20 times with failureLimit 0, the strictest there is. docs/reference/analysis.md states the shares.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import Any

import pytest

from modelmill.api.analysis import Analysis
from modelmill.contracts.names import DURATION_BUCKETS
from modelmill.measuring.samples import Sample
from modelmill.serving.rollout.analysis import CONCLUSIVE, judge
from modelmill.serving.rollout.findings import FAIL, Samples

MEASUREMENTS = 20
ROLLOUTS = 100
BOUNDS = (*DURATION_BUCKETS, float("inf"))


def counted(chance: random.Random, requests: int, error: float, slowness: float = 1.0) -> Sample:
    """Return what requests count that fail with this probability and take log-normal times around 20 ms."""
    failed = sum(chance.random() < error for _ in range(requests))
    places = Counter(bisect_left(BOUNDS, slowness * chance.lognormvariate(-4, 0.8)) for _ in range(requests))
    buckets = dict(zip(BOUNDS, map(float, accumulate(places[i] for i in range(len(BOUNDS)))), strict=True))
    return Sample({"200": float(requests - failed), "500": float(failed)}, buckets)


def taken_back(
    seed: int, checks: list[dict[str, Any]], requests: int, share: int, error: float, worse: float, slowness: float
) -> int | None:
    """Return the measurement that fails in a rollout, None when none does. share: stable's requests for each of the canary."""
    chance = random.Random(seed)
    analysis = Analysis.model_validate({"minRequests": 20, "checks": checks})
    mine, others = Sample(), Sample()
    for number in range(1, MEASUREMENTS + 1):
        mine = mine.plus(counted(chance, requests, worse, slowness))
        others = others.plus(counted(chance, requests * share, error))
        verdict = judge(analysis, Samples(mine, others)).verdict
        if verdict == FAIL:
            return number
        if verdict in CONCLUSIVE:
            mine, others = Sample(), Sample()
    return None


ERRORS = {"metric": "ErrorRatio", "maximum": "0.01"}
ERRORS_RATIO = {"metric": "ErrorRatio", "maxRatioToStable": "1"}
SLOW = {"metric": "LatencyP95Seconds", "maxRatioToStable": "1"}
SLOWEST = {"metric": "LatencyP99Seconds", "maxRatioToStable": "1"}
MIDDLE = {"metric": "LatencyP50Seconds", "maxRatioToStable": "1"}


@pytest.mark.parametrize("share", [1, 9])
@pytest.mark.parametrize(
    ("check", "error"), [(ERRORS, 0.01), (ERRORS_RATIO, 0.05), (SLOW, 0), (SLOWEST, 0), (MIDDLE, 0)]
)
def test_equal_versions_at_the_bound_are_hardly_ever_taken_back(
    check: dict[str, Any], error: float, share: int
) -> None:
    """The worst case: a bound that equal versions are beyond half of the time. Stated: fewer than 2 in 100."""
    alarms = sum(taken_back(seed, [check], 25, share, error, error, 1) is not None for seed in range(ROLLOUTS))
    assert alarms / ROLLOUTS <= 0.02


@pytest.mark.parametrize(
    ("checks", "worse", "slowness", "within"),
    [
        ([ERRORS], 1, 1, 1),
        ([ERRORS], 0.1, 1, 4),
        ([ERRORS_RATIO], 0.3, 1, 3),
        ([{**SLOW, "maxRatioToStable": "2"}], 0.01, 10, 1),
        ([SLOW], 0.01, 3, 2),
    ],
)
def test_versions_that_are_plainly_worse_are_taken_back_soon(
    checks: list[dict[str, Any]], worse: float, slowness: float, within: int
) -> None:
    """within: measurements of 25 requests after which nine of ten are taken back."""
    ended = [taken_back(seed, checks, 25, 9, 0.01, worse, slowness) or MEASUREMENTS + 1 for seed in range(40)]
    assert sum(number <= within for number in ended) >= 36
