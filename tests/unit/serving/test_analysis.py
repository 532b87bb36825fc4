"""Verdicts, quantiles and counters of the analysis."""

from __future__ import annotations

import pytest

from modelmill.api.inference_service import Analysis
from modelmill.measuring.samples import Sample, error_ratio, quantile
from modelmill.serving.rollout.analysis import Samples, judge

INF = float("inf")


def analysis(**check: str) -> Analysis:
    return Analysis.model_validate({"minRequests": 10, "checks": [{"metric": "LatencyP95Seconds", **check}]})


def latency(seconds: float, requests: float = 100.0) -> Sample:
    return Sample({"200": requests}, {seconds / 2: 0.0, seconds: requests, INF: requests})


def test_quantile_is_linear_in_the_bucket() -> None:
    sample = Sample({}, {0.1: 50.0, 0.2: 100.0, INF: 100.0})
    assert quantile(sample, 0.5) == pytest.approx(0.1)
    assert quantile(sample, 0.75) == pytest.approx(0.15)


def test_quantile_in_the_open_bucket_is_its_lower_bound() -> None:
    assert quantile(Sample({}, {0.1: 0.0, 1.0: 10.0, INF: 100.0}), 0.95) == pytest.approx(1.0)


def test_quantile_and_ratio_of_nothing_are_zero() -> None:
    assert quantile(Sample(), 0.95) == 0
    assert error_ratio(Sample()) == 0


def test_only_server_errors_count() -> None:
    assert error_ratio(Sample({"200": 90.0, "400": 5.0, "500": 4.0, "503": 1.0})) == pytest.approx(0.05)


def test_reset_counter_counts_from_zero() -> None:
    since = Sample({"200": 5.0}).minus(Sample({"200": 100.0}))
    assert since.requests == 5


@pytest.mark.parametrize(("canary", "verdict"), [(0.1, "Pass"), (0.4, "Fail")])
def test_maximum(canary: float, verdict: str) -> None:
    assert judge(analysis(maximum="0.2"), Samples(latency(canary), Sample())).verdict == verdict


@pytest.mark.parametrize(("stable", "verdict"), [(0.3, "Pass"), (0.1, "Fail")])
def test_ratio_to_stable(stable: float, verdict: str) -> None:
    assert judge(analysis(maxRatioToStable="1.5"), Samples(latency(0.3), latency(stable))).verdict == verdict


def test_quiet_stable_is_not_compared_and_that_is_said() -> None:
    verdict = judge(analysis(maxRatioToStable="1.5"), Samples(latency(0.3), latency(0.1, 2)))
    assert verdict.verdict == "Pass"
    assert "not compared" in verdict.message


def test_few_requests_conclude_nothing() -> None:
    verdict = judge(analysis(maximum="0.2"), Samples(latency(9.0, 5), Sample()))
    assert verdict.verdict == "Insufficient"
    assert "5 of 10" in verdict.message
