"""The models that the clients ask, each served over HTTP and gRPC by one process, and what scikit-learn says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge

from tests.support.fitted import cars, iris, iris_flags, iris_numbers, on_columns
from tests.support.model_server import Running

LABELS = np.array(["borstig 🌱", "versicolor", "schön"])
COUNTRIES = ["", "Côte d'Ivoire", "USA", "日本"]


def flowers() -> tuple[pd.DataFrame, Any]:
    """Return iris with labels beyond ASCII."""
    return iris(lambda target: LABELS[target])


def vehicles() -> tuple[pd.DataFrame, Any]:
    """Return cars: `power` with gaps, `cylinders` whole numbers, `origin` text that may be empty and is beyond ASCII."""
    frame, target = cars("unknown")
    random = np.random.default_rng(2)
    origin = random.choice(np.array(COUNTRIES, dtype=object), len(frame))
    return frame.assign(origin=origin), target + 7.0 * np.array([COUNTRIES.index(name) for name in origin])


MODELS: dict[str, tuple[Callable[[], tuple[pd.DataFrame, Any]], Any]] = {
    "flowers": (flowers, LogisticRegression(max_iter=500)),
    "vehicles": (vehicles, Ridge()),
    "flags": (iris_flags, LogisticRegression(max_iter=500)),
    "numbers": (iris_numbers, LogisticRegression(max_iter=500)),
}
VERSIONS = {name: f"{name}-3" for name in MODELS}
DATATYPES = {"flowers": "BYTES", "vehicles": "FP64", "flags": "BOOL", "numbers": "INT64"}
"""Datatype of the output `predict` of each model."""


def fitted(name: str) -> tuple[Any, pd.DataFrame]:
    """Return the estimator of a model and its training data."""
    load, estimator = MODELS[name]
    frame, target = load()
    return on_columns(estimator, frame).fit(frame, target), frame


@dataclass(frozen=True)
class Served:
    """One model behind one server process."""

    name: str
    version: str
    running: Running
    grpc_port: int
    estimator: Any
    frame: pd.DataFrame

    def url(self, transport: str) -> str:
        """Return HOST:PORT for a transport of tritonclient, and for kserve's client over gRPC."""
        return f"127.0.0.1:{self.grpc_port if transport.startswith('grpc') else self.running.port}"

    def wanted(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return the estimator's own outputs for rows."""
        names = ["predict", *(["predict_proba"] if hasattr(self.estimator, "predict_proba") else [])]
        return {name: np.asarray(getattr(self.estimator, name)(frame)) for name in names}


def tensors(frame: pd.DataFrame, binary: bool = True, **dtypes: Any) -> list[dict[str, Any]]:
    """Return a tensor for each column, of the column's datatype or that of `dtypes`."""
    arrays = {str(name): frame[name].to_numpy().astype(dtypes.get(str(name), frame[name].dtype)) for name in frame}
    return [{"name": name, "array": array, "binary": binary} for name, array in arrays.items()]


def matrix(frame: pd.DataFrame, binary: bool = True, dtype: Any = np.float64) -> list[dict[str, Any]]:
    """Return one tensor of all columns."""
    return [{"name": "features", "array": frame.to_numpy().astype(dtype), "binary": binary}]


def assert_same(got: np.ndarray, wanted: np.ndarray, datatype: str | None = None) -> None:
    """Compare an output with the estimator's: shape, labels exactly, numbers within the tolerance of FP32."""
    assert got.shape == wanted.shape
    if wanted.dtype.kind == "f":
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    elif wanted.dtype.kind in "OU":
        texts = [item.decode() if isinstance(item, bytes) else item for item in got.tolist()]
        assert texts == wanted.tolist()
    else:
        assert got.dtype == wanted.dtype
        assert got.tolist() == wanted.tolist()
