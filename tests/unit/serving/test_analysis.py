"""Verdicts, quantiles and counters of the analysis."""

from __future__ import annotations

from itertools import pairwise

import pytest

from modelmill.api.analysis import Analysis
from modelmill.contracts.names import DURATION_BUCKETS
from modelmill.measuring.exposition import MAX_COUNT
from modelmill.measuring.samples import Sample, error_ratio, quantile
from modelmill.measuring.windows import Window
from modelmill.serving.rollout.analysis import judge
from modelmill.serving.rollout.canary import CAREFUL_ANALYSIS
from modelmill.serving.rollout.findings import Samples

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


def test_a_thousand_pods_that_tell_the_most_are_counted_exactly() -> None:
    """JSON numbers are exact below 2**53, and the API server refuses a status with an integer above 2**63."""
    told = {
        str(uid): Sample({"200": float(MAX_COUNT)}, {0.1: float(MAX_COUNT), INF: float(MAX_COUNT)})
        for uid in range(1000)
    }
    samples = Samples(Window().since(told, told), Sample())
    assert judge(analysis(maximum="0.2"), samples).requests == 1000 * MAX_COUNT < 2**53


def test_pods_without_figures_are_told_beside_the_others() -> None:
    told = "; no figures from 1 of 3 pods at /metrics"
    for canary, verdict in ((0.1, "Pass"), (0.4, "Fail")):
        found = judge(analysis(maximum="0.2"), Samples(latency(canary), Sample(), pods=3, silent=1))
        assert (found.verdict, found.message.endswith(told)) == (verdict, True)
    found = judge(analysis(maximum="0.2"), Samples(latency(9.0, 5), Sample(), pods=3, silent=1))
    assert found.message == "5 of 10 requests needed" + told
    assert judge(analysis(), Samples(Sample(), Sample(), pods=3, silent=3)).message == told.replace("1", "3")[2:]


def test_neighbouring_buckets_are_within_the_tolerance_of_careful_rollouts() -> None:
    bounds = DURATION_BUCKETS
    tolerance = next(float(one.max_ratio_to_stable) for one in CAREFUL_ANALYSIS.checks if one.max_ratio_to_stable)
    assert bounds[0] < 50e-6 < 10.0 <= bounds[-1]
    assert all(1 < later / bound <= 2.5001 < tolerance for bound, later in pairwise(bounds))


def test_pods_with_other_buckets_are_counted_together() -> None:
    """Pods of an image from before the fine buckets serve beside those with them."""
    coarse = Sample({}, {0.0005: 100.0, INF: 100.0})
    fine = Sample({}, {0.0001: 100.0, 0.0005: 100.0, INF: 100.0})
    both = coarse.plus(fine)
    assert quantile(both, 0.5) == pytest.approx(0.0001)
    assert 0.0001 < quantile(both, 0.95) <= 0.0005


def errors(wrong: float, requests: float) -> Sample:
    return Sample({"200": requests - wrong, "500": wrong}, {1.0: requests, INF: requests})


def of_errors(**fields: object) -> Analysis:
    return Analysis.model_validate({"minRequests": 20, "checks": [{"metric": "ErrorRatio", **fields}]})


@pytest.mark.parametrize(
    ("wrong", "requests", "verdict"),
    [
        (0, 20, "Pass"),
        (1, 20, "Inconclusive"),  # the least ratio above 0.01 there is: chance, in 18 of 100 measurements
        (1, 100, "Pass"),
        (5, 20, "Fail"),
        (5, 5, "Fail"),  # of fewer requests than asked for
        (4, 4, "Insufficient"),
        (5, 19, "Fail"),
        (1, 19, "Insufficient"),
        (60, 5000, "Inconclusive"),
        (200, 10_000, "Fail"),
    ],
)
def test_errors_fail_where_chance_does_not_explain_them(wrong: float, requests: float, verdict: str) -> None:
    assert judge(of_errors(maximum="0.01"), Samples(errors(wrong, requests), Sample())).verdict == verdict


@pytest.mark.parametrize(
    ("wrong", "stable", "verdict"),
    [(1, 0, "Pass"), (3, 0, "Inconclusive"), (6, 0, "Fail"), (6, 54, "Pass"), (32, 54, "Fail")],
)
def test_errors_beside_the_stable_ones(wrong: float, stable: float, verdict: str) -> None:
    samples = Samples(errors(wrong, 50), errors(stable, 450))
    assert judge(of_errors(maxRatioToStable="2"), samples).verdict == verdict


def test_a_tenth_slow_is_inconclusive_with_few_requests_and_fails_with_many() -> None:
    def slow(requests: float) -> Sample:
        return Sample({"200": requests}, {0.1: requests * 0.9, 1.0: requests, INF: requests})

    assert judge(analysis(maximum="0.1"), Samples(slow(30), Sample())).verdict == "Inconclusive"
    assert judge(analysis(maximum="0.1"), Samples(slow(300), Sample())).verdict == "Fail"
    assert judge(analysis(maxRatioToStable="2"), Samples(slow(1000), latency(0.1, 3000))).verdict == "Fail"


@pytest.mark.parametrize(("metric", "verdict"), [("P50", "Pass"), ("P95", "Pass"), ("P99", "Fail")])
def test_each_quantile_is_its_own_check(metric: str, verdict: str) -> None:
    sample = Sample({"200": 1000.0}, {0.1: 970.0, 1.0: 1000.0, INF: 1000.0})
    checked = Analysis.model_validate({"checks": [{"metric": f"Latency{metric}Seconds", "maximum": "0.1"}]})
    assert judge(checked, Samples(sample, Sample())).verdict == verdict


def test_the_worst_check_decides_and_says_why() -> None:
    both = Analysis.model_validate(
        {
            "minRequests": 20,
            "checks": [{"metric": "ErrorRatio", "maximum": "0.01"}, {"metric": "LatencyP95Seconds", "maximum": "0.2"}],
        }
    )
    verdict = judge(both, Samples(Sample({"200": 19.0, "500": 1.0}, {0.2: 0.0, 0.4: 20.0, INF: 20.0}), Sample()))
    assert (verdict.verdict, verdict.message) == ("Fail", "LatencyP95Seconds 0.39 > 0.2 (p < 0.001)")


def test_hostile_buckets_are_judged() -> None:
    """A pod may tell counts that fall from bucket to bucket."""
    odd = Sample({"200": 100.0}, {0.1: 90.0, 0.2: 10.0, 0.4: 70.0, INF: 20.0})
    for check in ({"maximum": "0.15"}, {"maxRatioToStable": "0.5"}, {"maximum": "0.0001"}):
        for samples in (Samples(odd, latency(0.3)), Samples(latency(0.3), odd), Samples(odd, odd)):
            assert judge(analysis(**check), samples).message
