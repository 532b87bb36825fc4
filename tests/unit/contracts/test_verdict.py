from __future__ import annotations

import math
from typing import Any

import pytest

from modelmill.contracts.counts import Counts, FeatureReference, Key, Reference
from modelmill.contracts.verdict import Holdout, Limits, Verdict, failing, judge, quality

BINS = 10
NUMBER = FeatureReference({str(place): 0.1 for place in range(BINS)} | {"missing": 0.0}, 0.5, (18.0, 0.2))
TEXT = FeatureReference({"=red": 0.6, "=blue": 0.3, "other": 0.1, "missing": 0.0}, 0.1)
LIMITS = Limits()


def bins(feature: str, counts: dict[str, float]) -> dict[Key, float]:
    return {("bin", feature, name): count for name, count in counts.items()}


def magnitudes(feature: str, count: float, mean: float, deviation: float) -> dict[Key, float]:
    squares = count * (mean**2 + deviation**2)
    return {
        ("magnitude", feature, "count"): count,
        ("magnitude", feature, "sum"): count * mean,
        ("magnitude", feature, "squares"): squares,
    }


def even(feature: str, rows: float, **more: float) -> dict[Key, float]:
    return bins(feature, {str(place): rows / BINS for place in range(BINS)} | more)


def top(feature: str, rows: float) -> dict[Key, float]:
    return bins(feature, {"9": rows * 0.6, "8": rows * 0.4})


def told(counts: Counts, **features: FeatureReference) -> Verdict:
    prediction = {str(place): 0.1 for place in range(BINS)} | {"missing": 0.0}
    return judge(Reference(features or {"a": NUMBER}, prediction, 20_000), counts, LIMITS)


def test_too_few_rows_say_nothing() -> None:
    verdict = told(top("a", 499))
    assert (verdict.drifted, verdict.rows) == (None, 499)
    assert not verdict.problems


def test_rows_like_those_of_training_are_fine() -> None:
    verdict = told(even("a", 500))
    assert (verdict.drifted, verdict.share) == (False, 0)


def weighted(**importance: float) -> dict[str, FeatureReference]:
    return {name: FeatureReference(NUMBER.shares, weight) for name, weight in importance.items()}


@pytest.mark.parametrize(("weight", "drifted"), [(0.29, False), (0.3, True), (0.9, True)])
def test_features_count_by_their_importance(weight: float, drifted: bool) -> None:
    verdict = told(top("a", 600) | even("b", 600), **weighted(a=weight, b=1 - weight))
    assert verdict.share == pytest.approx(weight)
    assert verdict.drifted is drifted
    assert verdict.worst is not None
    assert verdict.worst.name == "a"


def test_a_shifted_prediction_counts_whatever_the_features_do() -> None:
    moved: dict[Key, float] = {("prediction", "9"): 300.0, ("prediction", "0"): 300.0}
    verdict = told(even("a", 600) | moved)
    assert verdict.drifted
    assert verdict.worst is not None
    assert verdict.worst.name == "prediction"


def test_features_of_no_importance_are_not_enough() -> None:
    verdict = told(top("a", 600), **weighted(a=0.0))
    assert verdict.drifted is False


def test_without_a_reference_nothing_is_judged() -> None:
    assert judge(Reference(), even("a", 600), LIMITS).drifted is None


def problems(counts: Counts, reference: FeatureReference = NUMBER) -> list[str]:
    return [one.kind for one in told(counts, a=reference).problems]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (even("a", 950) | bins("a", {"missing": 50}), []),
        (even("a", 930) | bins("a", {"missing": 70}), ["missing"]),
        (bins("a", {"missing": 600}), ["missing"]),
        (even("a", 600) | {("invalid", "a"): 20.0}, []),
        (even("a", 600) | {("invalid", "a"): 60.0}, ["invalid"]),
        ({("invalid", "a"): 600.0}, ["invalid"]),
        (even("a", 600) | {("out_of_range", "a", "near"): 500.0, ("out_of_range", "a", "far"): 29.0}, []),
        (even("a", 600) | {("out_of_range", "a", "far"): 31.0}, ["out_of_range"]),
    ],
)
def test_missing_refused_and_far_values(counts: Counts, expected: list[str]) -> None:
    assert problems(counts) == expected


@pytest.mark.parametrize(
    ("times", "deviation", "found"),
    [
        (1.0, 0.2, False),
        (1.3, 0.2, False),
        (2.54, 0.2, True),
        (1 / 2.2046, 0.2, True),
        (1.3, 0.4, False),
        (10, 0.2, True),
        (0.001, 0.2, True),
        (10, 0.5, False),
    ],
)
def test_a_unit_factor(times: float, deviation: float, found: bool) -> None:
    counts = top("a", 600) | magnitudes("a", 600, 18.0 + math.log10(times), deviation)
    verdict = told(counts, a=NUMBER)
    assert [one.kind for one in verdict.problems] == (["unit"] if found else [])
    if found:
        assert f"{times:,.4g} times" in verdict.problems[0].message


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        (bins("a", {"5": 600}) | magnitudes("a", 600, 18.0, 0.0), ["constant"]),
        (bins("a", {"5": 600}), ["constant"]),  # all of them 0
        (bins("a", {"5": 600}) | magnitudes("a", 600, 18.0, 0.05), []),
        (bins("a", {"5": 590, "4": 10}) | magnitudes("a", 600, 18.0, 0.0), []),
    ],
)
def test_a_constant_column(counts: Counts, found: list[str]) -> None:
    assert problems(counts) == found


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({"=red": 400, "=blue": 200}, []),
        ({"=red": 600}, ["constant", "vanished"]),
        ({"=red": 400, "other": 200}, ["vanished"]),
        ({"=red": 400, "=blue": 1, "other": 199}, []),
    ],
)
def test_categories(counts: dict[str, float], found: list[str]) -> None:
    assert problems(bins("a", counts), TEXT) == found


def test_an_older_artifact_has_no_units_and_constants() -> None:
    older = FeatureReference(NUMBER.shares)
    assert problems(bins("a", {"5": 600}) | magnitudes("a", 600, 21.0, 0.0), older) == []


CLASSES = Holdout(0.1, 0.1 * 0.9 / 400, classes=True)


def labels(wrong: float, count: float) -> dict[Key, float]:
    return {("label", "wrong"): wrong, ("label", "correct"): count - wrong}


@pytest.mark.parametrize(
    ("wrong", "count", "maximum", "worse"),
    [
        (50, 99, None, None),
        (10, 100, None, False),
        (20, 100, None, False),
        (50, 100, None, True),
        (100, 1000, None, False),
        (300, 1000, None, True),
        (300, 1000, 0.4, False),
        (300, 1000, 0.2, True),
    ],
)
def test_labels_of_a_classifier(wrong: float, count: float, maximum: float | None, worse: bool | None) -> None:
    found = quality(labels(wrong, count), CLASSES, maximum, 100)
    assert found.worse is worse
    assert found.error == wrong / count


def errors(count: float, mean: float, deviation: float) -> dict[Key, float]:
    return {
        ("label", "scored"): count,
        ("error", "absolute"): count * mean,
        ("error", "squared"): count * (mean**2 + deviation**2),
    }


@pytest.mark.parametrize(("mean", "worse"), [(2.0, False), (2.5, False), (5.0, True)])
def test_labels_of_a_regression(mean: float, worse: bool) -> None:
    found = quality(errors(400, mean, 1.5), Holdout(2.0, 1.5**2 / 100, classes=False), None, 100)
    assert found.worse is worse
    assert found.limit == 2.5


@pytest.mark.parametrize(("counts", "labelled"), [({}, 0.0), (labels(5, 300), 300.0)])
def test_labels_that_cannot_be_judged(counts: Any, labelled: float) -> None:
    found = quality(counts, None, None, 100)
    assert (found.labels, found.worse) == (labelled, None)


def test_errors_of_the_server() -> None:
    assert failing({("code", "500"): 99.0}) is None
    assert failing({("code", "200"): 1000.0, ("code", "404"): 500.0}) is False
    assert failing({("code", "200"): 900.0, ("code", "503"): 100.0}) is True
