"""LitServe with a scikit-learn model."""

from __future__ import annotations

import os
import sys
from typing import Any

import joblib
import litserve


class SklearnApi(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe makes a schema of an annotation
        return request["instances"]

    def predict(self, instances: Any) -> Any:
        return self.model.predict(instances).tolist()

    def encode_response(self, predictions: Any) -> dict[str, Any]:
        return {"predictions": predictions}


if __name__ == "__main__":
    server = litserve.LitServer(SklearnApi(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False)
