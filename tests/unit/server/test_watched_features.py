"""What is counted of numbers beside their bins, and what is told of the features that are watched."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts import names
from modelmill.contracts.artifact import CATEGORICAL, NUMERIC, FeatureProfile, Profile, Tensor
from modelmill_server.queries.columns import VECTOR_ROWS, features_of
from modelmill_server.telemetry.bins import BinCounter, NumberCounter, counter_of
from modelmill_server.telemetry.features import WatchedFeatures, importance_shares


def number_counter(least: float, greatest: float) -> NumberCounter:
    made = counter_of(FeatureProfile(NUMERIC, (1.0,), least=least, greatest=greatest))
    assert isinstance(made, NumberCounter)
    return made


def told(counter: NumberCounter) -> tuple[int, int, int, float, float]:
    return counter.near, counter.far, counter.sizes, counter.size_sum, counter.square_sum


HARD = [0.0, -0.0, 5e-324, -5e-324, 1e-308, 1.7e308, -1.7e308, math.inf, -math.inf, math.nan, None, True, False, 2**63]
values_of_any_size = st.lists(
    st.sampled_from(HARD) | st.floats() | st.integers(-(2**64), 2**64), min_size=VECTOR_ROWS, max_size=2 * VECTOR_ROWS
)
ends = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2).map(sorted)


@given(values_of_any_size, ends)
def test_many_values_are_counted_like_single_ones(values: list[Any], ends: list[float]) -> None:
    many, single = number_counter(*ends), number_counter(*ends)
    many.add(values)
    for value in values:
        single.add([value])
    assert many.counts == single.counts
    assert told(many) == pytest.approx(told(single))


columns_of_any_size = st.lists(
    st.lists(st.sampled_from(HARD) | st.floats(), min_size=VECTOR_ROWS, max_size=VECTOR_ROWS), min_size=3, max_size=3
)


@given(columns_of_any_size, st.lists(ends, min_size=2, max_size=2))
def test_columns_of_a_long_request_are_counted_like_those_of_short_ones(
    columns: list[list[Any]], ranges: list[list[float]]
) -> None:
    cuts = (-1.0, 0.0, 2.0)
    profiles = {
        f"x{place}": FeatureProfile(NUMERIC, (0.25,) * 4, cuts, least=least, greatest=greatest)
        for place, (least, greatest) in enumerate(ranges)
    } | {"old": FeatureProfile(NUMERIC, (0.25,) * 4, cuts)}
    whole, single = watched(profiles, 1), watched(profiles, 1)
    whole.add(columns)
    for row in range(VECTOR_ROWS):
        single.add([[column[row]] for column in columns])
    for one, other in zip(whole.families(), single.families(), strict=True):
        for got, want in zip(one.samples, other.samples, strict=True):
            assert (got.name, got.labels) == (want.name, want.labels)
            assert got.value == pytest.approx(want.value)


@given(st.lists(st.sampled_from(HARD) | st.floats(), min_size=1, max_size=20))
def test_counters_never_go_down(values: list[Any]) -> None:
    counter = number_counter(-1.0, 1.0)
    before = told(counter)
    for value in values:
        counter.add([value])
        assert all(now >= then for now, then in zip(told(counter), before, strict=True))
        before = told(counter)
        assert all(map(math.isfinite, before))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, (0, 0, 1, 16.0)),
        (-100, (0, 1, 1, 18.0)),
        (3.0, (0, 0, 1, 16.0 + math.log10(3))),
        (3.5, (1, 0, 1, 16.0 + math.log10(3.5))),
        (6.0, (1, 0, 1, 16.0 + math.log10(6))),  # by the range's width, not by more
        (6.5, (0, 1, 1, 16.0 + math.log10(6.5))),
        (0.0, (0, 0, 0, 0.0)),
        (-0.0, (0, 0, 0, 0.0)),
        (None, (0, 0, 0, 0.0)),
        (math.nan, (0, 0, 0, 0.0)),
        (math.inf, (0, 1, 1, 32.0)),
        (-math.inf, (0, 1, 1, 32.0)),
        (5e-324, (0, 0, 1, 0.0)),
        (True, (0, 0, 1, 16.0)),
        (False, (0, 0, 0, 0.0)),
        (2**64, (0, 1, 1, 32.0)),
    ],
)
def test_what_a_value_counts_as(value: Any, expected: tuple[int, int, int, float]) -> None:
    for rows in (1, VECTOR_ROWS):
        counter = number_counter(0.0, 3.0)
        counter.add([value] * rows)
        near, far, sizes, size_sum = expected
        wanted = (rows * near, rows * far, rows * sizes, rows * size_sum, rows * size_sum**2)
        assert told(counter) == pytest.approx(wanted)


def test_beyond_53_bits_a_value_is_compared_as_training_saw_it() -> None:
    counter = number_counter(0.0, float(2**53))
    counter.add([2**53 + 1])
    assert (counter.near, counter.far) == (0, 0)


def test_each_other_value_is_far_from_the_only_one_of_training() -> None:
    counter = number_counter(7.0, 7.0)
    counter.add([7.0, 7.001])
    assert (counter.near, counter.far) == (0, 1)


@pytest.mark.parametrize(
    "profile", [FeatureProfile(NUMERIC, (1.0,)), FeatureProfile(CATEGORICAL, (1.0,), categories=("a",))]
)
def test_categories_and_features_of_older_artifacts_are_counted_by_bins_alone(profile: FeatureProfile) -> None:
    assert type(counter_of(profile)) is BinCounter


@pytest.mark.parametrize(
    ("importance", "shares"),
    [
        ([], []),
        ([3.0, 1.0], [0.75, 0.25]),
        ([3.0, -1.0, 1.0], [0.75, 0.0, 0.25]),
        ([0.0, -1.0], [0.5, 0.5]),
        ([1e308, 1e308], [0.5, 0.5]),
        ([5e-324, 5e-324], [0.5, 0.5]),
    ],
)
def test_shares_of_importance(importance: list[float], shares: list[float]) -> None:
    assert importance_shares(importance) == shares


def watched(profiles: dict[str, FeatureProfile], rows: int, most: int = 10) -> WatchedFeatures:
    features = features_of([Tensor(name, "FP64", (-1,)) for name in profiles])
    return WatchedFeatures(Profile(profiles, None, rows), features, most, ("m", "v"))


def series(made: WatchedFeatures, name: str) -> dict[tuple[str, ...], float]:
    found = {}
    for family in made.families():
        for sample in family.samples:
            if sample.name == name:
                found[tuple(sample.labels[key] for key in ("feature", "distance") if key in sample.labels)] = (
                    sample.value
                )
    return found


def test_series_of_the_watched_features() -> None:
    number = {"least": 0.0, "greatest": 3.0, "magnitude_mean": 16.5, "magnitude_deviation": 0.25}
    profiles = {
        "x": FeatureProfile(NUMERIC, (1.0,), importance=0.3, **number),
        "old": FeatureProfile(NUMERIC, (1.0,), importance=0.1),
        "zero": FeatureProfile(NUMERIC, (1.0,), importance=-0.1, least=0.0, greatest=0.0),
        "unwatched": FeatureProfile(NUMERIC, (1.0,), importance=-5.0, **number),
    }
    made = watched(profiles, rows=80, most=3)
    made.add([[4.0, 10.0], [1.0, 2.0], [0.0, 0.0], [9.0, 9.0]])
    assert series(made, names.METRIC_REFERENCE_ROWS) == {(): 80}
    assert series(made, names.METRIC_FEATURE_IMPORTANCE) == pytest.approx(
        {("x",): 0.75, ("old",): 0.25, ("zero",): 0.0}
    )
    assert series(made, names.METRIC_FEATURE_OUT_OF_RANGE) == {
        ("x", "near"): 1, ("x", "far"): 1, ("zero", "near"): 0, ("zero", "far"): 0,
    }  # fmt: skip
    sizes = np.log10([4.0, 10.0]) + 16
    name = names.METRIC_FEATURE_MAGNITUDE
    assert series(made, f"{name}_count") == {("x",): 2, ("zero",): 0}
    assert series(made, f"{name}_sum") == pytest.approx({("x",): sizes.sum(), ("zero",): 0})
    assert series(made, names.METRIC_FEATURE_MAGNITUDE_SQUARES) == pytest.approx({("x",): sizes @ sizes, ("zero",): 0})
    assert series(made, names.METRIC_FEATURE_REFERENCE_MAGNITUDE_MEAN) == {("x",): 16.5}
    assert series(made, names.METRIC_FEATURE_REFERENCE_MAGNITUDE_DEVIATION) == {("x",): 0.25}


def test_nothing_is_told_of_rows_that_nobody_saw() -> None:
    assert series(watched({}, rows=0), names.METRIC_REFERENCE_ROWS) == {}
