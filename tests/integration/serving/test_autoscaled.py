"""Who owns the replicas of a Deployment that an autoscaler counts, on a real API server; the test is the autoscaler."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hack.bench import load
from tests.integration.serving.released import NAME, release
from tests.support.api_server import LEASE, Cluster, Start

pytestmark = pytest.mark.integration

BOUNDS = {"minReplicas": 2, "maxReplicas": 8, "targetCPUUtilizationPercentage": 80}


def deployment(cluster: Cluster, namespace: str) -> dict[str, Any]:
    (found,) = (cluster.find("deployments", "-n", namespace, "--show-managed-fields") or {})["items"]
    return dict(found)


def patched(cluster: Cluster, namespace: str, spec: dict[str, Any]) -> None:
    text = json.dumps({"spec": spec})
    cluster.kubectl("patch", "inferenceservices.modelmill.dev", NAME, "-n", namespace, "--type=merge", "-p", text)


def managers(found: dict[str, Any]) -> set[str]:
    """Return who owns spec.replicas, by manager and subresource."""
    return {
        f"{one['manager']} {one.get('subresource', '')}".strip()
        for one in found["metadata"]["managedFields"]
        if "f:replicas" in one.get("fieldsV1", {}).get("f:spec", {})
    }


def test_replicas_are_handed_over_and_taken_back_without_a_reset(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    operator = start()
    release(cluster, namespace, 1)
    service = load.inference_service(namespace, NAME)
    service["spec"]["replicas"] = 3
    cluster.apply(service)
    cluster.eventually(lambda: cluster.items("deployments", namespace), "the Deployment")
    patched(cluster, namespace, {"autoscaling": BOUNDS})
    cluster.eventually(lambda: cluster.items("horizontalpodautoscalers", namespace), "the autoscaler")
    patched(cluster, namespace, {"rollout": {"progressDeadlineSeconds": 111}})
    cluster.eventually(
        lambda: deployment(cluster, namespace)["spec"]["progressDeadlineSeconds"] == 111, "a change of the rest"
    )
    found = deployment(cluster, namespace)
    assert (found["spec"]["replicas"], managers(found)) == (3, {"modelmill"}), "nobody has changed them yet"

    name = found["metadata"]["name"]
    cluster.kubectl("scale", "deployment", name, "-n", namespace, "--replicas=5")
    assert managers(deployment(cluster, namespace)) == {"kubectl scale"}
    patched(cluster, namespace, {"rollout": {"progressDeadlineSeconds": 222}})
    cluster.eventually(
        lambda: deployment(cluster, namespace)["spec"]["progressDeadlineSeconds"] == 222, "another change of the rest"
    )
    operator.kill()
    cluster.kubectl("delete", *LEASE)
    again = start("second")
    again.wait_quiet(60)
    assert deployment(cluster, namespace)["spec"]["replicas"] == 5

    patched(cluster, namespace, {"autoscaling": None})
    cluster.eventually(lambda: deployment(cluster, namespace)["spec"]["replicas"] == 3, "the spec's again")
    cluster.eventually(lambda: not cluster.items("horizontalpodautoscalers", namespace), "no autoscaler")
    assert managers(deployment(cluster, namespace)) == {"modelmill"}
