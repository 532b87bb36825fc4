"""XGBoost and LightGBM models and Python predictors over HTTP, compared with the estimators that they were written from."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from hack.artifacts import column_of, golden_of, profile_of, write_artifact, write_manifest
from modelmill.contracts.artifact import Signature, Tensor, canonical
from tests.support.model_server import ROOT, Launcher, Running

ROWS = 25


class Named:
    """A fitted booster that answers with the labels of its classes."""

    def __init__(self, fitted: Any, labels: tuple[Any, ...]) -> None:
        self._fitted = fitted
        self._labels = np.array(labels, object)

    def predict(self, frame: pd.DataFrame) -> Any:
        return self._labels[self._fitted.predict(frame)]

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        return self._fitted.predict_proba(frame)


def diabetes() -> tuple[pd.DataFrame, Any, tuple[Any, ...]]:
    data = load_diabetes(as_frame=True)
    return data.data, data.target, ()


def cancer() -> tuple[pd.DataFrame, Any, tuple[Any, ...]]:
    """Return thirty numbers with spaces in their names, some of them missing, and two classes."""
    data = load_breast_cancer(as_frame=True)
    frame = data.data.copy()
    frame.iloc[::3, 4] = np.nan
    return frame, data.target, ("malignant", "benign")


def iris() -> tuple[pd.DataFrame, Any, tuple[Any, ...]]:
    """Return iris with a category that tells something, in three classes."""
    data = load_iris(as_frame=True)
    frame = data.data.set_axis(["sl", "sw", "pl", "pw"], axis=1)
    random = np.random.default_rng(0)
    colours = np.array(["white", "blue", "violet"])
    chosen = np.where(random.random(150) < 0.7, colours[data.target], colours[random.integers(0, 3, 150)])
    frame["colour"] = pd.Categorical(chosen)
    return frame, data.target, ("setosa", "versicolor", "virginica")


def signature(frame: pd.DataFrame, labels: tuple[Any, ...]) -> Signature:
    inputs = tuple(
        Tensor(str(name), "BYTES", (-1,), "categorical")
        if frame[name].dtype == "category"
        else Tensor(str(name), "FP64", (-1,), nullable=bool(frame[name].isna().any()))
        for name in frame
    )
    if not labels:
        return Signature("regression", inputs, (Tensor("predict", "FP64", (-1,)),))
    probabilities = Tensor("predict_proba", "FP64", (-1, len(labels)), classes=labels)
    return Signature("classification", inputs, (Tensor("predict", "BYTES", (-1,), classes=labels), probabilities))


def fit(form: str, frame: pd.DataFrame, target: Any, labels: tuple[Any, ...], folder: Path) -> Any:
    """Return the fitted estimator, which is written into the folder in its own format."""
    if form == "lightgbm":
        made: Any = (lightgbm.LGBMClassifier if labels else lightgbm.LGBMRegressor)(
            n_estimators=30, verbose=-1, n_jobs=1
        )
        made.fit(frame, target).booster_.save_model(folder / "model.txt")
    else:
        made = (xgboost.XGBClassifier if labels else xgboost.XGBRegressor)(
            n_estimators=30, n_jobs=1, enable_categorical=True
        )
        made.fit(frame, target).save_model(folder / "model.ubj")
    return Named(made, labels) if labels else made


def write(form: str, frame: pd.DataFrame, target: Any, labels: tuple[Any, ...], folder: Path) -> Any:
    """Write a whole artifact and return its estimator."""
    folder.mkdir()
    fitted = fit(form, frame, target, labels, folder)
    plain = frame.astype({name: object for name in frame if frame[name].dtype == "category"})
    said = signature(frame, labels)
    golden = golden_of(fitted, frame.head(8), said)
    (folder / "golden.json").write_bytes(canonical(golden))
    (folder / "profile.json").write_bytes(canonical(profile_of(OnPlain(fitted, frame), plain)))
    write_manifest(folder, form, said)
    return fitted


class OnPlain:
    """An estimator for frames whose categories are plain text."""

    def __init__(self, fitted: Any, frame: pd.DataFrame) -> None:
        self._fitted = fitted
        self._types = frame.dtypes

    def predict(self, frame: pd.DataFrame) -> Any:
        return self._fitted.predict(frame.astype(self._types))


def documented() -> Any:
    """Return the function `export` as docs/how-to/serve-a-booster.md shows it."""
    page = (ROOT / "docs/how-to/serve-a-booster.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(textwrap.dedent(page[page.index("    import datetime") : page.index("\nThen\n")]), names)
    return names["export"]


CASES = [(form, data) for form in ("xgboost", "lightgbm") for data in (diabetes, cancer, iris)]


@pytest.fixture(scope="module", params=CASES, ids=[f"{form}-{data.__name__}" for form, data in CASES])
def served(
    request: pytest.FixtureRequest, launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Running, Any, pd.DataFrame]:
    """A server, the estimator that it serves, and rows to ask for."""
    form, data = request.param
    frame, target, labels = data()
    folder = tmp_path_factory.mktemp("boosters") / "artifact"
    fitted = write(form, frame, target, labels, folder)
    return launch_shared(folder), fitted, frame.iloc[20 : 20 + ROWS]


def assert_same(got: Any, want: Any) -> None:
    want = np.asarray(want)
    if want.dtype == object:
        assert got == want.tolist()
    else:
        np.testing.assert_allclose(np.asarray(got), want.reshape(-1), rtol=1e-5, atol=1e-6)


def tensors(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [len(frame)],
            "datatype": "BYTES" if frame[name].dtype == "category" else "FP64",
            "data": column_of(frame[name]),
        }
        for name in frame
    ]


def test_v2_gives_the_values_of_the_estimator(served: tuple[Running, Any, pd.DataFrame]) -> None:
    server, fitted, frame = served
    for rows in (frame, *(frame.iloc[place : place + 1] for place in range(0, ROWS, 5))):
        answer = server.post("/v2/models/demo/infer", {"inputs": tensors(rows)})
        assert answer.status == 200, answer.body
        outputs = {output["name"]: output for output in answer.json()["outputs"]}
        assert list(outputs) == ["predict", *(["predict_proba"] if hasattr(fitted, "predict_proba") else [])]
        for method, output in outputs.items():
            want = getattr(fitted, method)(rows)
            assert output["shape"] == list(want.shape)
            assert_same(output["data"], want)


def test_binary_matrix_gives_the_values_of_the_estimator(served: tuple[Running, Any, pd.DataFrame]) -> None:
    server, fitted, frame = served
    text = "colour" in frame
    many = pd.concat([frame.assign(colour=0.0) if text else frame] * 40)
    content = np.ascontiguousarray(many.to_numpy(np.float64)).tobytes()
    size = {"binary_data_size": len(content)}
    document = {"inputs": [{"name": "x", "shape": list(many.shape), "datatype": "FP64", "parameters": size}]}
    head = json.dumps(document).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = server.post("/v2/models/demo/infer", head + content, headers)
    if text:  # a matrix holds numbers only
        assert answer.status == 400
        assert "'colour'" in answer.json()["error"]
        return
    assert answer.status == 200, answer.body
    assert_same(answer.json()["outputs"][0]["data"], fitted.predict(many))


def test_rows_give_the_values_of_the_estimator(served: tuple[Running, Any, pd.DataFrame]) -> None:
    server, fitted, frame = served
    columns = [column_of(frame[name]) for name in frame]
    answer = server.post("/v1/models/demo:predict", {"instances": [list(row) for row in zip(*columns, strict=True)]})
    assert answer.status == 200, answer.body
    assert_same(answer.json()["predictions"], fitted.predict(frame))


def test_metadata_names_the_engine(served: tuple[Running, Any, pd.DataFrame]) -> None:
    server, fitted, _ = served
    inner = getattr(fitted, "_fitted", fitted)
    library = lightgbm if type(inner).__module__.startswith("lightgbm") else xgboost
    engine = server.get("/v2/models/demo").json()["parameters"]["engine"]
    assert engine == f"{library.__name__} {library.__version__}"


@pytest.mark.parametrize(("form", "data"), CASES, ids=[f"{form}-{data.__name__}" for form, data in CASES])
def test_the_documented_export_is_served(form: str, data: Any, launch: Launcher, tmp_path: Path) -> None:
    frame, target, labels = data()
    fitted = fit(form, frame, target, labels, tmp_path)
    inner = getattr(fitted, "_fitted", fitted)
    documented()(inner, frame, tmp_path / "one", model="demo", version="demo-1", labels=labels)
    server = launch(tmp_path / "one")
    rows = frame.tail(9)
    answer = server.post("/v2/models/demo/infer", {"inputs": tensors(rows)})
    assert answer.status == 200, answer.body
    for output in answer.json()["outputs"]:
        assert_same(output["data"], getattr(fitted, output["name"])(rows))


def test_an_unknown_category_is_refused_by_xgboost_and_missing_to_lightgbm(launch: Launcher, tmp_path: Path) -> None:
    frame, target, labels = iris()
    for form, status in (("xgboost", 400), ("lightgbm", 200)):
        fitted = write(form, frame, target, labels, tmp_path / form)
        server = launch(tmp_path / form)
        rows = tensors(frame.head(2))
        rows[-1]["data"][1] = "green"
        answer = server.post("/v2/models/demo/infer", {"inputs": rows})
        assert answer.status == status
        if status == 400:
            assert "'colour' is 'green' at row 1: the model knows 'blue', 'violet', 'white'" in answer.json()["error"]
            assert server.metric("modelmill_feature_invalid_total", feature="colour", reason="range") == 1
        else:
            other = frame.head(2).assign(
                colour=pd.Categorical([frame["colour"].iloc[0], None], frame["colour"].cat.categories)
            )
            assert_same(answer.json()["outputs"][1]["data"], fitted.predict_proba(other))


def test_a_model_that_changed_after_its_golden_rows_is_not_served(launch: Launcher, tmp_path: Path) -> None:
    frame, target, labels = diabetes()
    write("xgboost", frame, target, labels, tmp_path / "one")
    other = fit("xgboost", frame, target * 2.0, labels, tmp_path)
    assert other.predict(frame).mean() > target.mean()
    shutil.copy(tmp_path / "model.ubj", tmp_path / "one" / "model.ubj")
    write_manifest(tmp_path / "one", "xgboost", signature(frame, labels))
    server = launch(tmp_path / "one", wait=False)
    assert server.process.wait(60) == 3
    assert "GoldenMismatch: output 'predict' of golden row 0" in server.log.read_text()


PREDICTOR = '''
import numpy
import xgboost

from conversion import TO_METRES


class Predictor:
    """A booster on heights in feet."""

    def __init__(self, folder):
        self._booster = xgboost.Booster(model_file=folder / "heights.ubj")

    def predict(self, columns):
        rows = numpy.column_stack([columns["height"] * TO_METRES, columns["age"]])
        return {"weight": self._booster.inplace_predict(rows), "metres": rows[:, 0]}
'''


def write_predictor(folder: Path, source: str = PREDICTOR) -> tuple[pd.DataFrame, Any]:
    """Write an artifact of Python code with a module and a booster beside it; return rows and what is expected."""
    folder.mkdir()
    random = np.random.default_rng(5)
    frame = pd.DataFrame({"height": random.normal(5.6, 0.4, 60), "age": random.normal(40.0, 9.0, 60)})
    metres = np.column_stack([frame["height"] * 0.3048, frame["age"]])
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(metres, frame["height"] * 30.0 + frame["age"]), 8)
    booster.save_model(folder / "heights.ubj")
    (folder / "conversion.py").write_text("TO_METRES = 0.3048\n")
    (folder / "predictor.py").write_text(source)
    want = booster.inplace_predict(metres)
    inputs = tuple(Tensor(name, "FP64", (-1,)) for name in frame)
    said = Signature("regression", inputs, (Tensor("weight", "FP32", (-1,)), Tensor("metres", "FP64", (-1,))))

    class Known:
        def predict(self, rows: pd.DataFrame) -> Any:
            return want[: len(rows)]

        weight = predict

        def metres(self, rows: pd.DataFrame) -> Any:
            return metres[: len(rows), 0]

    (folder / "golden.json").write_bytes(canonical(golden_of(Known(), frame.head(6), said)))
    (folder / "profile.json").write_bytes(canonical(profile_of(Known(), frame)))
    write_manifest(folder, "python", said)
    return frame, want


def test_a_predictor_is_served_where_it_is_allowed(launch: Launcher, tmp_path: Path) -> None:
    frame, want = write_predictor(tmp_path / "one")
    refused = launch(tmp_path / "one", wait=False)
    assert refused.process.wait(60) == 3
    assert "ConfigInvalid: predictor.py is Python code" in refused.log.read_text()
    assert "MODELMILL_ALLOW_PYTHON=1" in refused.log.read_text()
    server = launch(tmp_path / "one", ALLOW_PYTHON="1")
    answer = server.post("/v2/models/demo/infer", {"inputs": tensors(frame)})
    assert answer.status == 200, answer.body
    outputs = {output["name"]: output for output in answer.json()["outputs"]}
    assert list(outputs) == ["weight", "metres"]
    assert_same(outputs["weight"]["data"], want)
    assert_same(outputs["metres"]["data"], frame["height"] * 0.3048)
    only = server.post("/v2/models/demo/infer", {"inputs": tensors(frame), "outputs": [{"name": "metres"}]}).json()
    assert [output["name"] for output in only["outputs"]] == ["metres"]
    assert not list((tmp_path / "one").rglob("__pycache__"))


def test_a_predictor_that_fails_on_a_request_answers_500_without_a_trace(launch: Launcher, tmp_path: Path) -> None:
    source = PREDICTOR.replace("        rows =", '        if columns["age"][0] > 1e6: return {}\n        rows =')
    frame, want = write_predictor(tmp_path / "one", source)
    server = launch(tmp_path / "one", ALLOW_PYTHON="1")
    answer = server.post("/v2/models/demo/infer", {"inputs": tensors(frame.head(2).assign(age=1e7))})
    assert answer.status == 500
    assert "reference" in answer.json()["error"]
    assert "Predictor" not in answer.json()["error"]
    assert "'weight' is missing" in server.log.read_text()
    again = server.post("/v2/models/demo/infer", {"inputs": tensors(frame.head(2))})
    assert_same(again.json()["outputs"][0]["data"], want[:2])


def test_nothing_unlisted_may_lie_beside_a_predictor(launch: Launcher, tmp_path: Path) -> None:
    write_predictor(tmp_path / "one")
    (tmp_path / "one" / "extra.py").write_text("")
    server = launch(tmp_path / "one", wait=False, ALLOW_PYTHON="1")
    assert server.process.wait(60) == 3
    assert "ArtifactCorrupt: extra.py: the manifest does not list it" in server.log.read_text()


def test_skops_types_are_trusted_by_the_environment(launch: Launcher, tmp_path: Path) -> None:
    frame, target, _ = diabetes()
    fitted = make_pipeline(FunctionTransformer(np.nan_to_num), LinearRegression()).fit(frame, target)
    write_artifact(tmp_path / "one", fitted, frame, "skops")
    refused = launch(tmp_path / "one", wait=False)
    assert refused.process.wait(60) == 3
    assert "types that are not trusted: numpy.nan_to_num;" in refused.log.read_text()
    server = launch(tmp_path / "one", SKOPS_TRUSTED="numpy.sort, numpy.nan_to_num")
    answer = server.post("/v2/models/demo/infer", {"inputs": tensors(frame.head(9))})
    assert_same(answer.json()["outputs"][0]["data"], fitted.predict(frame.head(9)))
