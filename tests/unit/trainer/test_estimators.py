"""Estimators by name."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.exceptions import ConvergenceWarning

from modelmill.contracts.stage import Estimator
from modelmill_trainer.estimators import build, forget_training, needs_scaling
from modelmill_trainer.failure import StageError


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
        ("xgboost.XGBRanker", "use train.container"),
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


@pytest.mark.parametrize(
    ("path", "scaled"),
    [
        ("sklearn.ensemble.RandomForestRegressor", False),
        ("sklearn.ensemble.HistGradientBoostingClassifier", False),
        ("sklearn.linear_model.Ridge", True),
        ("sklearn.svm.SVC", True),
    ],
)
def test_trees_are_not_scaled(path: str, scaled: bool) -> None:
    assert needs_scaling(build(Estimator(path), 0)) is scaled


def test_a_network_forgets_its_optimizer_and_predicts_the_same() -> None:
    network = build(Estimator("sklearn.neural_network.MLPRegressor", {"max_iter": 50, "hidden_layer_sizes": [3]}), 0)
    rows = [[float(place)] for place in range(20)]
    with pytest.warns(ConvergenceWarning):
        network.fit(rows, [float(place) for place in range(20)])
    before = network.predict(rows)
    forget_training(network)
    assert not hasattr(network, "_optimizer")
    assert network.predict(rows).tolist() == before.tolist()
