"""When a conversion to ONNX is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, QuantileTransformer
from sklearn.svm import LinearSVC

from modelmill_trainer.conversion import Conversion, convert
from modelmill_trainer.kinds import NUMBER, TEXT
from modelmill_trainer.models import OnnxModel, SklearnModel
from modelmill_trainer.probes import BETWEEN_ROWS, ROWS, probes

RANDOM = np.random.default_rng(1)
FRAME = pd.DataFrame(
    {"a": RANDOM.normal(size=200), "b": RANDOM.normal(size=200) * 1000, "c": RANDOM.integers(0, 5, 200) * 1.0}
)
TARGET = FRAME["a"] + FRAME["b"] / 1000 + FRAME["c"]


def converted(estimator: Any, frame: pd.DataFrame = FRAME, target: Any = TARGET) -> tuple[Conversion, SklearnModel]:
    kinds = {name: TEXT if frame[name].dtype == object else NUMBER for name in frame}
    model = SklearnModel(estimator.fit(frame, target), list(frame))
    return convert(model, kinds, frame, model.outputs(frame), 1e-4), model


def inputs(conversion: Conversion) -> list[tuple[str, list[Any]]]:
    assert conversion.content is not None, conversion.reason
    return [(item.name, item.shape) for item in onnxruntime.InferenceSession(conversion.content).get_inputs()]


def test_numbers_come_in_one_tensor() -> None:
    assert inputs(converted(LinearRegression())[0]) == [("features", [None, 3])]
    one = FRAME[["a"]]
    assert inputs(converted(LinearRegression(), one)[0]) == [("a", [None, 1])]


def test_columns_that_are_selected_by_name_come_one_by_one() -> None:
    pipeline = make_pipeline(ColumnTransformer([("c", OneHotEncoder(), ["a"]), ("b", "passthrough", ["b"])]), Ridge())
    frame = pd.DataFrame({"a": ["x", "y"] * 100, "b": FRAME["b"]})
    found, _ = converted(pipeline.set_params(columntransformer__c__handle_unknown="ignore"), frame)
    assert inputs(found) == [("a", [None, 1]), ("b", [None, 1])]


@pytest.mark.parametrize("classes", [[False, True], [0, 1, 2], ["no", "yes"]])
def test_a_tie_of_votes_goes_to_the_first_class(classes: list[Any]) -> None:
    target = np.array(classes)[RANDOM.integers(0, len(classes), 200)]
    found, model = converted(RandomForestClassifier(10, random_state=0), FRAME, target)
    assert found.content is not None, found.reason
    rows = pd.DataFrame(RANDOM.normal(size=(2000, 3)) * [1, 1000, 2], columns=list(FRAME))
    chances = np.sort(model.outputs(rows)["predict_proba"], axis=1)
    assert (chances[:, -1] == chances[:, -2]).sum() > 20
    labels = OnnxModel(found.content, model.features, model.task, model.classes).outputs(rows)["predict"]
    assert labels.tolist() == model.outputs(rows)["predict"].tolist()


def test_boosted_trees_follow_their_gaps() -> None:
    frame = FRAME.mask(RANDOM.random(FRAME.shape) < 0.2)
    found, _ = converted(HistGradientBoostingRegressor(max_iter=10), frame)
    assert found.content is not None, found.reason


def test_boosted_trees_with_categories_are_not_converted() -> None:
    found, _ = converted(HistGradientBoostingRegressor(max_iter=10, categorical_features=["c"]))
    assert found.content is None
    assert "split by categories" in found.reason


def hundredths(step: int) -> pd.DataFrame:
    """Numbers with two decimals, `step` hundredths apart."""
    return pd.DataFrame({"a": [float(f"{place / 100:.2f}") for place in range(1, 400, step)]})


@pytest.mark.parametrize("classes", [None, 2, 3])
def test_boosted_trees_decide_alike_for_every_number_half_way_between_two_known(classes: int | None) -> None:
    frame, between = hundredths(2), hundredths(1)[1::2]
    places = np.arange(len(frame))
    estimator: Any = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=1, max_leaf_nodes=None)
    if classes:
        estimator = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=1, max_leaf_nodes=None)
    found, model = converted(estimator, frame, places * 7 % (classes or 100))
    assert found.content is not None, found.reason
    splits = np.concatenate([tree.nodes["num_threshold"] for trees in estimator._predictors for tree in trees])
    assert len(set(between["a"]) - set(splits)) > 20, "splits beside the number that they stand for"
    expected = model.outputs(between)
    for name, values in OnnxModel(found.content, model.features, model.task, model.classes).outputs(between).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-4)


def test_bins_decide_alike_for_every_number_at_an_edge() -> None:
    frame, between = hundredths(2), hundredths(1)[1::2]
    bins = KBinsDiscretizer(100, encode="ordinal", quantile_method="averaged_inverted_cdf")
    found, model = converted(make_pipeline(bins, Ridge()), frame, np.arange(len(frame)) ** 2)
    assert found.content is not None, found.reason
    expected = model.outputs(between)["predict"]
    given = OnnxModel(found.content, model.features, model.task, model.classes).outputs(between)["predict"]
    np.testing.assert_allclose(given, expected, rtol=1e-4)


def test_probes_between_are_numbers_as_a_request_has_them() -> None:
    rows = dict(probes(hundredths(2), {"a": NUMBER}))["with numbers between those known"]
    assert set(rows["a"]) < set(hundredths(1)["a"])


def test_a_classifier_without_probabilities_has_its_labels_only() -> None:
    found, _ = converted(LinearSVC(), FRAME, (TARGET > 2).astype(int))
    assert found.content is not None, found.reason
    assert len(onnxruntime.InferenceSession(found.content).get_outputs()) == 1


def test_a_conversion_that_forgets_where_gaps_go_is_not_taken_though_it_agrees_on_the_data() -> None:
    frame = FRAME.copy()
    frame.loc[TARGET.idxmax(), "b"] = np.nan  # its gap goes where great numbers go
    frame.loc[TARGET.idxmin(), "b"] = np.nan
    found, _ = converted(RandomForestRegressor(10, random_state=0), frame)
    assert found.content is None
    assert "disagrees" in found.reason


def test_a_conversion_that_answers_what_the_original_refuses_is_not_taken() -> None:
    frame = pd.DataFrame({"a": ["x", "y"] * 100, "b": ["u", "v", "w", "x"] * 50})
    found, _ = converted(make_pipeline(OrdinalEncoder(), Ridge()), frame)
    assert found.content is None
    assert "with text that is new: the original refuses them" in found.reason


def test_a_conversion_that_cuts_numbers_off_is_not_taken() -> None:
    found, _ = converted(make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()), FRAME[["c"]], TARGET)
    assert found.content is None
    assert "between those known" in found.reason


def test_probes_change_one_column_of_each_row() -> None:
    frame = FRAME.assign(a=FRAME["a"].where(FRAME["a"] > 0), d="x")
    kinds = {"a": NUMBER, "b": NUMBER, "c": NUMBER, "d": TEXT}
    places = np.linspace(0, 199, ROWS).round().astype(int)
    found = dict(probes(frame, kinds))
    assert len(found) == 7
    for what, rows in found.items():
        assert rows.dtypes.equals(frame.dtypes), what
        assert len(rows) in (ROWS, 3 * ROWS), what
        base = frame.iloc[np.resize(places, len(rows))].reset_index(drop=True)
        changed = (rows != base) & ~(rows.isna() & base.isna())
        assert changed.sum(axis=1).max() == 1, what
        assert changed.any(axis=None), what
    assert found["with empty text"]["d"].eq("").all()
    assert found["with more gaps"]["a"].isna().all()
    assert not found["with more gaps"]["b"].isna().any()


def test_probes_are_not_more_for_more_columns() -> None:
    frame = pd.DataFrame(RANDOM.normal(size=(50, 30)), columns=[str(place) for place in range(30)])
    found = dict(probes(frame, dict.fromkeys(frame, NUMBER)))
    assert max(len(rows) for rows in found.values()) == BETWEEN_ROWS


def test_votes_of_classifiers_are_converted() -> None:
    voting = VotingClassifier(
        [("t", RandomForestClassifier(5, max_depth=2, random_state=0)), ("n", GaussianNB())], voting="soft"
    )
    found, model = converted(voting, FRAME, (TARGET > 2).astype(int))
    assert found.content is not None, found.reason
    assert model.estimator.flatten_transform is True


def test_a_conversion_that_would_take_minutes_is_not_begun() -> None:
    found, _ = converted(make_pipeline(QuantileTransformer(n_quantiles=200), Ridge()))
    assert found.content is None
    assert "600 quantiles are too many" in found.reason


def test_the_same_model_has_the_same_bytes_in_every_process() -> None:
    """Operator sets come out of a set of the converter: their order was the process's."""
    found, _ = converted(GaussianNB(), FRAME, (TARGET > 2).astype(int))
    assert found.content is not None, found.reason
    domains = [one.domain for one in onnx.load_from_string(found.content).opset_import]
    assert len(domains) > 1
    assert domains == sorted(domains)
