"""The models that are served: fitted once, as a joblib file for the peers and as an artifact folder for our server."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "operator"), str(ROOT / "images" / "server")]

from hack.artifacts import write_artifact  # noqa: E402
from modelmill_server.protocols import inference_pb2 as pb  # noqa: E402

__all__ = ["NAME", "ROOT", "Model", "make", "pb"]

NAME = "bench"


@dataclass(frozen=True)
class Model:
    """One fitted classifier. joblib: file for the peers; artifact: folder for our server; rows: what is asked, float64."""

    name: str
    estimator: Any
    joblib: Path
    artifact: Path
    rows: Any

    @property
    def features(self) -> list[str]:
        """The names of the features, as in the artifact."""
        return [f"feature_{index}" for index in range(self.rows.shape[1])]


def make(name: str, folder: Path) -> Model:
    """Fit the model `name`, one of linear, forest and wide, and write both of its forms into `folder`."""
    features, labels = (load_digits if name == "wide" else load_iris)(return_X_y=True)
    if name == "forest":
        estimator: Any = RandomForestClassifier(n_estimators=100, random_state=0)
    else:
        estimator = LogisticRegression(max_iter=5000)
    estimator.fit(features, labels)
    model = Model(name, estimator, folder / f"{name}.joblib", folder / name, _decided(estimator, features))
    joblib.dump(estimator, model.joblib)
    frame = pd.DataFrame(features, columns=model.features)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X has feature names")
        write_artifact(model.artifact, estimator, frame, matrix=True)
    return model


def _decided(estimator: Any, features: Any) -> Any:
    """Return the rows, in a fixed random order, whose label does not hang on the last bits of a float32."""
    best = np.sort(estimator.predict_proba(features), axis=1)
    rows = features[best[:, -1] - best[:, -2] > 1e-3]
    return np.ascontiguousarray(rows[np.random.default_rng(0).permutation(len(rows))], np.float64)
