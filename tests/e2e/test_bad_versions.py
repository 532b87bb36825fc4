"""Versions that are bad in every way, under every strategy: each is taken back by itself, in words, and not tried again."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelmill.contracts.artifact import digest
from tests.support.cluster import Cluster
from tests.support.predictors import DOUBLED, write_predictor

MODEL = "odd"
CHECKS = [
    {"metric": "ErrorRatio", "maximum": "0.05"},
    {"metric": "LatencyP95Seconds", "maximum": "0.25"},
    {"metric": "PredictionPSI", "maximum": "0.5"},
]
ANALYSIS: dict[str, Any] = {"intervalSeconds": 3, "minRequests": 30, "onInsufficientData": "Hold", "failureLimit": 0}
ROLLOUTS: dict[str, dict[str, Any]] = {
    "canary": {"steps": [{"weight": 50}, {"pauseSeconds": 6}], "analysis": {**ANALYSIS, "checks": CHECKS}},
    "blue-green": {
        "strategy": "BlueGreen",
        "blueGreen": {"prePromotionSeconds": 6, "postPromotionSeconds": 6},
        "analysis": {**ANALYSIS, "checks": CHECKS},
    },
    "shadow": {
        "strategy": "Shadow",
        "shadow": {"sampleRatio": "1", "seconds": 6},
        "analysis": {**ANALYSIS, "checks": [*CHECKS[:2], {"metric": "Disagreement", "maximum": "0.1"}]},
    },
}
# The golden row is x = 1: a bad version passes it, or nothing would be rolled out.
BAD: dict[str, dict[str, str]] = {
    "errs": {"predict": f"if columns['x'][0] != 1: raise ValueError('odd')\n{DOUBLED}"},
    "slow": {"predict": f"if columns['x'][0] != 1: time.sleep(0.5)\n{DOUBLED}"},
    "shifted": {"predict": 'return {"predict": columns["x"] * 2 - (columns["x"] != 1) * 1000}'},
    "not loaded": {"load": "raise ValueError('torn')"},
    "wrong digest": {},
}
REASONS = {
    "errs": ("AnalysisFailed", "ErrorRatio"),
    "slow": ("AnalysisFailed", "LatencyP95Seconds"),
    "shifted": ("AnalysisFailed", ""),
    "not loaded": ("ModelLoadFailed", "torn"),
    "wrong digest": ("DigestMismatch", ""),
}


@dataclass
class Asking:
    """Asks every service for predictions, 20 a second each, until it is left."""

    hosts: dict[str, str]
    codes: dict[str, Counter[int]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, name: str) -> None:
        codes = self.codes.setdefault(name, Counter())
        number = 0
        while not self._stop.wait(0.05):
            number += 1
            body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [2.0 + number % 7]}]}
            try:
                connection = http.client.HTTPConnection(self.hosts[name], 80, timeout=5)
                connection.request("POST", f"/v2/models/{MODEL}/infer", json.dumps(body).encode())
                response = connection.getresponse()
                response.read()
                codes[response.status] += 1
                connection.close()
            except OSError:
                codes[0] += 1

    @contextmanager
    def asked(self) -> Iterator[Asking]:
        threads = [threading.Thread(target=self.run, args=(name,), daemon=True) for name in self.hosts]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(10)


def publish(cluster: Cluster, tmp: Path, number: int, bad: Mapping[str, str], *, lie: bool = False) -> str:
    """Publish a predictor as an approved version; lie: with the digest of something else."""
    folder = write_predictor(tmp / f"version-{number}", edge=1.0, **bad)
    told = digest((folder / "manifest.json").read_bytes())
    for path in folder.iterdir():
        cluster.s3.put_object(Bucket=cluster.bucket, Key=f"{MODEL}/{number}/{path.name}", Body=path.read_bytes())
    endpoint = cluster.kube.status["s3"]["endpoint_in_cluster"]
    uri = f"s3://{cluster.bucket}/{MODEL}/{number}"
    spec = {
        "model": MODEL,
        "artifact": {"uri": uri, "digest": "sha256:" + "0" * 64 if lie else told},
        "store": {"uri": f"s3://{cluster.bucket}", "endpoint": endpoint, "secretRef": {"name": "keys"}},
        "format": "python",
        "bytes": 1000,
        "trained": "2026-01-02T03:04:05Z",
        "primary": {"metric": "r2", "direction": "Maximize"},
        "metrics": {"r2": "0.9"},
        "approval": "Approved",
    }
    name = f"{MODEL}-{number}"
    metadata = {"name": name, "labels": {"modelmill.dev/model": MODEL}}
    cluster.apply({"apiVersion": "modelmill.dev/v1alpha1", "kind": "ModelVersion", "metadata": metadata, "spec": spec})
    return name


def service(name: str, rollout: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {
            "model": {"name": MODEL, "follow": "Approved"},
            "replicas": 2,
            "runtime": {"allowPython": True},
            "rollout": rollout,
        },
    }


@pytest.fixture(scope="module")
def served(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    publish(cluster, tmp_path_factory.mktemp("first"), 1, {})
    cluster.apply(*(service(name, rollout) for name, rollout in ROLLOUTS.items()))
    for name in ROLLOUTS:
        cluster.wait_stable(name)
    return cluster


@pytest.mark.parametrize("kind", list(BAD))
def test_bad_version_is_taken_back(served: Cluster, tmp_path: Path, kind: str) -> None:
    number = 2 + list(BAD).index(kind)
    hosts = {name: served.address(name) for name in ROLLOUTS} | {"preview": served.address("blue-green-preview")}
    pods = {name: stable_pods(served, name) for name in ROLLOUTS}
    with Asking(hosts).asked() as asking:
        version = publish(served, tmp_path, number, BAD[kind], lie=kind == "wrong digest")
        for name in ROLLOUTS:
            status = served.wait(f"{name} to take it back", lambda name=name: taken_back(served, name, version), 150)
            begins, has = REASONS[kind]
            assert status["failedMessage"].startswith(begins), status["failedMessage"]
            assert has in status["failedMessage"]
            assert status["stable"]["version"] == f"{MODEL}-1"
        told = served.kube.run("kubectl", "describe", "inferenceservices.modelmill.dev", "-n", served.namespace)
        assert REASONS[kind][0] in told
        time.sleep(4)
        for name in ROLLOUTS:
            assert served.status("InferenceService", name)["phase"] == "RolledBack", "it was tried again"
            # A canary by replica counts takes the place of pods, which grow back; the others stand beside them.
            kept = stable_pods(served, name) & pods[name]
            assert kept == pods[name] or (kept and name == "canary"), "pods that serve were touched"
    for name in ("shadow", "blue-green"):
        assert set(asking.codes[name]) == {200}, f"{name}: a client saw an answer of the bad version"


def taken_back(cluster: Cluster, name: str, version: str) -> dict[str, Any] | None:
    status = cluster.status("InferenceService", name)
    last = status["history"][0]
    done = status["phase"] == "RolledBack" and last["version"] == version and last["outcome"] == "RolledBack"
    return status if done else None


def stable_pods(cluster: Cluster, name: str) -> set[str]:
    revision = cluster.status("InferenceService", name)["stable"]["revision"]
    selector = f"modelmill.dev/inference-service={name},modelmill.dev/revision={revision}"
    return {str(pod["metadata"]["uid"]) for pod in cluster.list("Pod", selector)}
