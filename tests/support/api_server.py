"""The real operator process on a real API server with etcd: no nodes, no controllers but ours."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.bench import load
from hack.bench.audit import AuditLog
from hack.bench.light import NAMESPACE, USER, LightServer
from hack.bench.operator_process import OperatorProcess

LEASE = ("lease", "modelmill-operator", "-n", NAMESPACE)


class Cluster:
    """What a test does to the API server, as an administrator."""

    def __init__(self, server: LightServer, kubeconfig: Path) -> None:
        self.server = server
        self.kubeconfig = kubeconfig
        self.audit = AuditLog(server.audit_log, USER)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return self.server.kubectl(*arguments, text=text)

    def apply(self, *objects: dict[str, Any]) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(document))

    def refused(self, body: dict[str, Any], *, update: bool = False) -> str:
        """Return what the API server says when it refuses the object; fails when it takes it."""
        verb = ["replace"] if update else ["create"]
        try:
            self.kubectl(*verb, "--dry-run=server", "-f", "-", text=json.dumps(body))
        except subprocess.CalledProcessError as error:
            return str(error.stderr)
        raise AssertionError(f"accepted: {json.dumps(body)}")

    def find(self, *arguments: str) -> dict[str, Any] | None:
        """Return the object or list, None when there is none."""
        text = self.kubectl("get", *arguments, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def items(self, plural: str, namespace: str) -> list[dict[str, Any]]:
        found = self.find(plural, "-n", namespace)
        items: list[dict[str, Any]] = (found or {}).get("items") or []
        return items

    def status(self, plural: str, namespace: str, name: str) -> dict[str, Any]:
        found = self.find(plural, name, "-n", namespace) or {}
        status: dict[str, Any] = found.get("status") or {}
        return status

    def eventually(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """Return the first true answer of `condition`; the limit is for a broken operator, not for a slow one."""
        limit = time.monotonic() + seconds
        while True:
            answer = condition()
            if answer:
                return answer
            assert time.monotonic() < limit, f"never: {what}"
            time.sleep(0.2)


Start = Callable[..., OperatorProcess]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with (Path(tempfile.gettempdir()) / "modelmill-test-engine.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            name = "test-engine"
        except BlockingIOError:
            # Another run of the tests uses that one, and takes it down when it ends.
            name = f"test-engine-{os.getpid()}"
        server = LightServer.up(name)
        try:
            yield Cluster(server, server.install(tmp_path_factory.mktemp("operator")))
        finally:
            server.down()


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return itertools.count(int(time.time()) % 100_000 * 100)


@pytest.fixture
def namespace(cluster: Cluster, numbers: Iterator[int]) -> Iterator[str]:
    """A namespace of its own; its objects are gone afterwards, so that later tests start with none."""
    name = cluster.server.new_namespace(f"engine-{next(numbers)}")
    yield name
    plurals = "trainingjobs,inferenceservices,modelversions,jobs,deployments,services,configmaps,poddisruptionbudgets"
    plurals += ",horizontalpodautoscalers"
    for version in cluster.items("modelversions", name):
        free = '{"metadata":{"finalizers":null}}'
        cluster.kubectl("patch", "modelversion", version["metadata"]["name"], "-n", name, "--type=merge", "-p", free)
    cluster.kubectl("delete", plurals, "--all", "-n", name, "--wait=false")


@pytest.fixture
def start(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Start operators; each is killed at the end of the test."""
    running: list[OperatorProcess] = []

    def one(
        identity: str = "first", *, leading: bool = True, kubeconfig: Path | None = None, **more: Any
    ) -> OperatorProcess:
        operator = OperatorProcess(kubeconfig or cluster.kubeconfig, tmp_path / f"{identity}.log", identity, **more)
        running.append(operator)
        if leading:
            operator.wait_leading(60)
        return operator

    # No leader of an earlier test is to be waited for.
    cluster.kubectl("delete", *LEASE, "--ignore-not-found")
    yield one
    for operator in running:
        operator.kill()


def objects_of_each_kind(namespace: str, count: int) -> list[dict[str, Any]]:
    """Return TrainingJobs, and InferenceServices with an approved version each."""
    names = [f"model-{number}" for number in range(count)]
    return [
        make(namespace, name)
        for make in (load.model_version, load.training_job, load.inference_service)
        for name in names
    ]
