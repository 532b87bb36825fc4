"""Metrics, reference bins, importance and golden rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill_trainer.failure import StageError
from modelmill_trainer.golden import MAX_ROWS, choose_rows, differences
from modelmill_trainer.metrics import evaluate, own_metrics
from modelmill_trainer.models import Outputs
from modelmill_trainer.reference import permutation_importance, profile_of


def test_regression_metrics_by_hand() -> None:
    found = evaluate("regression", np.array([1.0, 2.0, 4.0]), {"predict": np.array([1.0, 3.0, 3.0])}, ())
    assert found["mae"] == pytest.approx(2 / 3)
    assert found["rmse"] == pytest.approx((2 / 3) ** 0.5)
    assert found["r2"] == pytest.approx(1 - 2 / (14 / 3))
    assert found["mape"] == pytest.approx((0.5 + 0.25) / 3)


def test_mape_is_left_out_where_a_target_is_zero() -> None:
    assert "mape" not in evaluate("regression", np.array([0.0, 2.0]), {"predict": np.array([1.0, 3.0])}, ())


def test_classification_metrics_by_hand() -> None:
    outputs = {
        "predict": np.array(["b", "a", "b", "b"], object),
        "predict_proba": np.array([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]),
    }
    found = evaluate("classification", np.array(["b", "a", "a", "b"], object), outputs, ("a", "b"))
    assert found["accuracy"] == 0.75
    assert found["precision_macro"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["recall_macro"] == pytest.approx((0.5 + 1) / 2)
    assert found["roc_auc"] == 1.0
    assert found["log_loss"] == pytest.approx(-np.log([0.8, 0.9, 0.4, 0.7]).mean())


def test_a_label_that_the_model_never_saw_counts_as_a_mistake() -> None:
    outputs = {"predict": np.array([0, 1]), "predict_proba": np.array([[0.9, 0.1], [0.2, 0.8]])}
    found = evaluate("classification", np.array([0, 7]), outputs, (0, 1))
    assert found["accuracy"] == 0.5
    assert "log_loss" not in found
    assert "roc_auc" not in found


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(StageError, match="1 of 2 rows"):
        evaluate("regression", np.array([1.0, 2.0]), {"predict": np.array([1.0, bad])}, ())


@pytest.mark.parametrize(
    "text", ['{"metrics": {"loss": NaN}}', '{"metrics": {"loss": "1"}}', '{"metrics": {"loss": true}}']
)
def test_own_metrics_must_be_finite_numbers(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(StageError, match="loss is") as caught:
        own_metrics(tmp_path / "metrics.json")
    assert caught.value.reason == "MetricInvalid"


def test_own_metrics(tmp_path: Path) -> None:
    assert own_metrics(tmp_path / "none.json") == {}
    (tmp_path / "metrics.json").write_text(json.dumps({"metrics": {"loss": 2}}))
    assert own_metrics(tmp_path / "metrics.json") == {"loss": 2.0}
    (tmp_path / "metrics.json").write_text("[]")
    with pytest.raises(StageError, match="must be"):
        own_metrics(tmp_path / "metrics.json")


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


def test_golden_rows_show_missing_values_categories_and_both_ends() -> None:
    frame = pd.DataFrame({"x": np.arange(100.0), "kind": ["a"] * 97 + ["b", "c", np.nan]})
    frame.loc[50, "x"] = np.nan
    predicted = np.arange(100.0)
    rows = choose_rows(frame, predicted)
    assert len(rows) == MAX_ROWS == len(set(rows))
    assert {0, 50, 97, 98, 99} <= set(rows)
    assert choose_rows(frame.head(3), predicted[:3]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"predict": np.array([1.0, 2.0 + 5e-5])}, ""),
        ({"predict": np.array([1.0, 2.1])}, "1 of 2 predictions differ, by 0.1 at most"),
        ({"predict": np.array([1.0, np.nan])}, "1 of 2 predictions differ, by nan at most"),
        ({"predict": np.array([1.0])}, "predict has shape (1,) instead of (2,)"),
        ({}, "it has no output predict"),
    ],
)
def test_differences(found: Outputs, problem: str) -> None:
    assert differences({"predict": np.array([1.0, 2.0])}, found, 1e-4)[0] == problem


def test_labels_must_be_equal() -> None:
    assert (
        differences({"predict": np.array(["a", "b"])}, {"predict": np.array(["a", "a"])}, 1.0)[0]
        == "1 of 2 labels differ"
    )
