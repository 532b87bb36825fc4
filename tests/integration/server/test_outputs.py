"""Served outputs equal scikit-learn's own, by value, over HTTP, for every protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from hack.artifacts import column_of, datatype_of, write_artifact
from tests.support.fitted import cars, diabetes, iris, iris_flags, iris_numbers, on_columns
from tests.support.model_server import Launcher, Running

ROWS = 20


def iris_names() -> tuple[pd.DataFrame, Any]:
    return iris(lambda target: np.array(["setosa", "versicolor", "virginica"])[target])


CASES: dict[str, tuple[Callable[[], tuple[pd.DataFrame, Any]], BaseEstimator, bool, str, bool]] = {
    # name: data, estimator, with preprocessing by column, format, one graph input for all features
    "linear": (diabetes, LinearRegression(), False, "onnx", True),
    "ridge": (diabetes, Ridge(), True, "onnx", False),
    "forest": (diabetes, RandomForestRegressor(20, random_state=0), False, "onnx", True),
    "boosting": (diabetes, GradientBoostingRegressor(random_state=0), True, "onnx", False),
    "neighbours": (diabetes, KNeighborsRegressor(), False, "skops", False),
    "logistic": (iris_names, LogisticRegression(max_iter=500), True, "onnx", False),
    "forest-names": (iris_names, RandomForestClassifier(20, random_state=0), False, "onnx", True),
    "tree-numbers": (iris_numbers, DecisionTreeClassifier(random_state=0), True, "onnx", False),
    "logistic-flags": (iris_flags, LogisticRegression(), True, "onnx", False),
    "vectors": (iris_names, SVC(), True, "skops", False),
    "boosting-names": (iris_names, GradientBoostingClassifier(n_estimators=20, random_state=0), True, "skops", False),
    "cars-onnx": (lambda: cars("unknown"), Ridge(), True, "onnx", False),
    "cars-skops": (cars, HistGradientBoostingRegressor(random_state=0), True, "skops", False),
}


@pytest.fixture(scope="module", params=CASES)
def served(
    request: pytest.FixtureRequest, launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Running, Any, pd.DataFrame]:
    """A server, the estimator it serves, and rows to ask for."""
    load, estimator, prepared, form, matrix = CASES[request.param]
    frame, target = load()
    fitted = (on_columns(estimator, frame) if prepared else estimator).fit(frame, target)
    folder: Path = tmp_path_factory.mktemp("artifact") / request.param
    write_artifact(folder, fitted, frame, form, matrix=matrix)
    return launch_shared(folder), fitted, frame.iloc[30 : 30 + ROWS]


def tensors(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": [len(frame)], "datatype": datatype_of(frame[name]), "data": column_of(frame[name])}
        for name in frame
    ]


def assert_same(got: Any, want: Any) -> None:
    want = np.asarray(want)
    if want.dtype.kind in "OUiSb":
        assert got == want.tolist()
    else:
        np.testing.assert_allclose(np.asarray(got), want.reshape(-1), rtol=1e-3, atol=1e-3)


def test_v2_gives_the_values_of_the_estimator(served: tuple[Running, Any, pd.DataFrame]) -> None:
    server, fitted, frame = served
    answer = server.post("/v2/models/demo/infer", {"id": "q-1", "inputs": tensors(frame)})
    assert answer.status == 200, answer.body
    body = answer.json()
    assert (body["id"], body["model_name"], body["model_version"]) == ("q-1", "demo", "demo-1")
    outputs = {output["name"]: output for output in body["outputs"]}
    methods = ["predict", *(["predict_proba"] if hasattr(fitted, "predict_proba") else [])]
    assert list(outputs) == methods
    for method in methods:
        want = getattr(fitted, method)(frame)
        assert outputs[method]["shape"] == list(want.shape)
        assert_same(outputs[method]["data"], want)


def test_matrix_gives_the_same_as_a_tensor_for_each_feature(served: tuple[Running, Any, pd.DataFrame]) -> None:
    server, fitted, frame = served
    shape = list(frame.shape)
    if "origin" in frame:
        answer = server.post(
            "/v2/models/demo/infer", {"inputs": [{"name": "x", "shape": shape, "datatype": "FP64", "data": [0.0] * 60}]}
        )
        assert answer.status == 400
        assert "'origin'" in answer.json()["error"]
        return
    for data in (frame.to_numpy().tolist(), frame.to_numpy().reshape(-1).tolist()):
        document = {"inputs": [{"name": "x", "shape": shape, "datatype": "FP64", "data": data}]}
        answer = server.post("/v2/models/demo/versions/demo-1/infer", document)
        assert answer.status == 200, answer.body
        assert_same(answer.json()["outputs"][0]["data"], fitted.predict(frame))


def test_row_protocols_give_the_values_of_the_estimator(served: tuple[Running, Any, pd.DataFrame]) -> None:
    server, fitted, frame = served
    names, columns = [str(name) for name in frame], [column_of(frame[name]) for name in frame]
    rows = [list(row) for row in zip(*columns, strict=True)]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    want = fitted.predict(frame)
    for path, document in (
        ("/v1/models/demo:predict", {"instances": rows}),
        ("/v1/models/demo:predict", {"instances": records}),
        ("/v1/models/demo:predict", {"inputs": rows}),
        ("/invocations", {"dataframe_split": {"columns": names[::-1], "data": [row[::-1] for row in rows]}}),
        ("/invocations", {"dataframe_records": records}),
        ("/invocations", {"instances": rows}),
        ("/invocations", {"inputs": dict(zip(names, columns, strict=True))}),
    ):
        answer = server.post(path, document)
        assert answer.status == 200, (path, document.keys(), answer.body)
        assert_same(answer.json()["predictions"], want)
