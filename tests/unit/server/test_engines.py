"""Engines by value, against the libraries that made the models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import PairwiseKernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skops.io import dump

from modelmill.contracts.artifact import Tensor
from modelmill_server.columns import RejectedError, features_of
from modelmill_server.engines import Engine, load_engine
from modelmill_server.engines.matrix import numbers, one_matrix
from modelmill_server.failure import StartError

ROWS = 240
BOTH = ("predict", "predict_proba")


def frame_with_gaps() -> pd.DataFrame:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"a": random.normal(size=ROWS), "b": random.normal(size=ROWS), "c": random.normal(size=ROWS)})
    frame.loc[::7, "a"] = np.nan
    return frame


def with_categories() -> pd.DataFrame:
    random = np.random.default_rng(4)
    frame = frame_with_gaps()
    frame["size"] = pd.Categorical(random.choice([3, 7, 11], ROWS))
    frame["colour"] = pd.Categorical(random.choice(["blue", "green", "red"], ROWS))
    frame.loc[::11, "colour"] = np.nan
    return frame


def target(frame: pd.DataFrame, classes: int) -> Any:
    score = frame["a"].fillna(0.5) + frame["b"] ** 2
    if "colour" in frame:
        score += frame["colour"].cat.codes
    return pd.qcut(score, classes, labels=False).to_numpy() if classes else score.to_numpy()


def inputs(frame: pd.DataFrame) -> tuple[Tensor, ...]:
    made = []
    for name in frame:
        categorical = frame[name].dtype == "category"
        text = categorical and frame[name].cat.categories.dtype == object
        datatype = "BYTES" if text else "INT64" if categorical else "FP64"
        made.append(Tensor(str(name), datatype, (-1,), "categorical" if categorical else "numeric", True))
    return tuple(made)


def outputs(classes: tuple[Any, ...]) -> tuple[Tensor, ...]:
    if not classes:
        return (Tensor("predict", "FP64", (-1,)),)
    return (
        Tensor("predict", "BYTES", (-1,), classes=classes),
        Tensor("predict_proba", "FP64", (-1, len(classes)), classes=classes),
    )


def lists(frame: pd.DataFrame) -> list[Any]:
    return [[None if pd.isna(value) else value for value in frame[name].tolist()] for name in frame]


def load(form: str, path: Path, frame: pd.DataFrame, classes: tuple[Any, ...] = (), **options: Any) -> Engine:
    threads = options.pop("threads", 1)
    return load_engine(form, path, features_of(inputs(frame)), outputs(classes), threads, **options)


def refusal(form: str, path: Path, frame: pd.DataFrame, classes: tuple[Any, ...] = (), **options: Any) -> str:
    with pytest.raises(StartError) as caught:
        load(form, path, frame, classes, **options)
    assert caught.value.reason == "ModelLoadFailed"
    return caught.value.message


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


# --- skops

KERNEL = "sklearn.gaussian_process.kernels.PairwiseKernel"


def write_skops(estimator: Any, folder: Path) -> Path:
    dump(estimator, folder / "model.skops")
    return folder / "model.skops"


def test_skops_outputs_are_methods_by_name(tmp_path: Path) -> None:
    frame = frame_with_gaps().fillna(0.0)
    scaler = StandardScaler().fit(frame)
    path = write_skops(scaler, tmp_path)
    engine = load_engine("skops", path, features_of(inputs(frame)), (Tensor("transform", "FP64", (-1, 3)),), 1)
    for columns in (lists(frame), [frame[name].to_numpy() for name in frame], list(frame.to_numpy().T)):
        (got,) = engine.run(columns, ("transform",))
        np.testing.assert_allclose(got, scaler.transform(frame))
    assert "no method predict" in refusal("skops", path, frame)


def test_skops_transformer_of_text_answers_densely(tmp_path: Path) -> None:
    frame = pd.DataFrame({"colour": pd.Categorical(["red", "blue", "red"])})
    coder = OneHotEncoder().fit(frame.astype(object).to_numpy())
    output = (Tensor("transform", "FP64", (-1, 2)),)
    engine = load_engine("skops", write_skops(coder, tmp_path), features_of(inputs(frame)), output, 1)
    for column in (["red", "blue"], np.array(["red", "blue"], object)):
        (got,) = engine.run([column], ("transform",))
        assert np.asarray(got).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_skops_types_are_trusted_by_name_only(tmp_path: Path) -> None:
    frame = frame_with_gaps().fillna(0.0)
    pipeline = make_pipeline(StandardScaler(), GaussianProcessRegressor(PairwiseKernel(), optimizer=None)).fit(
        frame.to_numpy(), frame["b"]
    )
    path = write_skops(pipeline, tmp_path)
    message = refusal("skops", path, frame)
    assert f"types that are not trusted: {KERNEL};" in message
    engine = load("skops", path, frame, trusted=(KERNEL,))
    np.testing.assert_allclose(engine.run(lists(frame), ("predict",))[0], pipeline.predict(frame.to_numpy()))
    assert KERNEL in refusal("skops", path, frame, trusted=("sklearn.gaussian_process.kernels.CompoundKernel",))


# --- Python


PREDICTOR = """
import numpy

class Predictor:
    def __init__(self, folder):
        self.factor = float((folder / "factor.txt").read_text())

    def predict(self, columns):
        return {"predict": columns["a"] * self.factor + columns["b"]}
"""


def write_predictor(folder: Path, source: str = PREDICTOR) -> Path:
    (folder / "factor.txt").write_text("2.5")
    (folder / "predictor.py").write_text(source)
    return folder / "predictor.py"


def test_a_predictor_runs_only_where_it_is_allowed(tmp_path: Path) -> None:
    frame = frame_with_gaps()
    marker = tmp_path / "executed"
    path = write_predictor(tmp_path, PREDICTOR + f"\nopen({str(marker)!r}, 'w').close()\n")
    assert "MODELMILL_ALLOW_PYTHON=1" in refusal("python", path, frame)
    assert not marker.exists()
    engine = load("python", path, frame, allow_python=True)
    assert marker.exists()
    for columns in (lists(frame), [frame[name].to_numpy() for name in frame]):
        (got,) = engine.run(columns, ("predict",))
        np.testing.assert_allclose(got, frame["a"] * 2.5 + frame["b"])
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_predictor_is_given_arrays_by_family(tmp_path: Path) -> None:
    source = """
class Predictor:
    def __init__(self, folder): pass
    def predict(self, columns):
        self.seen = {name: (column.dtype.str, column.tolist()) for name, column in columns.items()}
        return {"predict": columns["number"]}
"""
    tensors = (
        Tensor("number", "FP64", (-1,)),
        Tensor("whole", "INT32", (-1,), nullable=True),
        Tensor("flag", "BOOL", (-1,)),
        Tensor("word", "BYTES", (-1,), "categorical", True),
    )
    path = write_predictor(tmp_path, source)
    engine: Any = load_engine("python", path, features_of(tensors), outputs(()), 1, allow_python=True)
    engine.run([[1.5], [3], [True], [None]], ("predict",))
    assert engine._predictor.seen == {
        "number": ("<f8", [1.5]), "whole": ("<i4", [3]), "flag": ("|b1", [True]), "word": ("|O", [None]),
    }  # fmt: skip
    engine.run([[1.5, 2.5], [3, None], [True, False], ["x", None]], ("predict",))
    dtype, (three, gap) = engine._predictor.seen["whole"]
    assert (dtype, three, np.isnan(gap)) == ("<f8", 3.0, True)
    assert engine._predictor.seen["word"] == ("|O", ["x", None])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("[1.0]", "returned a list: it must be a dict of arrays"),
        ("{'other': columns['a']}", "returned 'other': 'predict' is missing"),
        ("{'predict': columns['a'][:-1]}", r"'predict' of shape \(239,\): it must be \(240,\)"),
        ("{'predict': columns['a'].reshape(-1, 1)}", r"of shape \(240, 1\): it must be \(240,\)"),
        ("{'predict': columns['a'].astype(str)}", "the signature says FP64"),
    ],
)
def test_a_predictor_that_answers_wrongly_is_told_how(answer: str, words: str, tmp_path: Path) -> None:
    frame = frame_with_gaps()
    source = (
        f"class Predictor:\n    def __init__(self, folder): pass\n    def predict(self, columns): return {answer}\n"
    )
    engine = load("python", write_predictor(tmp_path, source), frame, allow_python=True)
    with pytest.raises((ValueError, TypeError), match=words):
        engine.run(lists(frame), ("predict",))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1", "predictor.py has no class Predictor"),
        ("class Predictor:\n    def __init__(self, folder): pass", "has no method predict"),
        ("class Predictor:\n    def __init__(self, folder): raise OSError('no weights')", "has no method predict"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_predictor_that_cannot_be_loaded(source: str, words: str, tmp_path: Path) -> None:
    assert words in refusal("python", write_predictor(tmp_path, source), frame_with_gaps(), allow_python=True)


def test_files_beside_a_predictor_may_be_imported_and_replace_nothing(tmp_path: Path) -> None:
    (tmp_path / "beside_the_predictor.py").write_text("FACTOR = 3.0")
    (tmp_path / "json.py").write_text("raise SystemExit('imported instead of the standard library')")
    source = "import json\nfrom beside_the_predictor import FACTOR\n" + PREDICTOR.replace("self.factor +", "FACTOR +")
    frame = frame_with_gaps()
    try:
        engine = load("python", write_predictor(tmp_path, source), frame, allow_python=True)
        np.testing.assert_allclose(engine.run(lists(frame), ("predict",))[0], frame["a"] * 3.0 + frame["b"])
    finally:
        sys.path.remove(str(tmp_path))


# --- columns


def test_views_of_one_matrix_are_taken_without_a_copy() -> None:
    matrix = np.frombuffer(np.arange(30.0).tobytes(), np.float64).reshape(10, 3)
    columns = [matrix[:, place] for place in range(3)]
    whole = one_matrix(columns)
    assert np.shares_memory(whole, matrix)
    np.testing.assert_array_equal(whole, matrix)
    assert np.shares_memory(numbers(columns, np.float64), matrix)
    np.testing.assert_array_equal(numbers(columns, np.float32), matrix.astype(np.float32))


def test_other_columns_are_no_matrix() -> None:
    matrix = np.arange(30.0).reshape(10, 3)
    columns = [matrix[:, place] for place in range(3)]
    for other in (
        [columns[0], columns[2], columns[1]],
        columns[:2],
        [columns[0], columns[0], columns[0]],
        [columns[0], columns[1], columns[2].copy()],
        [columns[0], columns[1], columns[2].tolist()],
        [matrix[::2, place] for place in range(3)],
        [np.array(column) for column in columns],
        list(np.asfortranarray(matrix).T),
    ):
        assert one_matrix(other) is None
        np.testing.assert_array_equal(numbers(other, np.float64), np.array([list(column) for column in other]).T)


def test_lists_and_arrays_mix_and_gaps_become_nan() -> None:
    got = numbers([[1, None, 3], np.array([4.0, np.nan, 6.0]), np.array([7, 8, 9]), [True, False, None]], np.float32)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, [[1, 4, 7, 1], [np.nan, np.nan, 8, 0], [3, 6, 9, np.nan]])
    np.testing.assert_array_equal(numbers([[None], np.array([2.0])], np.float64), [[np.nan, 2.0]])


def onnx_of_whole_numbers(path: Path) -> None:
    from onnx import TensorProto, helper, save_model

    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["total"]), helper.make_node("Sub", ["a", "b"], ["rest"])],
        "sums",
        [helper.make_tensor_value_info(name, TensorProto.INT32, [None, 1]) for name in "ab"],
        [helper.make_tensor_value_info(name, TensorProto.INT32, [None, 1]) for name in ("total", "rest")],
    )
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_onnx_outputs_of_any_name_and_whole_numbers(tmp_path: Path) -> None:
    onnx_of_whole_numbers(tmp_path / "model.onnx")
    features = features_of((Tensor("a", "FP64", (-1,)), Tensor("b", "INT64", (-1,), nullable=True)))
    wanted = (Tensor("rest", "INT32", (-1,)), Tensor("total", "INT32", (-1,)))
    engine = load_engine("onnx", tmp_path / "model.onnx", features, wanted, 1)
    for columns in ([[5.0, 7.0], [2, 3]], [np.array([5.0, 7.0]), np.array([2, 3])], [[5.0, 7.0], np.array([2.0, 3.0])]):
        rest, total = engine.run(columns, ("rest", "total"))
        assert (rest.reshape(-1).tolist(), total.reshape(-1).tolist()) == ([3, 4], [7, 10])
    for columns, words in (
        ([[5.5], [2]], "'a' is 5.5 at row 0: it must be a whole number"),
        ([[5.0], [None]], "'b' is None at row 0"),
        ([np.array([5.0, np.nan]), np.array([2, 3])], "'a' is None at row 1"),
        ([[5.0], [3_000_000_000]], "'b' has a number out of range"),
    ):
        with pytest.raises(RejectedError, match=words):
            engine.run(columns, ("rest",))


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    assert "no engine for the format 'pickle'" in refusal("pickle", tmp_path, frame_with_gaps())


def test_loading_a_booster_imports_neither_its_package_nor_scikit_learn(tmp_path: Path) -> None:
    import subprocess

    frame = frame_with_gaps()
    for form in BOOSTERS[1:]:
        _, path = fitted(form, frame, 0, tmp_path)
        code = (
            "import sys; from pathlib import Path; from modelmill.contracts.artifact import Tensor\n"
            "from modelmill_server.columns import features_of; from modelmill_server.engines import load_engine\n"
            "features = features_of([Tensor(name, 'FP64', (-1,)) for name in 'abc'])\n"
            f"load_engine({form.partition('-')[0]!r}, Path({str(path)!r}), features, [Tensor('predict', 'FP64', (-1,))], 1)\n"
            "print({'xgboost', 'lightgbm', 'sklearn', 'pandas', 'scipy', 'onnxruntime'} & set(sys.modules))\n"
        )
        environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert found.stdout == "set()\n"
