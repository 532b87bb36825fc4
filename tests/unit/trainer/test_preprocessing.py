"""What preprocessing makes of columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts.stage import Estimator
from modelmill_trainer.estimators import build, needs_scaling
from modelmill_trainer.preprocessing import MAX_CATEGORIES, choose, pipeline, unusable


def test_columns_find_their_treatment() -> None:
    frame = pd.DataFrame(
        {
            "weight": [1.0, np.nan] * 60,
            "flag": [0.0, 1.0] * 60,
            "origin": ["b", "a", "a"] * 40,
            "name": [f"car {place}" for place in range(120)],
            "built": ["2026-01-31"] * 120,
            "never": [np.nan] * 120,
            "town": [f"town {place % 55}" for place in range(120)],
        }
    )
    kinds = {"weight": "number", "flag": "boolean", "never": "number"}
    plan = choose(frame, {name: kinds.get(name, "text") for name in frame}, list(frame))
    assert plan.numbers == ["weight", "flag"]
    assert plan.categories["origin"] == ["a", "b"]
    assert len(plan.categories["town"]) == MAX_CATEGORIES
    text = " ".join(plan.notes)
    for name in ("'name'", "'built'", "'never'", "'town'"):
        assert name in text
    assert set(plan.features) == {"weight", "flag", "origin", "town"}


def test_a_missing_or_unknown_category_and_a_missing_number_are_predicted() -> None:
    frame = pd.DataFrame({"weight": np.arange(20.0), "origin": ["a", "b"] * 10})
    plan = choose(frame, {"weight": "number", "origin": "text"}, list(frame))
    estimator = build(Estimator("sklearn.linear_model.LinearRegression"), 0)
    assert needs_scaling(estimator)
    model = pipeline(plan, estimator, scale=True).fit(frame, frame["weight"] + (frame["origin"] == "a") * 10)
    asked = pd.DataFrame({"weight": [3.0, np.nan, 3.0, 3.0], "origin": ["a", "a", np.nan, "never seen"]})
    known, median, missing, unknown = model.predict(asked)
    assert known == pytest.approx(13.0)
    assert median == pytest.approx(9.5 + 10.0)
    assert missing == unknown


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        ([1.0, np.nan], "number", ""),
        ([1.0, 0.0], "boolean", ""),
        ([np.nan, np.nan], "number", "no value"),
        ([None, None], "text", "no value"),
        (["2026-01-31", "2026-02-01T10:00:00Z", None], "text", "dates"),
        (["2026-01-31", "soon"], "text", ""),
        (list(pd.to_datetime(["2026-01-31"])), "date", "dates"),
        ([f"text {place}" for place in range(MAX_CATEGORIES + 1)], "text", "texts that are all different"),
        ([*(f"text {place}" for place in range(MAX_CATEGORIES + 1)), "text 0"], "text", "texts that mostly differ"),
        ([f"{place},{place:02d}" for place in range(MAX_CATEGORIES + 1)], "text",
         "decimals with a comma; write 1234.5 for 1.234,5"),
        ([f"-1.{place:03d},5" for place in range(MAX_CATEGORIES + 1)], "text",
         "decimals with a comma; write 1234.5 for 1.234,5"),
        ([f"{place},x" for place in range(MAX_CATEGORIES + 1)], "text", "texts that are all different"),
        ([f"{1 + place % 28:02d}.01.2024 00:{place:02d}" for place in range(MAX_CATEGORIES + 1)], "text",
         "dates"),
        ([f"1/{1 + place % 28}/{1980 + place}" for place in range(MAX_CATEGORIES + 1)], "text",
         "dates"),
        ([f"text {place}" for place in range(MAX_CATEGORIES)], "text", ""),
        ([f"text {place}" for place in range(MAX_CATEGORIES + 1)] * 2, "text", ""),
    ],
)  # fmt: skip
def test_why_a_column_cannot_be_used(values: list[object], kind: str, why: str) -> None:
    assert unusable(pd.Series(values), kind) == why


def test_equal_shares_are_ordered_by_text() -> None:
    frame = pd.DataFrame({"kind": ["b", "a", "c", "c"]})
    assert choose(frame, {"kind": "text"}, ["kind"]).categories == {"kind": ["c", "a", "b"]}


def test_scaled_numbers_have_unit_variance() -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan, 3.0, 500.0]})
    plan = choose(frame, {"x": "number"}, ["x"])
    made = pipeline(plan, build(Estimator("sklearn.linear_model.LinearRegression"), 0), scale=True)
    found = made.named_steps["preprocess"].fit_transform(frame)
    assert found.std() == pytest.approx(1.0)
    assert found[1] == pytest.approx((3.0 - frame["x"].fillna(3.0).mean()) / frame["x"].fillna(3.0).std(ddof=0))
