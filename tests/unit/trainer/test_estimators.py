"""Estimators by name, and what preprocessing makes of columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts.stage import Estimator
from modelmill_trainer.estimators import build, needs_scaling
from modelmill_trainer.failure import StageError
from modelmill_trainer.preprocessing import MAX_CATEGORIES, choose, pipeline


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("sklearn.ensemble.GradientBoostingRegresor", "did you mean sklearn.ensemble.GradientBoostingRegressor?"),
        ("sklearn.tree.RandomForestClassifier", "did you mean sklearn.ensemble.RandomForestClassifier?"),
        ("sklearn.linear_model.ridge", "did you mean sklearn.linear_model.Ridge?"),
        ("sklearn.preprocessing.StandardScaler", "is no estimator with fit and predict"),
        ("sklearn.cluster.KMeans", "no classifier and no regressor"),
        ("sklearn.os.system", "does not exist"),
        ("sklearn.utils.os.system", "does not exist"),
        ("os.system", "is not in scikit-learn"),
        ("xgboost.XGBRegressor", "use train.container"),
        ("sklearn", "is not in scikit-learn"),
    ],
)
def test_an_unknown_estimator_is_refused(path: str, said: str) -> None:
    with pytest.raises(StageError) as caught:
        build(Estimator(path), 0)
    assert (caught.value.reason, caught.value.exit_code) == ("EstimatorUnknown", 3)
    assert said in caught.value.line()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"learning_rat": 0.1}, "did you mean learning_rate?"),
        ({"learning_rate": "fast"}, "'learning_rate' parameter of GradientBoostingRegressor"),
        ({"n_estimators": 0}, "'n_estimators' parameter"),
    ],
)
def test_a_bad_parameter_is_named(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(StageError) as caught:
        build(Estimator("sklearn.ensemble.GradientBoostingRegressor", parameters), 0)
    assert caught.value.reason == "ParameterInvalid"
    assert said in caught.value.line()


def test_the_seed_is_set_where_there_is_one_and_a_parameter_wins() -> None:
    assert build(Estimator("sklearn.ensemble.RandomForestRegressor"), 7).random_state == 7
    assert build(Estimator("sklearn.ensemble.RandomForestRegressor", {"random_state": 3}), 7).random_state == 3
    assert not hasattr(build(Estimator("sklearn.linear_model.LinearRegression"), 7), "random_state")


def test_an_estimator_that_needs_another_is_refused_by_name() -> None:
    with pytest.raises(StageError, match="estimators") as caught:
        build(Estimator("sklearn.ensemble.VotingRegressor"), 0)
    assert caught.value.reason == "ParameterInvalid"


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
