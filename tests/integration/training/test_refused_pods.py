"""Pods that are refused, and two TrainingJobs of one model, with a real API server; the Job controller is played."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hack.bench import load
from modelmill.kube.conditions import find
from tests.support.api_server import Cluster, Start
from tests.support.operated import run_started

pytestmark = pytest.mark.integration

QUOTA = 'pods "cars-1-x" is forbidden: exceeded quota: small, requested: cpu=100m, used: cpu=2, limited: cpu=2'


def told(cluster: Cluster, namespace: str, name: str, reason: str) -> dict[str, Any]:
    """Return the condition Ready of a TrainingJob once it has this reason."""

    def ready() -> Any:
        seen = find(cluster.status("trainingjobs", namespace, name), "Ready") or {}
        return seen if seen.get("reason") == reason else None

    seen: dict[str, Any] = cluster.eventually(ready, f"Ready for the reason {reason}")
    return seen


def failed_create(job: dict[str, Any]) -> dict[str, Any]:
    """Return the Event that the Job controller writes about a Job whose pod is refused."""
    meta = job["metadata"]
    about = {"kind": "Job", "apiVersion": "batch/v1"} | {name: meta[name] for name in ("name", "namespace", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.1", "namespace": meta["namespace"]},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": f"Error creating: {QUOTA}",
        "involvedObject": about,
        "firstTimestamp": meta["creationTimestamp"],
        "lastTimestamp": meta["creationTimestamp"],
        "count": 1,
    }


def test_refusal_is_in_the_condition_in_its_own_words(cluster: Cluster, namespace: str, start: Start) -> None:
    start()
    cluster.apply(load.training_job(namespace, "cars"))
    run = run_started(cluster, namespace)
    job = cluster.find("job", run["job"], "-n", namespace)
    assert job is not None
    cluster.apply(failed_create(job))
    ready = told(cluster, namespace, "cars", "PodsRefused")
    assert ready["status"] == "False"
    assert QUOTA in ready["message"]


def test_second_training_job_of_a_model_waits_until_the_first_goes(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    start()
    first, second = load.training_job(namespace, "cars"), load.training_job(namespace, "late")
    second["spec"]["model"] = first["spec"]["model"]
    cluster.apply(first)
    run_started(cluster, namespace)
    time.sleep(1)  # of those made in one second their uids decide which is the first
    cluster.apply(second)
    waits = told(cluster, namespace, "late", "ModelOwnedByAnother")
    assert "TrainingJob cars" in waits["message"]
    assert len(cluster.items("jobs", namespace)) == 1
    cluster.kubectl("delete", "trainingjob", "cars", "-n", namespace)
    run_started(cluster, namespace, "late")
