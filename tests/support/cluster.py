"""A namespace of its own in the whole test cluster, with a bucket; objects, waiting, and what explains a failure."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from hack.demo.kube import Kube

SYSTEM = "modelmill-system"


@dataclass(frozen=True)
class Cluster:
    """A namespace in the test cluster, with a bucket of the same name and the Secret `keys` for it."""

    kube: Kube
    namespace: str
    bucket: str
    s3: Any

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.kube.apply(objects, self.namespace)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.kube.get(kind, name, self.namespace) or {}

    def list(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        return self.kube.list(kind, self.namespace, selector)

    def patch(self, kind: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self.kube.patch(kind, name, self.namespace, body)

    def delete(self, kind: str, name: str) -> None:
        self.kube.delete(kind, name, self.namespace)

    def status(self, kind: str, name: str) -> dict[str, Any]:
        return dict(self.get(kind, name).get("status") or {})

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

    def wait_stable(self, name: str, version: str = "", seconds: float = 240) -> None:
        """Wait until the service is stable, on this version when one is named."""

        def stable() -> bool:
            status = self.status("InferenceService", name)
            return status.get("phase") == "Stable" and version in ("", status["stable"]["version"])

        self.wait(f"{name} to be stable {version}", stable, seconds)

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

    def address(self, service: str) -> str:
        """Return the cluster address of a Service."""
        return str(self.get("Service", service)["spec"]["clusterIP"])

    def ask(self, service: str, path: str, body: Any | None = None) -> tuple[int, Any]:
        """Ask a Service over HTTP: GET, or POST of a JSON body. Return the code and the JSON of the answer."""
        connection = http.client.HTTPConnection(self.address(service), 80, timeout=10)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def kill_operator(self) -> None:
        """End the operator's pod without any grace, as a crashed node would."""
        selector = ["-l", "app.kubernetes.io/name=modelmill", "--force", "--grace-period=0"]
        self.kube.run("kubectl", "delete", "pods", "-n", SYSTEM, *selector)


@contextmanager
def namespace(kube: Kube, name: str) -> Iterator[Cluster]:
    """Make a namespace and a bucket whose names begin with this one; the namespace is deleted afterwards."""
    unique = f"e2e-{name}-{uuid.uuid4().hex[:5]}"
    store = kube.status["s3"]
    s3 = boto3.client(
        "s3",
        endpoint_url=store["endpoint"],
        aws_access_key_id=store["access_key"],
        aws_secret_access_key=store["secret_key"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    kube.make_namespace(unique)
    s3.create_bucket(Bucket=unique)
    cluster = Cluster(kube, unique, unique, s3)
    cluster.apply(secret("keys", store["access_key"], store["secret_key"]))
    yield cluster
    kube.delete("Namespace", unique, "")


def secret(name: str, access: str, key: str) -> dict[str, Any]:
    """Return a Secret with the credentials of a store."""
    data = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": key}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
