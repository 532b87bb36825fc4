"""What the API server refuses, and that its message names the field and the mend."""

from __future__ import annotations

import pytest

from hack.bench import load
from tests.support.api_server import Cluster
from tests.support.refused import FROZEN, SERVING, TRAINING, VERSION, changed

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", TRAINING)
def test_training_job_is_refused(cluster: Cluster, name: str) -> None:
    change, words = TRAINING[name]
    assert words in cluster.refused(changed(load.training_job("default", "cars"), change))


@pytest.mark.parametrize("name", SERVING)
def test_inference_service_is_refused(cluster: Cluster, name: str) -> None:
    change, words = SERVING[name]
    assert words in cluster.refused(changed(load.inference_service("default", "cars"), change))


@pytest.mark.parametrize("name", VERSION)
def test_model_version_is_refused(cluster: Cluster, name: str) -> None:
    change, words = VERSION[name]
    assert words in cluster.refused(changed(load.model_version("default", "cars"), change))


def test_a_model_version_whose_name_no_label_can_carry_is_refused(cluster: Cluster) -> None:
    version = load.model_version("default", "cars")
    version["metadata"]["name"] = "c" * 64
    assert "metadata.name may have at most 63 characters" in cluster.refused(version)


def test_a_model_version_is_immutable_but_for_approval(cluster: Cluster, namespace: str) -> None:
    cluster.apply(load.model_version(namespace, "cars"))
    found = cluster.find("modelversion", "cars-1", "-n", namespace)
    assert found is not None
    for name, change in FROZEN.items():
        assert "immutable" in cluster.refused(changed(found, change), update=True), name
    for approval in ("Rejected", "Pending", "Approved"):
        cluster.apply(changed(load.model_version(namespace, "cars"), {"approval": approval}))


def test_the_model_of_a_training_job_is_immutable(cluster: Cluster, namespace: str) -> None:
    cluster.apply(load.training_job(namespace, "cars"))
    found = cluster.find("trainingjob", "cars", "-n", namespace)
    assert found is not None
    assert "spec.model: Invalid value" in cluster.refused(changed(found, {"model": "trucks"}), update=True)


def test_replicas_beside_autoscaling_change_only_from_and_to_zero(cluster: Cluster, namespace: str) -> None:
    bounds = {"minReplicas": 2, "maxReplicas": 4, "targetCPUUtilizationPercentage": 80}
    cluster.apply(changed(load.inference_service(namespace, "cars"), {"autoscaling": bounds, "replicas": 2}))
    service = ("inferenceservices.modelmill.dev", "cars", "-n", namespace)
    told = cluster.refused(changed(cluster.find(*service) or {}, {"replicas": 3}), update=True)
    assert "spec.autoscaling decides how many pods there are" in told
    for replicas in ("0", "3"):
        cluster.kubectl("scale", *service, f"--replicas={replicas}")


def test_a_field_that_does_not_exist_is_pointed_out(cluster: Cluster) -> None:
    body = changed(load.training_job("default", "cars"), {"runPolicy.retries": 3})
    assert "spec.runPolicy.retries" in cluster.refused(body)
