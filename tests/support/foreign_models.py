"""Models as other programs leave them, each with rows and the library's own answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pandas as pd
import xgboost
import yaml
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skops import io as skops_io

from modelmill.contracts import imports, names


@dataclass(frozen=True)
class Made:
    """uri: below a folder. answers: what the library answers to `rows`, by output."""

    path: Path
    format: str
    served: str
    rows: pd.DataFrame
    answers: dict[str, np.ndarray] = field(default_factory=dict)


def data(rows: int = 200) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"power": random.uniform(50, 200, rows), "weight": random.uniform(700, 2000, rows)})
    frame["origin"] = pd.Categorical(random.choice(["Europe", "Japan", "USA"], rows))
    frame.loc[::7, "power"] = np.nan
    target = 60 - frame["weight"] / 50 - frame["power"].fillna(100) / 20 + (frame["origin"] == "Japan") * 8
    return frame, target.to_numpy()


def onnx_classifier(folder: Path) -> Made:
    frame, target = data()
    rows = frame[["power", "weight"]].fillna(90)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows.to_numpy(), target > 25)
    labels = LogisticRegression().fit(rows.to_numpy(), np.where(target > 25, "thrifty", "thirsty"))
    model.steps[-1] = ("labels", labels)
    path = folder / "cars.onnx"
    options = {id(labels): {"zipmap": False}}
    graph = to_onnx(model, initial_types=[("X", FloatTensorType([None, 2]))], options=options)
    path.write_bytes(graph.SerializeToString())
    rows.columns = ["x0", "x1"]
    scaled = model.steps[0][1].transform(rows.to_numpy())
    return Made(path, "onnx", "onnx", rows, {"predict": labels.predict(scaled)})


def xgboost_regressor(folder: Path, name: str = "cars.ubj") -> Made:
    frame, target = data()
    model = xgboost.XGBRegressor(n_estimators=20, max_depth=3, enable_categorical=True).fit(frame, target)
    model.save_model(folder / name)
    return Made(folder / name, "xgboost", "xgboost", frame, {"predict": model.predict(frame)})


def xgboost_json(folder: Path) -> Made:
    return xgboost_regressor(folder, "cars.json")


def lightgbm_classifier(folder: Path) -> Made:
    frame, target = data()
    labels = np.digitize(target, [20, 30])
    model = lightgbm.LGBMClassifier(n_estimators=10, num_leaves=7, verbose=-1).fit(frame, labels)
    path = folder / "cars.txt"
    model.booster_.save_model(path)
    return Made(
        path,
        "lightgbm",
        "lightgbm",
        frame,
        {"predict": np.asarray(model.predict(frame)), "predict_proba": np.asarray(model.predict_proba(frame))},
    )


def skops_classifier(folder: Path) -> Made:
    frame, target = data()
    frame = frame[["weight", "origin"]].astype({"origin": object})
    columns = ColumnTransformer([("n", StandardScaler(), ["weight"]), ("t", OneHotEncoder(), ["origin"])])
    model = make_pipeline(columns, LogisticRegression()).fit(frame, target > 25)
    skops_io.dump(model, folder / "cars.skops")
    answers = {"predict": model.predict(frame), "predict_proba": model.predict_proba(frame)}
    return Made(folder / "cars.skops", "skops", "skops", frame, answers)


def mlflow_folder(folder: Path) -> Made:
    """A model folder as MLflow 2 and 3 write it with mlflow.xgboost.save_model, of a booster trained on an array."""
    frame, target = data()
    rows = frame[["power", "weight"]]
    model = xgboost.XGBClassifier(n_estimators=10, max_depth=3).fit(rows.to_numpy(), (target > 25).astype(int))
    made = folder / "mlflow"
    made.mkdir()
    model.save_model(made / "model.ubj")
    write_mlmodel(
        made,
        {"xgboost": {"data": "model.ubj", "model_class": "xgboost.sklearn.XGBClassifier", "xgb_version": "3.0"}},
        ["power", "weight"],
    )
    (made / "conda.yaml").write_text("name: mlflow-env\n")
    answers = {"predict": model.predict(rows), "predict_proba": model.predict_proba(rows)}
    return Made(made, imports.MLFLOW, "xgboost", rows, answers)


def write_mlmodel(folder: Path, flavors: dict[str, Any], inputs: list[str] | None = None) -> None:
    loader = {"python_function": {"loader_module": "mlflow.xgboost", "env": {"conda": "conda.yaml"}}}
    document: dict[str, Any] = {"flavors": flavors | loader, "mlflow_version": "3.1.0", "model_uuid": "0" * 32}
    if inputs is not None:
        listed = json.dumps([{"type": "double", "name": name, "required": True} for name in inputs])
        document["signature"] = {"inputs": listed, "outputs": '[{"type": "long"}]', "params": None}
    (folder / "MLmodel").write_text(yaml.safe_dump(document))


MODELS: dict[str, Callable[[Path], Made]] = {
    "onnx": onnx_classifier,
    "xgboost": xgboost_regressor,
    "xgboost as JSON": xgboost_json,
    "lightgbm": lightgbm_classifier,
    "skops": skops_classifier,
    "mlflow": mlflow_folder,
}


def asked(made_uri: str, form: str, store: Path, **changes: str) -> imports.ImportSpec:
    """Return the import of a model into a store on disk."""
    told = {
        "namespace": "ml",
        "model": "cars",
        "version": "cars-import",
        "created": "2026-01-02T03:04:05Z",
        "store_uri": f"file://{store}",
    }
    return imports.ImportSpec(uri=made_uri, format=form, **(told | changes))


def plain_onnx() -> onnx.ModelProto:
    """A graph of one addition, for tests that change it."""
    item = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1])
    node = onnx.helper.make_node("Add", ["x", "x"], ["y"])
    graph = onnx.helper.make_graph([node], "double", [item], [out])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)


ENV = names.ENV_IMPORT
