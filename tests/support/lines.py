"""A small model whose answers are known: y = 3x - z, and 2 more for red; data, objects, and predictions with their values."""

from __future__ import annotations

import copy
import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support.cluster import Cluster

TOLERANCE = 0.9
"""A regularized line over the imputed data is nowhere farther from the truth."""


def table(rows: int = 120, slope: float = 3.0) -> str:
    """Return a CSV of rows x, z, colour, y; some x are missing."""
    lines = ["x,z,colour,y"]
    for i in range(rows):
        x, z = (i * 37 % 100) / 10, (i * 17 % 50) / 5
        colour = ("red", "green", "blue")[i % 3]
        y = truth(x, z, colour, slope)
        lines.append(f"{'' if i % 25 == 7 else x},{z},{colour},{y:.3f}")
    return "\n".join(lines) + "\n"


def truth(x: float, z: float, colour: str, slope: float = 3.0) -> float:
    """Return y."""
    return slope * x - z + (2 if colour == "red" else 0)


def training_job(cluster: Cluster, name: str, **spec: Any) -> dict[str, Any]:
    """Return a TrainingJob over s3://BUCKET/data/; `spec` replaces whole fields."""
    endpoint = cluster.kube.status["s3"]["endpoint_in_cluster"]
    base: dict[str, Any] = {
        "model": name,
        "store": {"uri": f"s3://{cluster.bucket}/models", "endpoint": endpoint, "secretRef": {"name": "keys"}},
        "data": {
            "train": {"uri": f"s3://{cluster.bucket}/data/", "format": "csv"},
            "target": "y",
            "holdout": {"fraction": "0.2"},
        },
        "train": {"sklearn": {"estimator": "sklearn.linear_model.Ridge", "parameters": {"alpha": "0.1"}}},
        "evaluation": {
            "primary": {"metric": "r2", "direction": "Maximize"},
            "gates": [{"metric": "r2", "minimum": "0.5"}],
        },
        "versions": {"approval": "Automatic"},
        "runPolicy": {"backoffLimit": 0},
    }
    return {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {**base, **spec},
    }


def inference_service(name: str, **spec: Any) -> dict[str, Any]:
    """Return an InferenceService that follows the model of the same name."""
    base = {"model": {"name": name, "follow": "Approved"}, "replicas": 2}
    return {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {**base, **spec},
    }


def release(cluster: Cluster, model: str, number: int) -> str:
    """Make one more version of the model, of the artifact of its first one; return its name."""
    good = cluster.get("ModelVersion", f"{model}-1")
    version = copy.deepcopy({name: good[name] for name in ("apiVersion", "kind", "spec")})
    version["metadata"] = {"name": f"{model}-{number}", "labels": {"modelmill.dev/model": model}}
    version["spec"].pop("lineage", None)
    cluster.apply(version)
    return f"{model}-{number}"


def inputs(x: float | None = 2.0, z: float = 1.0, colour: str = "red") -> list[dict[str, Any]]:
    """Return one row as inputs of the Open Inference Protocol."""
    return [
        {"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [x]},
        {"name": "z", "shape": [1, 1], "datatype": "FP64", "data": [z]},
        {"name": "colour", "shape": [1, 1], "datatype": "BYTES", "data": [colour]},
    ]


def predict(cluster: Cluster, model: str, **values: Any) -> float:
    """Return the prediction for one row."""
    code, answer = cluster.ask(model, f"/v2/models/{model}/infer", {"inputs": inputs(**values)})
    assert code == 200, answer
    return float(answer["outputs"][0]["data"][0])


@dataclass
class Predictions:
    """Asks for predictions of random rows over new connections, and compares each with the truth, until it is left.

    versions: how many answers each version gave. failures: what was not answered, or was answered wrongly.
    """

    address: str
    model: str
    rate: float = 20.0
    versions: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Predictions:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join(15)

    @property
    def answered(self) -> int:
        """How many predictions came and were right."""
        return sum(self.versions.values())

    def check(self, at_least: int) -> None:
        """Fail when a request failed, a value was wrong, or there were fewer answers."""
        assert self.failures == []
        assert self.answered >= at_least, f"only {self.answered} predictions: too few to prove anything"

    def _run(self) -> None:
        chance = random.Random(11)
        while not self._stop.is_set():
            began = time.monotonic()
            x, z = chance.uniform(1, 9), chance.uniform(0, 9)
            colour = chance.choice(("red", "green", "blue"))
            try:
                self._one(x, z, colour)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.failures.append(repr(error))
            self._stop.wait(max(0.0, 1 / self.rate - (time.monotonic() - began)))

    def _one(self, x: float, z: float, colour: str) -> None:
        connection = http.client.HTTPConnection(self.address, 80, timeout=5)
        try:
            body = json.dumps({"inputs": inputs(x, z, colour)})
            connection.request("POST", f"/v2/models/{self.model}/infer", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status != 200:
            self.failures.append(f"{response.status}: {text[:200]!r}")
            return
        answer = json.loads(text)
        value, version = float(answer["outputs"][0]["data"][0]), str(answer["model_version"])
        if abs(value - truth(x, z, colour)) > TOLERANCE:
            self.failures.append(f"{version} said {value} for x={x}, z={z}, {colour}: {truth(x, z, colour)} is true")
            return
        self.versions[version] = self.versions.get(version, 0) + 1
