"""How often chance alone takes a version back that is as good as the stable one, by seeded simulation.

Each rollout is measured 20 times against a bound that both versions are at: the worst case, in which they are beyond it half
of the time. docs/reference/analysis.md states the shares: with failureLimit 0 at most 5 of 100 rollouts are taken back, with 1,
the default, at most 1.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest

from modelmill.api.analysis import Analysis
from modelmill.contracts.names import DURATION_BUCKETS
from modelmill.measuring.samples import Sample
from modelmill.serving.rollout.analysis import CONCLUSIVE, judge
from modelmill.serving.rollout.findings import FAIL, Samples

MEASUREMENTS = 20
ROLLOUTS = 60
BOUNDS = (*DURATION_BUCKETS, float("inf"))


def counted(chance: random.Random, requests: int, error: float, slowness: float = 1.0) -> Sample:
    """Return what requests count that fail with this probability and take log-normal times around 20 ms."""
    failed = sum(chance.random() < error for _ in range(requests))
    places = Counter(bisect_left(BOUNDS, slowness * chance.lognormvariate(-4, 0.8)) for _ in range(requests))
    buckets = dict(zip(BOUNDS, map(float, accumulate(places[i] for i in range(len(BOUNDS)))), strict=True))
    return Sample({"200": float(requests - failed), "500": float(failed)}, buckets)


def failures(check: dict[str, Any], draw: Callable[[random.Random, bool], Sample], seed: int) -> int:
    """Return how many measurements of a rollout fail. draw: what comes between two, of the new version or of the old."""
    chance = random.Random(seed)
    analysis = Analysis.model_validate({"minRequests": 20, "checks": [check]})
    mine, others, failed = Sample(), Sample(), 0
    for _ in range(MEASUREMENTS):
        mine, others = mine.plus(draw(chance, True)), others.plus(draw(chance, False))
        verdict = judge(analysis, Samples(mine, others, version="new", stable_version="old")).verdict
        failed += verdict == FAIL
        if verdict in CONCLUSIVE:
            mine, others = Sample(), Sample()
    return failed


def assert_hardly_ever(check: dict[str, Any], draw: Callable[[random.Random, bool], Sample]) -> None:
    failed = [failures(check, draw, seed) for seed in range(ROLLOUTS)]
    assert sum(one > 0 for one in failed) / ROLLOUTS <= 0.05
    assert sum(one > 1 for one in failed) / ROLLOUTS <= 0.01


def predicted(chance: random.Random, rows: int) -> Sample:
    bins = Counter(f"class {int(chance.triangular(0, 6, 2))}" for _ in range(rows))
    named = {f"class {i}": float(bins[f"class {i}"]) for i in range(6)} | {"missing": 0.0, "other": 0.0}
    return Sample({"200": float(rows)}, bins=named)


def classified(chance: random.Random, rows: int, version: str) -> Sample:
    right = float(sum(chance.random() < 0.9 for _ in range(rows)))
    return Sample(scores={(version, "correct"): right, (version, "wrong"): rows - right})


def erred(chance: random.Random, rows: int, version: str) -> Sample:
    errors = [chance.expovariate(0.5) for _ in range(rows)]
    told = {"scored": float(rows), "absolute": sum(errors), "squared": sum(one * one for one in errors)}
    return Sample(scores={(version, what): value for what, value in told.items()})


ROWS = pytest.mark.parametrize("rows", [25, 100])


@ROWS
def test_versions_that_predict_the_same(rows: int) -> None:
    assert_hardly_ever({"metric": "PredictionPSI", "maximum": "0.05"}, lambda chance, _: predicted(chance, rows))


@ROWS
@pytest.mark.parametrize("bound", [{"minimum": "0.9"}, {"minRatioToStable": "1"}])
def test_versions_that_are_right_equally_often(bound: dict[str, str], rows: int) -> None:
    assert_hardly_ever(
        {"metric": "Accuracy", **bound}, lambda chance, new: classified(chance, rows, "new" if new else "old")
    )


@ROWS
@pytest.mark.parametrize("bound", [{"maximum": "2"}, {"maxRatioToStable": "1"}])
def test_versions_that_err_equally(bound: dict[str, str], rows: int) -> None:
    assert_hardly_ever(
        {"metric": "MeanAbsoluteError", **bound}, lambda chance, new: erred(chance, rows, "new" if new else "old")
    )


ERRORS = {"metric": "ErrorRatio", "maximum": "0.01"}
ERRORS_RATIO = {"metric": "ErrorRatio", "maxRatioToStable": "1"}
SLOW = {"metric": "LatencyP95Seconds", "maxRatioToStable": "1"}
SLOWEST = {"metric": "LatencyP99Seconds", "maxRatioToStable": "1"}
MIDDLE = {"metric": "LatencyP50Seconds", "maxRatioToStable": "1"}


@pytest.mark.parametrize("share", [1, 9])
@pytest.mark.parametrize(
    ("check", "error"), [(ERRORS, 0.01), (ERRORS_RATIO, 0.05), (SLOW, 0), (SLOWEST, 0), (MIDDLE, 0)]
)
def test_versions_that_answer_equally(check: dict[str, Any], error: float, share: int) -> None:
    """share: requests to the stable version for each one to the new version."""
    assert_hardly_ever(check, lambda chance, new: counted(chance, 25 if new else 25 * share, error))


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
    """within: measurements of 25 requests of which nine of ten rollouts have one that fails."""

    def first(seed: int) -> int:
        chance = random.Random(seed)
        analysis = Analysis.model_validate({"minRequests": 20, "checks": checks})
        mine, others = Sample(), Sample()
        for number in range(1, within + 1):
            mine, others = mine.plus(counted(chance, 25, worse, slowness)), others.plus(counted(chance, 225, 0.01))
            verdict = judge(analysis, Samples(mine, others)).verdict
            if verdict == FAIL:
                return number
            if verdict in CONCLUSIVE:
                mine, others = Sample(), Sample()
        return within + 1

    assert sum(first(seed) <= within for seed in range(40)) >= 36
