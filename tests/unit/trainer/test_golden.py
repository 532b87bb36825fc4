"""Golden rows: which are chosen, and when two models agree on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill_trainer.golden import MAX_ROWS, TOLERANCE, choose_rows, differences, make_golden, tolerance
from modelmill_trainer.models import Outputs


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


def test_truth_values_and_gaps_are_plain_json() -> None:
    frame = pd.DataFrame({"flag": [1.0, 0.0, np.nan], "x": [1.5, np.nan, 2.0], "kind": ["a", np.nan, "b"]})
    outputs = {"predict": np.array([True, False, True])}
    made = make_golden(frame, {"flag": "boolean", "x": "number", "kind": "text"}, outputs, 0.5)
    assert made.inputs == {"flag": [True, False, None], "x": [1.5, None, 2.0], "kind": ["a", None, "b"]}
    assert made.outputs == {"predict": [True, False, True]}
    assert type(made.inputs["flag"][0]) is type(made.outputs["predict"][0]) is bool
    assert made.absolute == 0.5


@pytest.mark.parametrize(
    ("task", "predicted", "expected"),
    [
        ("classification", [0.0, 1.0], TOLERANCE),
        ("regression", [0.0, 2000.0], TOLERANCE * 1000),
        ("regression", [5.0, 5.0], TOLERANCE),
    ],
)
def test_tolerance_follows_the_spread(task: str, predicted: list[float], expected: float) -> None:
    assert tolerance(task, np.array(predicted)) == pytest.approx(expected)


@pytest.mark.parametrize("predicted", [np.array([True, False] * 30), np.array(["a", "b"] * 30, object)])
def test_rows_of_every_label_are_chosen(predicted: Any) -> None:
    rows = choose_rows(pd.DataFrame({"x": np.arange(60.0)}), predicted)
    assert set(predicted[rows].tolist()) == set(predicted.tolist())
