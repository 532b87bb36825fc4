"""XGBoost and LightGBM models by value, against the libraries that made them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from modelmill.contracts.artifact import Tensor
from modelmill_server.engines import Engine, load_engine
from modelmill_server.failure import StartError
from modelmill_server.queries.columns import RejectedError, features_of
from tests.unit.server.loading import (
    ROWS,
    frame_with_gaps,
    inputs,
    lists,
    load,
    refusal,
    target,
    with_categories,
)

BOTH = ("predict", "predict_proba")


def fitted(form: str, frame: pd.DataFrame, classes: int, folder: Path) -> tuple[Any, Path]:
    """Return an estimator and the file it was written to."""
    wanted = target(frame, classes)
    if form == "lightgbm":
        cls = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
        estimator = cls(n_estimators=15, min_child_samples=5, num_threads=1, verbose=-1).fit(frame, wanted)
        estimator.booster_.save_model(folder / "model.txt")
        return estimator, folder / "model.txt"
    cls = xgboost.XGBClassifier if classes else xgboost.XGBRegressor
    estimator = cls(n_estimators=15, nthread=1, enable_categorical=True).fit(frame, wanted)
    path = folder / ("model.json" if form == "xgboost-json" else "model.ubj")
    estimator.save_model(path)
    return estimator, path


def assert_outputs(engine: Engine, estimator: Any, frame: pd.DataFrame, columns: list[Any], labels: Any) -> None:
    tolerance = {"rtol": 1e-6, "atol": 1e-7}
    if labels is None:
        (got,) = engine.run(columns, ("predict",))
        np.testing.assert_allclose(got, estimator.predict(frame), **tolerance)
        return
    label, chance = engine.run(columns, BOTH)
    assert label.tolist() == [labels[place] for place in estimator.predict(frame).tolist()]
    np.testing.assert_allclose(chance, estimator.predict_proba(frame), **tolerance)
    again, first = engine.run(columns, BOTH[::-1])
    np.testing.assert_array_equal(again, chance)
    assert first.tolist() == label.tolist()


BOOSTERS = ("xgboost", "xgboost-json", "lightgbm")


@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("make", [frame_with_gaps, with_categories])
@pytest.mark.parametrize("form", BOOSTERS)
def test_boosters_give_the_values_of_their_estimators(form: str, make: Any, classes: int, tmp_path: Path) -> None:
    frame = make()
    estimator, path = fitted(form, frame, classes, tmp_path)
    labels = ("low", "middle", "high")[:classes]
    engine = load(form.partition("-")[0], path, frame, labels)
    named = labels or None
    assert_outputs(engine, estimator, frame, lists(frame), named)
    for row in range(0, 30, 3):
        one = frame.iloc[row : row + 1]
        assert_outputs(engine, estimator, one, lists(one), named)
    arrays = [
        frame[name].to_numpy() if frame[name].dtype == float else lists(frame)[place]
        for place, name in enumerate(frame)
    ]
    assert_outputs(engine, estimator, frame, arrays, named)


@pytest.mark.parametrize("form", BOOSTERS[1:])
def test_many_rows_on_several_threads_give_the_same(form: str, tmp_path: Path) -> None:
    frame = frame_with_gaps()
    estimator, path = fitted(form, frame, 3, tmp_path)
    engine = load(form.partition("-")[0], path, frame, ("x", "y", "z"), threads=2)
    many = pd.concat([frame] * 4, ignore_index=True)
    assert_outputs(engine, estimator, many, [many[name].to_numpy() for name in many], ("x", "y", "z"))


def test_lightgbm_takes_an_unseen_category_for_missing(tmp_path: Path) -> None:
    frame = with_categories()
    estimator, path = fitted("lightgbm", frame, 0, tmp_path)
    engine = load("lightgbm", path, frame)
    other = frame.assign(colour=pd.Categorical(["violet"] * ROWS))
    assert_outputs(engine, estimator, other, lists(other), None)
    (known,) = engine.run(lists(frame), ("predict",))
    assert not np.allclose(known, estimator.predict(other))


def test_xgboost_refuses_an_unseen_category_as_its_library_does(tmp_path: Path) -> None:
    frame = with_categories()
    estimator, path = fitted("xgboost", frame, 0, tmp_path)
    engine = load("xgboost", path, frame)
    for name, value, words in (
        ("colour", "violet", "'colour' is 'violet' at row 2: the model knows 'blue', 'green', 'red'"),
        ("size", 4, "'size' is '4' at row 2: the model knows 3, 7, 11"),
    ):
        columns = lists(frame[:4])
        columns[list(frame).index(name)][2] = value
        with pytest.raises(RejectedError, match=words) as caught:
            engine.run(columns, ("predict",))
        assert (caught.value.feature, caught.value.reason) == (name, "range")
    with pytest.raises(xgboost.core.XGBoostError, match="category not in the training set"):
        estimator.predict(frame.assign(colour=pd.Categorical(["violet"] * ROWS)))


@pytest.mark.parametrize("form", BOOSTERS[1:])
def test_several_threads_get_their_own_answers(form: str, tmp_path: Path) -> None:
    frame = frame_with_gaps()
    estimator, path = fitted(form, frame, 2, tmp_path)
    engine = load(form.partition("-")[0], path, frame, ("no", "yes"))
    want = estimator.predict_proba(frame)
    columns = lists(frame)

    def ask(turn: int) -> None:
        begin, size = turn % 200, 1 + turn % 3 * 17
        part = [column[begin : begin + size] for column in columns]
        got = engine.run(part, ("predict_proba",))[0]
        np.testing.assert_allclose(got, want[begin : begin + size], rtol=1e-6)

    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(ask, range(2000)))) == 2000


def test_xgboost_categories_that_it_may_have_cut_are_refused(tmp_path: Path) -> None:
    frame = with_categories()
    frame["colour"] = frame["colour"].cat.rename_categories({"green": "grün"})
    _, path = fitted("xgboost", frame, 0, tmp_path)
    assert "the categories of 'colour' in model.ubj are not ASCII" in refusal("xgboost", path, frame)
    estimator, path = fitted("lightgbm", frame, 0, tmp_path)
    assert_outputs(load("lightgbm", path, frame), estimator, frame, lists(frame), None)


@pytest.mark.parametrize("form", BOOSTERS[1:])
def test_labels_may_be_truth_values_and_numbers(form: str, tmp_path: Path) -> None:
    frame = frame_with_gaps()
    estimator, path = fitted(form, frame, 2, tmp_path)
    for labels in ((False, True), (10, 20)):
        engine = load(form.partition("-")[0], path, frame, labels)
        assert_outputs(engine, estimator, frame, lists(frame), labels)


def test_xgboost_honours_the_best_iteration(tmp_path: Path) -> None:
    frame = frame_with_gaps()
    wanted = np.random.default_rng(0).integers(0, 2, ROWS)
    estimator = xgboost.XGBClassifier(n_estimators=40, early_stopping_rounds=3, nthread=1)
    estimator.fit(frame[:120], wanted[:120], eval_set=[(frame[120:], wanted[120:])], verbose=False)
    assert estimator.best_iteration + 1 < estimator.get_booster().num_boosted_rounds()
    estimator.save_model(tmp_path / "model.ubj")
    engine = load("xgboost", tmp_path / "model.ubj", frame, ("no", "yes"))
    assert_outputs(engine, estimator, frame, lists(frame), ("no", "yes"))


def test_xgboost_softmax_and_dart(tmp_path: Path) -> None:
    frame = frame_with_gaps()
    matrix = xgboost.DMatrix(frame, target(frame, 3))
    booster = xgboost.train({"objective": "multi:softmax", "num_class": 3, "nthread": 1}, matrix, 5)
    booster.save_model(tmp_path / "model.ubj")
    label, chance = load("xgboost", tmp_path / "model.ubj", frame, ("x", "y", "z")).run(lists(frame), BOTH)
    assert label.tolist() == [("x", "y", "z")[int(place)] for place in booster.predict(matrix)]
    margin = np.exp(booster.predict(matrix, output_margin=True))
    np.testing.assert_allclose(chance, margin / margin.sum(axis=1, keepdims=True), rtol=1e-5)
    dart = xgboost.train({"booster": "dart", "rate_drop": 0.5, "nthread": 1}, matrix, 6)
    dart.save_model(tmp_path / "dart.ubj")
    (got,) = load("xgboost", tmp_path / "dart.ubj", frame).run(lists(frame), ("predict",))
    np.testing.assert_allclose(got, dart.predict(matrix), rtol=1e-6)


def test_codes_of_the_trainers_own_are_taken_as_they_are(tmp_path: Path) -> None:
    frame = frame_with_gaps().assign(c=np.random.default_rng(1).integers(0, 4, ROWS).astype(float))
    wanted = target(frame, 0) + (frame["c"] == 2)
    booster = lightgbm.train(
        {"verbose": -1, "num_threads": 1}, lightgbm.Dataset(frame, wanted, categorical_feature=["c"]), 5
    )
    booster.save_model(tmp_path / "model.txt")
    (got,) = load("lightgbm", tmp_path / "model.txt", frame).run(lists(frame), ("predict",))
    np.testing.assert_allclose(got, booster.predict(frame))
    matrix = xgboost.DMatrix(frame.to_numpy(), wanted, feature_types=["q", "q", "c"], enable_categorical=True)
    other = xgboost.train({"nthread": 1}, matrix, 5)
    other.save_model(tmp_path / "model.ubj")
    (got,) = load("xgboost", tmp_path / "model.ubj", frame).run(lists(frame), ("predict",))
    np.testing.assert_allclose(got, other.predict(matrix), rtol=1e-6)
    text = frame.assign(c=pd.Categorical(["u"] * ROWS))
    assert "'c' is text and model.ubj holds no categories" in refusal("xgboost", tmp_path / "model.ubj", text)
    assert "'c' is text and model.txt holds no categories" in refusal("lightgbm", tmp_path / "model.txt", text)


@pytest.mark.parametrize("form", BOOSTERS[1:])
def test_boosters_that_do_not_fit_the_signature_are_refused_by_name(form: str, tmp_path: Path) -> None:
    frame = frame_with_gaps()
    _, path = fitted(form, frame, 3, tmp_path)
    name, classes = form.partition("-")[0], ("x", "y", "z")
    assert "'c' in the manifest's signature and 'b'" in refusal(name, path, frame[["a", "c", "b"]], classes)
    assert "'d' in the manifest's signature" in refusal(name, path, frame.rename(columns={"b": "d"}), classes)
    assert "takes 3 features, the manifest's signature has 2" in refusal(name, path, frame[["a", "b"]], classes)
    assert "tells 3 classes apart: the signature names 2" in refusal(name, path, frame, ("x", "y"))
    _, regressor = fitted(form, frame, 0, tmp_path)
    assert "was trained for regression" in refusal(name, regressor, frame, ("x", "y"))
    with pytest.raises(StartError, match="the signature has 'transform'"):
        load_engine(name, path, features_of(inputs(frame)), (Tensor("transform", "FP64", (-1, 3)),), 1)
    path.write_bytes(b"no model")
    assert refusal(name, path, frame).startswith(path.name)


def test_a_linear_booster_is_refused(tmp_path: Path) -> None:
    frame = frame_with_gaps().fillna(0.0)
    booster = xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(frame, target(frame, 0)), 2)
    booster.save_model(tmp_path / "model.ubj")
    assert "linear booster" in refusal("xgboost", tmp_path / "model.ubj", frame)


def test_names_with_spaces_fit_lightgbm(tmp_path: Path) -> None:
    frame = frame_with_gaps().rename(columns={"a": "a long name"})
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(frame, frame["b"] * 2.0), 3)
    booster.save_model(tmp_path / "model.txt")
    (got,) = load("lightgbm", tmp_path / "model.txt", frame).run(lists(frame), ("predict",))
    np.testing.assert_allclose(got, booster.predict(frame))


def test_loading_a_booster_imports_neither_its_package_nor_scikit_learn(tmp_path: Path) -> None:
    frame = frame_with_gaps()
    for form in BOOSTERS[1:]:
        _, path = fitted(form, frame, 0, tmp_path)
        code = (
            "import sys; from pathlib import Path; from modelmill.contracts.artifact import Tensor\n"
            "from modelmill_server.queries.columns import features_of; from modelmill_server.engines import load_engine\n"
            "features = features_of([Tensor(name, 'FP64', (-1,)) for name in 'abc'])\n"
            f"load_engine({form.partition('-')[0]!r}, Path({str(path)!r}), features, [Tensor('predict', 'FP64', (-1,))], 1)\n"
            "print({'xgboost', 'lightgbm', 'sklearn', 'pandas', 'scipy', 'onnxruntime'} & set(sys.modules))\n"
        )
        environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert found.stdout == "set()\n"
