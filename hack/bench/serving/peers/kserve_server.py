"""KServe's Python server with a scikit-learn model: V1 and V2."""

from __future__ import annotations

import os
from typing import Any

import joblib
import kserve
from kserve.utils.utils import get_predict_input, get_predict_response


class SklearnModel(kserve.Model):
    def load(self) -> bool:
        self.model = joblib.load(os.environ["BENCH_MODEL"])
        self.ready = True
        return True

    def predict(self, payload: Any, headers: Any = None) -> Any:
        return get_predict_response(payload, self.model.predict(get_predict_input(payload)), self.name)


model = SklearnModel("bench")
model.load()
kserve.ModelServer().start([model])
