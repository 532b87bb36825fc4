"""What a person sees of a ModelVersion on a real API server: an overridden gate, a deletion that waits, the report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hack.bench import load
from tests.support.api_server import Cluster, Start

pytestmark = pytest.mark.integration

FAILED = "r2 0.4 is below 0.7"
LINEAGE = {
    "trainingJob": "cars",
    "run": 1,
    "runUid": "cars-uid-1",
    "reason": "Spec",
    "dataDigest": "sha256:" + "a" * 64,
    "dataRows": 100,
    "holdoutRows": 20,
}
APPROVE = '{"spec":{"approval":"Approved"}}'


def rejected(namespace: str) -> dict[str, Any]:
    version = load.model_version(namespace, "cars")
    version["spec"] |= {"approval": "Rejected", "gates": [FAILED], "failedGates": [FAILED], "lineage": LINEAGE}
    return version


def condition(cluster: Cluster, namespace: str, kind: str) -> dict[str, Any]:
    conditions = cluster.status("modelversions", namespace, "cars-1").get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), {})


def test_approving_what_the_gates_rejected_names_who_did_it(cluster: Cluster, namespace: str, start: Start) -> None:
    start()
    cluster.apply(rejected(namespace))
    cluster.eventually(lambda: condition(cluster, namespace, "Approved"), "a condition")
    assert condition(cluster, namespace, "Approved")["message"] == f"its gates failed: {FAILED}"
    cluster.kubectl("patch", "modelversion", "cars-1", "-n", namespace, "--type=merge", "-p", APPROVE)
    told = cluster.eventually(lambda: condition(cluster, namespace, "GateOverridden"), "GateOverridden")
    assert told["message"].startswith("approved by kubectl-patch at 20")
    assert told["message"].endswith(f"although its gates failed: {FAILED}")

    def event() -> bool:
        return any(one["reason"] == "GateOverridden" for one in cluster.items("events", namespace))

    cluster.eventually(event, "an Event")
    table = cluster.kubectl("get", "modelversion", "cars-1", "-n", namespace)
    assert "Overridden" in table
    wide = cluster.kubectl("get", "modelversion", "cars-1", "-n", namespace, "-o", "wide")
    assert "s3://models/prod/cars/sha256-aa/report.html" in wide
    assert "approved by kubectl-patch" in wide
    described = cluster.kubectl("describe", "modelversion", "cars-1", "-n", namespace)
    assert described.count(FAILED) >= 3


def test_a_version_in_deletion_says_who_holds_it(cluster: Cluster, namespace: str, start: Start) -> None:
    start()
    version = rejected(namespace)
    version["metadata"]["finalizers"] = ["backup.example.org/copied"]
    cluster.apply(version)
    cluster.eventually(lambda: condition(cluster, namespace, "Ready"), "a condition")
    cluster.kubectl("delete", "modelversion", "cars-1", "-n", namespace, "--wait=false")
    cluster.eventually(lambda: condition(cluster, namespace, "Ready").get("reason") == "Deleting", "Deleting")
    assert "backup.example.org/copied" in condition(cluster, namespace, "Ready")["message"]
    assert cluster.status("modelversions", namespace, "cars-1")["stage"] == "Deleting"
    cluster.kubectl(
        "patch", "modelversion", "cars-1", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
    cluster.eventually(lambda: cluster.find("modelversion", "cars-1", "-n", namespace) is None, "its end")


def made_with(cluster: Cluster, namespace: str, name: str) -> None:
    """Make a version of the one artifact that is to go with it, and wait until it is held for that."""
    version = load.model_version(namespace, "cars")
    version["metadata"]["name"] = name
    version["spec"]["deletionPolicy"] = "Delete"
    cluster.apply(version)

    def held() -> bool:
        found = cluster.find("modelversion", name, "-n", namespace) or {}
        return bool(found["metadata"].get("finalizers"))

    cluster.eventually(held, "the finalizer")


def test_an_artifact_goes_by_a_job_of_the_namespace_before_its_version(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    start()
    made_with(cluster, namespace, "cars-1")
    cluster.kubectl("delete", "modelversion", "cars-1", "-n", namespace, "--wait=false")
    (job,) = cluster.eventually(lambda: cluster.items("jobs", namespace), "the Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["remove"]
    assert job["metadata"]["ownerReferences"][0]["name"] == "cars-1"
    told = condition(cluster, namespace, "ArtifactRemoved")
    assert (told["status"], told["reason"]) == ("False", "Removing")
    assert cluster.status("modelversions", namespace, "cars-1")["stage"] == "Deleting"
    moment = job["metadata"]["creationTimestamp"]
    ended = [
        {"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": moment}
        for kind in ("FailureTarget", "Failed")
    ]
    status = {"status": {"startTime": moment, "failed": 4, "conditions": ended}}
    words = ("--subresource=status", "--type=merge", "-p", json.dumps(status))
    cluster.kubectl("patch", "job", job["metadata"]["name"], "-n", namespace, *words)
    cluster.eventually(lambda: cluster.find("modelversion", "cars-1", "-n", namespace) is None, "its end")

    def kept() -> list[str]:
        return [one["message"] for one in cluster.items("events", namespace) if one["reason"] == "ArtifactKept"]

    (message,) = cluster.eventually(kept, "the Event")
    assert "s3://models/prod/cars/sha256-aa/ was not removed" in message


def test_an_artifact_of_two_versions_stays_until_the_last_one_goes(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    start()
    for name in ("cars-1", "cars-2"):
        made_with(cluster, namespace, name)
    cluster.kubectl("delete", "modelversion", "cars-1", "-n", namespace, "--wait=false")
    cluster.eventually(lambda: cluster.find("modelversion", "cars-1", "-n", namespace) is None, "its end")
    assert cluster.items("jobs", namespace) == []
    cluster.kubectl("delete", "modelversion", "cars-2", "-n", namespace, "--wait=false")
    cluster.eventually(lambda: cluster.items("jobs", namespace), "the Job")
