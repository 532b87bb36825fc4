"""What is in the way of an object is told on it within seconds, and what belongs to others stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.lines import inference_service, predict, table, training_job

SOON = 60
"""Seconds in which a person must be told; a limit for hanging, no measurement."""


@pytest.fixture(scope="module")
def trained(cluster: Cluster) -> Cluster:
    cluster.put("data/part.csv", table())
    cluster.apply(training_job(cluster, "shop"))
    cluster.wait("the version", lambda: cluster.get("ModelVersion", "shop-1"), 180)
    return cluster


def told(cluster: Cluster, kind: str, name: str, reason: str) -> str:
    """Wait until Ready is False for this reason; return its message."""

    def seen() -> dict[str, Any] | None:
        ready = cluster.condition(kind, name, "Ready")
        return ready if ready.get("status") == "False" and ready.get("reason") == reason else None

    return str(cluster.wait(f"{name} to say {reason}", seen, SOON)["message"])


def test_a_service_of_somebody_else_stays_theirs(trained: Cluster) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shop"},
        "spec": {"selector": {"app": "their-shop"}, "ports": [{"name": "web", "port": 8443}]},
    }
    trained.apply(theirs)
    before = trained.get("Service", "shop")
    trained.apply(inference_service("shop", rollout={"strategy": "Direct"}))
    assert "shop" in told(trained, "InferenceService", "shop", "NameConflict")
    assert trained.condition("InferenceService", "shop", "Stalled")["status"] == "True"
    assert trained.get("Service", "shop") == before
    trained.delete("Service", "shop")
    trained.wait_stable("shop")
    assert predict(trained, "shop", x=2.0, z=1.0, colour="red") == pytest.approx(7.0, abs=0.9)


def test_their_service_outlives_our_object(trained: Cluster) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "cellar"},
        "spec": {"selector": {"app": "wine"}, "ports": [{"name": "web", "port": 80}]},
    }
    trained.apply(theirs)
    service = inference_service("cellar", rollout={"strategy": "Direct"})
    service["spec"]["model"]["name"] = "shop"
    trained.apply(service)
    told(trained, "InferenceService", "cellar", "NameConflict")
    trained.delete("InferenceService", "cellar")
    trained.wait("it to be gone", lambda: not trained.get("InferenceService", "cellar"), SOON)
    assert trained.get("Service", "cellar")["spec"]["selector"] == {"app": "wine"}


def test_a_second_job_for_a_model_waits_for_the_first(trained: Cluster) -> None:
    second = training_job(trained, "shop")
    second["metadata"]["name"] = "second-shop"
    trained.apply(second)
    ready = trained.wait(
        "it to be stalled", lambda: trained.condition("TrainingJob", "second-shop", "Stalled").get("message"), SOON
    )
    trained.wait(
        "it to be stalled",
        lambda: trained.condition("TrainingJob", "second-shop", "Stalled").get("status") == "True",
        SOON,
    )
    assert "shop" in ready
    assert trained.list("Job", "modelmill.dev/training-job=second-shop") == []


def test_a_quota_that_refuses_pods_is_told_with_its_words(trained: Cluster) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-more-pods"},
        "spec": {"hard": {"requests.cpu": "1m"}},
    }
    trained.apply(quota)
    trained.apply(training_job(trained, "late"))

    def said() -> str:
        return str(trained.condition("TrainingJob", "late", "Ready").get("message", ""))

    trained.wait("the quota's words", lambda: "no-more-pods" in said(), SOON)
    assert trained.condition("TrainingJob", "late", "Ready")["status"] == "False"
    trained.delete("ResourceQuota", "no-more-pods")
    trained.wait("the version after all", lambda: trained.get("ModelVersion", "late-1"), 240)


def test_a_stuck_run_starts_anew_when_its_spec_is_corrected(trained: Cluster) -> None:
    wrong = training_job(trained, "stuck")
    wrong["spec"]["store"] = {**wrong["spec"]["store"], "secretRef": {"name": "nobody"}}
    trained.apply(wrong)
    assert "nobody" in told(trained, "TrainingJob", "stuck", "ContainerConfigInvalid")
    trained.apply(training_job(trained, "stuck"))
    trained.wait("a version", lambda: trained.list("ModelVersion", "modelmill.dev/model=stuck"), 180)
    trained.wait("one Job", lambda: len(trained.list("Job", "modelmill.dev/training-job=stuck")) == 1, SOON)
    assert trained.condition("TrainingJob", "stuck", "Ready")["reason"] == "Published"


def test_what_one_stage_leaves_in_tmp_no_other_sees(trained: Cluster) -> None:
    (pod,) = trained.list("Pod", "modelmill.dev/training-job=shop")
    containers = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
    mounts = [m["name"] for c in containers for m in c["volumeMounts"] if m["mountPath"] == "/tmp"]
    assert len(mounts) == len(set(mounts)) == len(containers)
