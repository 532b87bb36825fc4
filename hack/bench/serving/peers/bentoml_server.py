"""BentoML with a scikit-learn model. Started by `bentoml serve`."""

from __future__ import annotations

import os

import bentoml
import joblib


@bentoml.service
class Sklearn:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api
    def predict(self, instances: list[list[float]]) -> list[int]:
        return self.model.predict(instances).tolist()
