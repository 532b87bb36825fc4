"""The whole cluster: the operator installed by its chart, a namespace for each module, a bucket with data."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "hack" / "demo"))

from kube import Kube, connect
from release import install

SYSTEM = "modelmill-system"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in Path(str(item.fspath)).parts:
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True)
class Cluster:
    """A namespace of its own in the test cluster, with a bucket and the Secret `keys` for it."""

    kube: Kube
    namespace: str
    bucket: str
    s3: Any

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kube.run("kubectl", "apply", "-n", self.namespace, "-f", "-", text=json.dumps(_list(objects)))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.kube.get(kind, name, "-n", self.namespace) or {}

    def list(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        found = self.kube.get(kind, "-n", self.namespace, *(["-l", selector] if selector else []))
        return list((found or {}).get("items", ()))

    def status(self, kind: str, name: str) -> dict[str, Any]:
        return dict(self.get(f"{kind}.modelmill.dev", name).get("status") or {})

    def condition(self, kind: str, name: str, which: str) -> dict[str, Any]:
        conditions = self.status(kind, name).get("conditions") or ()
        return next((dict(c) for c in conditions if c["type"] == which), {})

    def wait(self, what: str, true: Callable[[], Any], seconds: float = 180) -> Any:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = true()
            if value:
                return value
            time.sleep(0.5)
        raise AssertionError(f"waited {seconds:.0f} s for {what}\n{self.explain()}")

    def explain(self) -> str:
        """Return the objects, events and logs that a failure is understood from."""
        parts = [
            self.kube.run("kubectl", "get", "modelmill,jobs,deployments,pods", "-n", self.namespace, "-o", "wide"),
            self.kube.run("kubectl", "get", "modelmill", "-n", self.namespace, "-o", "jsonpath={.items[*].status}"),
            self.kube.run("kubectl", "get", "events", "-n", self.namespace, "--sort-by=.lastTimestamp"),
            self.kube.run("kubectl", "logs", "-n", SYSTEM, "deploy/modelmill-operator", "--tail=40"),
        ]
        return "\n---\n".join(part[-6000:] for part in parts)

    def put(self, key: str, body: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode())

    def kill_operator(self) -> None:
        """End the operator's pod without any grace, as a crashed node would."""
        self.kube.run(
            "kubectl",
            "delete",
            "pods",
            "-n",
            SYSTEM,
            "-l",
            "app.kubernetes.io/name=modelmill",
            "--force",
            "--grace-period=0",
        )


@pytest.fixture(scope="session")
def kube() -> Kube:
    connected = connect()
    install(connected, print)
    return connected


@pytest.fixture(scope="module")
def cluster(kube: Kube, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    short = request.module.__name__.rsplit(".", 1)[-1].removeprefix("test_").replace("_", "-")
    namespace = f"e2e-{short}-{uuid.uuid4().hex[:5]}"
    store = kube.status["s3"]
    s3 = boto3.client(
        "s3",
        endpoint_url=store["endpoint"],
        aws_access_key_id=store["access_key"],
        aws_secret_access_key=store["secret_key"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    kube.run("kubectl", "create", "namespace", namespace)
    kube.run("kubectl", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    s3.create_bucket(Bucket=namespace)
    made = Cluster(kube, namespace, namespace, s3)
    made.apply(secret("keys", store["access_key"], store["secret_key"]))
    yield made
    kube.run("kubectl", "delete", "namespace", namespace, "--wait=false")


def _list(objects: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Return one List: as JSON, since a column called y is a truth value in YAML 1.1."""
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def secret(name: str, access: str, key: str) -> dict[str, Any]:
    data = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": key}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def table(rows: int = 120, slope: float = 3.0) -> str:
    """Return a CSV: y depends on x and on the colour; some x are missing."""
    lines = ["x,z,colour,y"]
    for i in range(rows):
        x, z = (i * 37 % 100) / 10, (i * 17 % 50) / 5
        colour = ("red", "green", "blue")[i % 3]
        y = slope * x - z + (2 if colour == "red" else 0)
        lines.append(f"{'' if i % 25 == 7 else x},{z},{colour},{y:.3f}")
    return "\n".join(lines) + "\n"


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


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()
