"""Checks of what is predicted: drift between the versions, labels that came later; dry runs and errors."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.api.analysis import Analysis
from modelmill.measuring.samples import Sample
from modelmill.serving.rollout.analysis import judge
from modelmill.serving.rollout.checks import CHECKS
from modelmill.serving.rollout.findings import WORST, Samples
from tests.unit.serving.simulated import ANALYSIS, World, condition


def said(check: dict[str, Any], candidate: Sample, stable: Sample, version: str = "cars-2") -> tuple[str, str]:
    analysis = Analysis.model_validate({"minRequests": 50, "checks": [check]})
    verdict = judge(analysis, Samples(candidate, stable, version=version, stable_version="cars-1"))
    return verdict.verdict, verdict.message


def predicted(shares: list[float], rows: int, requests: int | None = None) -> Sample:
    bins = {f"class {i}": share * rows for i, share in enumerate(shares)}
    return Sample({"200": float(requests or rows)}, bins={**bins, "missing": 0.0, "other": 0.0})


PSI = {"metric": "PredictionPSI", "maximum": "0.2"}
EVEN, SHIFTED = [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]


@pytest.mark.parametrize(
    ("candidate", "verdict"),
    [
        (predicted(EVEN, 1000), "Pass"),
        (predicted(SHIFTED, 1000), "Fail"),
        (predicted(SHIFTED, 49), "Insufficient"),
        (predicted([0.25, 0.3, 0.45], 60), "Inconclusive"),
        (predicted(SHIFTED, 1_000_000, requests=10), "Inconclusive"),  # ten requests of 100,000 rows each
        (Sample({"200": 1000.0}), "Error"),
        (Sample({"200": 1000.0}, bins={"0": 500.0, "1": 500.0, "missing": 0.0}, edges={"0": 3.0}), "Error"),
    ],
)
def test_drift_between_the_versions(candidate: Sample, verdict: str) -> None:
    found, message = said(PSI, candidate, predicted(EVEN, 5000))
    assert (found, message.startswith("PredictionPSI")) == (verdict, True)


def labelled(version: str, correct: float, wrong: float) -> Sample:
    return Sample(
        {"200": 0.0}, scores={(version, "correct"): correct, (version, "wrong"): wrong, (version, "scored"): 0.0}
    )


ACCURATE = {"metric": "Accuracy", "minimum": "0.9"}
NO_WORSE = {"metric": "Accuracy", "minRatioToStable": "0.98"}


@pytest.mark.parametrize(
    ("check", "correct", "wrong", "verdict"),
    [
        (ACCURATE, 180, 20, "Pass"),
        (ACCURATE, 44, 6, "Inconclusive"),
        (ACCURATE, 120, 80, "Fail"),
        (ACCURATE, 40, 9, "Insufficient"),
        ({**ACCURATE, "minSamples": 40}, 20, 20, "Fail"),
        (NO_WORSE, 186, 14, "Pass"),
        (NO_WORSE, 182, 18, "Pass"),  # which chance explains
        (NO_WORSE, 140, 60, "Fail"),
        (NO_WORSE, 170, 30, "Inconclusive"),
    ],
)
def test_accuracy_of_labels_that_came_later(check: dict[str, Any], correct: float, wrong: float, verdict: str) -> None:
    stable = labelled("cars-1", 940, 60)
    assert said(check, labelled("cars-2", correct, wrong), stable)[0] == verdict


def test_labels_count_for_the_version_that_predicted_whichever_pod_scored_them() -> None:
    split = Sample(scores={("cars-2", "correct"): 10.0, ("cars-2", "wrong"): 90.0, ("cars-1", "correct"): 1000.0})
    assert said(ACCURATE, labelled("cars-2", 20, 80), split) == ("Fail", "Accuracy 0.15 < 0.9 (p < 0.001)")


def test_one_version_in_both_tracks_is_not_compared_by_labels() -> None:
    same = labelled("cars-1", 60, 40)
    verdict, message = said(NO_WORSE, same, same, version="cars-1")
    assert (verdict, "the same version" in message) == ("Pass", True)


def test_stable_without_labels_says_what_is_needed() -> None:
    verdict, message = said(NO_WORSE, labelled("cars-2", 60, 40), labelled("cars-1", 3, 0))
    assert (verdict, "stable had 3 of 50 labels needed by POST /feedback" in message) == ("Insufficient", True)


def erring(version: str, errors: list[float]) -> Sample:
    sums = {"scored": float(len(errors)), "absolute": sum(errors), "squared": sum(one * one for one in errors)}
    return Sample(scores={(version, what): value for what, value in sums.items()})


def drawn(mean: float, rows: int) -> list[float]:
    chosen = random.Random(rows)
    return [abs(chosen.gauss(0, mean * 1.2533)) for _ in range(rows)]


@pytest.mark.parametrize(
    ("check", "mean", "rows", "verdict"),
    [
        ({"maximum": "2.2"}, 2, 500, "Pass"),
        ({"maximum": "2.2"}, 3, 500, "Fail"),
        ({"maximum": "2.2"}, 2.5, 60, "Inconclusive"),
        ({"maxRatioToStable": "1.1"}, 2, 500, "Pass"),
        ({"maxRatioToStable": "1.1"}, 3, 500, "Fail"),
        ({"maxRatioToStable": "1.1"}, 3, 49, "Insufficient"),
    ],
)
def test_mean_absolute_error(check: dict[str, Any], mean: float, rows: int, verdict: str) -> None:
    candidate, stable = erring("cars-2", drawn(mean, rows)), erring("cars-1", drawn(2, 2000))
    assert said({"metric": "MeanAbsoluteError", **check}, candidate, stable)[0] == verdict


@pytest.mark.parametrize(
    ("metric", "candidate", "words"),
    [
        ("MeanAbsoluteError", labelled("cars-2", 90, 10), "judged by Accuracy"),
        ("Accuracy", erring("cars-2", [1.0] * 90), "judged by MeanAbsoluteError"),
        ("Accuracy", Sample({"200": 90.0}), "tell no labels"),
    ],
)
def test_figures_that_can_never_come_are_an_error(metric: str, candidate: Sample, words: str) -> None:
    bound = {"minimum": "0.9"} if metric == "Accuracy" else {"maximum": "1"}
    verdict, message = said({"metric": metric, **bound}, candidate, Sample())
    assert (verdict, words in message) == ("Error", True)


def test_a_dry_run_is_told_and_decides_nothing() -> None:
    fails = {"metric": "ErrorRatio", "maximum": "0.01", "dryRun": True}
    broken = Sample({"500": 100.0})
    assert said(fails, broken, Sample()) == ("Pass", "dry run Fail: ErrorRatio 1 > 0.01 (p < 0.001)")


def test_a_dry_run_that_fails_is_on_record_and_promoted() -> None:
    world = World(analysis={**ANALYSIS, "checks": [{**ANALYSIS["checks"][0], "dryRun": True}]}).serving()
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(8)
    assert "dry run Fail" in world.status["canary"]["analysis"][0]["message"]
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


def test_figures_that_cannot_be_had_take_the_version_back_after_the_limit() -> None:
    drift = {"metric": "PredictionPSI", "maximum": "0.2"}
    world = World(analysis={**ANALYSIS, "checks": [drift], "consecutiveErrorLimit": 2}).serving()
    world.add("cars-2")
    world.run(14)
    assert world.status["canary"]["consecutiveErrors"] == 2
    assert world.status["canary"]["analysis"][0]["verdict"] == "Error"
    world.run(30)
    assert world.status["phase"] == "RolledBack"
    assert condition(world, "RolledBack")[2].startswith("AnalysisError: PredictionPSI: the new version tells no bins")


COUNTS = st.sampled_from([0.0, 0.5, 1.0, 7.0, 1e6, 1e15, 1e103]) | st.floats(0, 1e103)
WORDS = ["correct", "wrong", "scored", "absolute", "squared"]
SAMPLES = st.builds(
    Sample,
    st.dictionaries(st.sampled_from(["200", "500", ""]), st.floats(0, 1e15)),
    st.dictionaries(st.sampled_from([0.1, 1.0, 1e9, float("inf")]), st.floats(0, 1e15)),
    st.dictionaries(st.sampled_from(["0", "1", "9", "a", "missing", "other"]), st.floats(0, 1e15)),
    st.dictionaries(st.sampled_from(["0", "1", "9"]), st.floats(allow_nan=False, allow_infinity=False)),
    st.dictionaries(st.tuples(st.sampled_from(["cars-1", "cars-2"]), st.sampled_from(WORDS)), COUNTS),
)
BOUNDS = st.sampled_from(["0", "-1", "1", "0.01", "1e99", "1e-99", "999999999999999e99"])


@given(SAMPLES, SAMPLES, st.sampled_from([*CHECKS]), BOUNDS, BOUNDS, st.integers(1, 100))
def test_whatever_pods_tell_there_is_a_verdict(
    candidate: Sample, stable: Sample, metric: str, bound: str, ratio: str, least: int
) -> None:
    names = ("minimum", "minRatioToStable") if metric == "Accuracy" else ("maximum", "maxRatioToStable")
    check = {"metric": metric, **dict(zip(names, (bound, ratio), strict=True)), "minSamples": least}
    verdict, message = said(check, candidate, stable)
    assert verdict in WORST
    assert message.isprintable()
    assert len(message) < 300
