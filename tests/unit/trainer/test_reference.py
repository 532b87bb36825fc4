"""Reference bins and importance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts.artifact import CATEGORICAL, TEXT
from modelmill_trainer.models import Outputs
from modelmill_trainer.reference import MAX_IMPORTANCE_FEATURES, make_profile, permutation_importance, profile_of


@given(st.lists(st.none() | st.floats(-1e9, 1e9), min_size=1, max_size=200))
def test_numeric_bins_are_whole_and_agree_with_the_contract(values: list[float | None]) -> None:
    column = pd.Series(values, dtype="float64")
    profile = profile_of(column, 0.0)
    assert list(profile.edges) == sorted(set(profile.edges))
    assert len(profile.ratios) == len(profile.edges) + 1 <= 10
    counted = pd.Series([profile.bin_of(value) for value in column]).value_counts(normalize=True)
    for name, share in profile.bins().items():
        assert counted.get(name, 0.0) == pytest.approx(share)


@given(st.lists(st.none() | st.sampled_from([f"c{i}" for i in range(30)]), min_size=1, max_size=300))
def test_categorical_bins_are_whole_and_agree_with_the_contract(values: list[str | None]) -> None:
    profile = profile_of(pd.Series(values, dtype=object), 0.0)
    assert len(profile.categories) <= 20
    assert sum(profile.bins().values()) == pytest.approx(1.0)
    counted = pd.Series([profile.bin_of(value) for value in values]).value_counts(normalize=True)
    for name, share in profile.bins().items():
        assert counted.get(name, 0.0) == pytest.approx(share, abs=1e-9)


def test_few_values_have_a_bin_each_and_many_have_deciles() -> None:
    assert profile_of(pd.Series([4.0, 4.0, 6.0, 8.0]), 0.0).edges == (5.0, 7.0)
    profile = profile_of(pd.Series(np.arange(1000.0)), 0.0)
    assert len(profile.ratios) == 10
    assert profile.ratios == pytest.approx([0.1] * 10, abs=0.002)


def test_the_range_and_the_magnitudes_are_those_of_the_finite_values() -> None:
    profile = profile_of(pd.Series([0.0, -0.0, 1.0, -100.0, np.nan]), 0.0)
    assert (profile.least, profile.greatest) == (-100.0, 1.0)
    assert (profile.magnitude_mean, profile.magnitude_deviation) == pytest.approx((17.0, 1.0))
    # A model may predict infinity: it is no end of a range, which must be written as JSON.
    infinite = profile_of(pd.Series([1.0, 2.0, 3.0] * 10 + [np.inf]), 0.0)
    assert (infinite.least, infinite.greatest) == (1.0, 3.0)
    extreme = profile_of(pd.Series([5e-324, 1e308]), 0.0)
    assert (extreme.magnitude_mean, extreme.magnitude_deviation) == (16.0, 16.0)


@pytest.mark.parametrize(("values", "least"), [([np.nan, np.nan], None), ([0.0, 0.0], 0.0)])
def test_a_column_of_no_value_other_than_0_has_no_magnitudes(values: list[float], least: float | None) -> None:
    profile = profile_of(pd.Series(values), 0.0)
    assert (profile.least, profile.magnitude_mean, profile.magnitude_deviation) == (least, None, None)


def test_texts_that_mostly_differ_are_known_by_their_length() -> None:
    texts = [f"{'x' * (place % 7)}{place:03}" for place in range(90)] + ["often"] * 10
    frame = pd.DataFrame({"text": [*texts, *[np.nan] * 100]}, dtype=object)
    made = make_profile(frame, np.array(texts), np.array(texts), {"text": 0.5})
    profile = made.features["text"]
    assert (profile.kind, profile.missing_ratio, profile.importance) == (TEXT, 0.5, 0.5)
    assert profile.categories == ()
    assert sum(profile.bins().values()) == pytest.approx(1.0)
    counted = pd.Series([profile.bin_of(value) for value in frame["text"]]).value_counts(normalize=True)
    for name, share in profile.bins().items():
        assert counted.get(name, 0.0) == pytest.approx(share)
    # Labels are labels, however many.
    assert made.prediction is not None
    assert made.prediction.kind == CATEGORICAL


@pytest.mark.parametrize("gaps", [0, 500])
def test_texts_that_come_again_are_categories(gaps: int) -> None:
    texts = [f"c{place % 20}" for place in range(51)] + [f"rare {place}" for place in range(49)]
    frame = pd.DataFrame({"text": [*texts, *[np.nan] * gaps]}, dtype=object)
    profile = make_profile(frame, np.ones(1), np.ones(1), {}).features["text"]
    assert profile.kind == CATEGORICAL


def test_codes_of_one_length_stay_categories() -> None:
    frame = pd.DataFrame({"code": [f"{place:03}" for place in range(100)]})
    profile = make_profile(frame, np.ones(1), np.ones(1), {}).features["code"]
    assert (profile.kind, len(profile.categories)) == (CATEGORICAL, 20)


class Doubling:
    """Predicts twice the first column."""

    task = "regression"
    features = ["signal", "noise"]
    classes: tuple[Any, ...] = ()

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        return {"predict": frame["signal"].to_numpy() * 2}


def test_importance_finds_what_the_model_uses() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"noise": random.normal(size=200), "signal": random.normal(size=200)})
    found = permutation_importance(Doubling(), frame, frame["signal"].to_numpy() * 2, 0)
    assert next(iter(found)) == "signal"
    assert found["noise"] == 0.0
    assert found["signal"] > 1.0


def test_truth_values_are_categories_as_json_writes_them() -> None:
    profile = profile_of(pd.Series([True, False, False, False]), 0.0)
    assert profile.categories == ("false", "true")
    assert profile.ratios == (0.75, 0.25)
    assert profile.bin_of(True) == "true"


def test_a_column_without_values_and_a_constant_have_one_bin() -> None:
    empty = profile_of(pd.Series([np.nan, np.nan]), 0.0)
    assert (empty.edges, empty.ratios, empty.missing_ratio) == ((), (0.0,), 1.0)
    constant = profile_of(pd.Series([3.0] * 100), 0.0)
    assert (constant.edges, constant.ratios) == ((), (1.0,))


def test_a_profile_has_every_feature_and_the_predictions() -> None:
    frame = pd.DataFrame({"signal": [1.0, 2.0], "noise": [np.nan, 1.0]})
    profile = make_profile(frame, np.array([1.5, 4.5]), np.array([2.0, 4.0]), {"signal": 0.5})
    assert profile.rows == 2
    assert profile.target == (1.5, 4.5)
    assert {name: item.importance for name, item in profile.features.items()} == {"signal": 0.5, "noise": 0.0}
    assert profile.features["noise"].missing_ratio == 0.5
    assert profile.prediction is not None
    assert profile.prediction.edges == (3.0,)


class Wide(Doubling):
    """A model of very many features."""

    features = [f"f{place}" for place in range(MAX_IMPORTANCE_FEATURES + 5)]

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        return {"predict": frame["f0"].to_numpy()}


def test_importance_is_bounded_in_features() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, len(Wide.features))), columns=Wide.features)
    found = permutation_importance(Wide(), frame, frame["f0"].to_numpy(), 0)
    assert len(found) == MAX_IMPORTANCE_FEATURES
    assert next(iter(found)) == "f0"
