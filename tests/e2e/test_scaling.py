"""A service whose pods an autoscaler counts by CPU: it grows under load, keeps its size in a rollout, stops and comes back."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.demo.kube import Kube
from tests.support.cluster import Cluster
from tests.support.lines import inference_service, predict, release, table, training_job
from tests.support.open_loop import Running

ALONE = True
MODEL = "grown"
TOOL = Path(__file__).parents[2] / "hack" / "cluster"
RATE, REQUESTS = 200, 200 * 600
"""A third of them take a pod more than 5 % of the 200m of a CPU that it asks for, and that it needs on a busy node."""
ROLLOUT: dict[str, Any] = {"steps": [{"weight": 50}, {"pauseSeconds": 5}], "scaleDownDelaySeconds": 0}
AUTOSCALING = {
    "minReplicas": 1,
    "maxReplicas": 3,
    "targetCPUUtilizationPercentage": 5,
    "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}]}},
}


@pytest.fixture(scope="module")
def metrics(kube: Kube) -> Iterator[None]:
    """CPU of pods as metrics-server tells it. Taken away again: an API that is away holds up the deletion of namespaces."""
    kube.run(sys.executable, str(TOOL), "metrics", "up")
    yield
    kube.run(sys.executable, str(TOOL), "metrics", "down")


@pytest.fixture(scope="module")
def served(cluster: Cluster, metrics: None) -> Cluster:
    cluster.put("data/part.csv", table())
    runtime = {"resources": {"requests": {"cpu": "200m", "memory": "128Mi"}}}
    service = inference_service(MODEL, replicas=1, autoscaling=AUTOSCALING, runtime=runtime, rollout=ROLLOUT)
    cluster.apply(training_job(cluster, MODEL), service)
    cluster.wait_stable(MODEL)
    return cluster


def status(cluster: Cluster) -> dict[str, Any]:
    return cluster.status("InferenceService", MODEL)


def pods(cluster: Cluster) -> int:
    """Return how many pods the Deployments of the service are to have."""
    return sum(
        one["spec"]["replicas"] for one in cluster.list("Deployment", f"modelmill.dev/inference-service={MODEL}")
    )


def test_pods_follow_the_load_through_a_rollout(served: Cluster) -> None:
    least: list[int] = []

    def promoted(version: str) -> bool:
        least.append(pods(served))
        told = status(served)
        return told.get("phase") == "Stable" and told["stable"]["version"] == version

    with Running(served.address(MODEL), MODEL, RATE, REQUESTS) as load:
        served.wait("all pods under load", lambda: (status(served).get("stable") or {}).get("ready") == 3, 180)
        version = release(served, MODEL, 2)
        served.wait("the rollout", lambda: promoted(version), 180)
        time.sleep(5)
    assert min(least) >= 3, "a rollout has set the number of pods back"
    assert not load.account["failures"], load.account
    assert set(load.account["versions"]) == {f"{MODEL}-1", version}
    counts = "ScalingActive"
    served.wait(counts, lambda: served.condition("InferenceService", MODEL, counts).get("status") == "True", 60)


def test_stopped_service_has_no_pods_and_comes_back(served: Cluster) -> None:
    served.patch("InferenceService", MODEL, {"spec": {"suspend": True}})
    selector = f"modelmill.dev/inference-service={MODEL}"
    served.wait(
        "the pods to go", lambda: status(served)["phase"] == "Suspended" and not served.list("Pod", selector), 90
    )
    served.patch("InferenceService", MODEL, {"spec": {"suspend": None}})
    served.wait("a pod again", lambda: status(served)["phase"] == "Stable" and status(served)["stable"]["ready"], 90)
    assert predict(served, MODEL, x=2.0, z=1.0, colour="red") == pytest.approx(7.0, abs=0.9)
