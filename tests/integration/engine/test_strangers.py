"""Objects that have the name of a child: a stranger's, one that is going, and one of ours that somebody disfigured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hack.bench import load
from tests.support.api_server import Cluster, Start
from tests.support.strangers import condition, is_served, stranger, told

pytestmark = pytest.mark.integration


def objects(namespace: str, name: str = "shop") -> list[dict[str, Any]]:
    return [load.model_version(namespace, name), load.inference_service(namespace, name)]


def service(cluster: Cluster, namespace: str, name: str = "shop") -> dict[str, Any]:
    found = cluster.find("service", name, "-n", namespace)
    assert found is not None
    return found


def wake(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("annotate", "inferenceservice", "shop", "-n", namespace, "wake=1", "--overwrite")


@pytest.mark.parametrize("label", [{}, {"app.kubernetes.io/managed-by": "modelmill"}], ids=["bare", "labelled"])
def test_a_strangers_service_is_not_seized(
    cluster: Cluster, namespace: str, start: Start, label: dict[str, str]
) -> None:
    cluster.apply(stranger(namespace, labels=label))
    before = service(cluster, namespace)
    operator = start()
    cluster.apply(*objects(namespace))
    ready = told(cluster, namespace, "NameConflict")
    assert f"Service {namespace}/shop" in ready["message"]
    assert "delete it, or give this InferenceService another name" in ready["message"]
    stalled = condition(cluster, namespace, "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "NameConflict")
    assert service(cluster, namespace) == before
    # Tried again, and nothing is written for it.
    version = (cluster.find("inferenceservice", "shop", "-n", namespace) or {})["metadata"]["resourceVersion"]
    failed = 'modelmill_reconcile_errors_total{controller="inferenceservice"}'
    tries = operator.metrics()[failed]
    cluster.eventually(lambda: operator.metrics().get(failed, 0) >= tries + 2, "another try")
    current = cluster.find("inferenceservice", "shop", "-n", namespace) or {}
    assert current["metadata"]["resourceVersion"] == version
    assert service(cluster, namespace) == before
    # Mended by a person, it goes on by itself.
    cluster.kubectl("delete", "service", "shop", "-n", namespace)
    wake(cluster, namespace)
    cluster.eventually(lambda: is_served(cluster, namespace), "the Service of the operator")


def test_the_service_of_a_deleted_namesake_is_waited_for(cluster: Cluster, namespace: str, start: Start) -> None:
    """The garbage collector has not come yet: here it never does, so that the test is the collector."""
    owner = {
        "apiVersion": "modelmill.dev/v1alpha1",
        "kind": "InferenceService",
        "name": "shop",
        "uid": "00000000-0000-0000-0000-000000000001",
        "controller": True,
    }
    labels = {"app.kubernetes.io/managed-by": "modelmill"}
    cluster.apply(stranger(namespace, labels=labels, ownerReferences=[owner]))
    start()
    cluster.apply(*objects(namespace))
    ready = told(cluster, namespace, "ChildTerminating")
    assert f"Service {namespace}/shop of an earlier InferenceService shop" in ready["message"]
    assert condition(cluster, namespace, "Stalled").get("status") != "True"
    cluster.kubectl("delete", "service", "shop", "-n", namespace)
    cluster.eventually(lambda: is_served(cluster, namespace), "the Service of the operator")


def test_a_service_that_is_being_deleted_is_waited_for(cluster: Cluster, namespace: str, start: Start) -> None:
    start()
    cluster.apply(*objects(namespace))
    cluster.eventually(lambda: is_served(cluster, namespace), "the Service of the operator")
    held = {"metadata": {"finalizers": ["example.test/load-balancer"]}}
    cluster.kubectl("patch", "service", "shop", "-n", namespace, "--type=merge", "-p", json.dumps(held))
    cluster.kubectl("delete", "service", "shop", "-n", namespace, "--wait=false")
    assert f"Service {namespace}/shop is being deleted" in told(cluster, namespace, "ChildTerminating")["message"]
    free = '{"metadata":{"finalizers":null}}'
    cluster.kubectl("patch", "service", "shop", "-n", namespace, "--type=merge", "-p", free)
    cluster.eventually(lambda: is_served(cluster, namespace), "another Service of the operator")


@pytest.mark.parametrize("label", [False, True], ids=["owner", "owner and label"])
def test_a_service_of_ours_gets_back_what_was_taken_away(
    cluster: Cluster, namespace: str, start: Start, label: bool
) -> None:
    start()
    cluster.apply(*objects(namespace))
    cluster.eventually(lambda: is_served(cluster, namespace), "the Service of the operator")
    uid = service(cluster, namespace)["metadata"]["uid"]
    without: dict[str, Any] = {"ownerReferences": None}
    if label:
        without["labels"] = {"app.kubernetes.io/managed-by": None}
    cluster.kubectl(
        "patch", "service", "shop", "-n", namespace, "--type=merge", "-p", json.dumps({"metadata": without})
    )

    def whole() -> Any:
        labels = service(cluster, namespace)["metadata"].get("labels") or {}
        return is_served(cluster, namespace) and labels.get("app.kubernetes.io/managed-by") == "modelmill"

    # Without its label the watch tells that it is gone; without its owner it tells nobody, and the next look finds it.
    wake(cluster, namespace)
    cluster.eventually(whole, "owner and label")
    assert service(cluster, namespace)["metadata"]["uid"] == uid
