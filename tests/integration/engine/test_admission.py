"""What the API server refuses, and that its message names the field and the mend."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hack.bench import load
from tests.support.api_server import Cluster

pytestmark = pytest.mark.integration

REMOVED = object()
Change = dict[str, Any]


def changed(body: dict[str, Any], change: Change) -> dict[str, Any]:
    """Return the object with values at dotted paths of its spec set, or removed."""
    body = copy.deepcopy(body)
    for path, value in change.items():
        *parents, last = path.split(".")
        part = body["spec"]
        for name in parents:
            part = part.setdefault(name, {})
        if value is REMOVED:
            part.pop(last, None)
        else:
            part[last] = value
    return body


TRAINING: dict[str, tuple[Change, str]] = {
    "model absent": ({"model": REMOVED}, "spec.model"),
    "model a number": ({"model": 5}, "spec.model"),
    "model with a capital": ({"model": "Cars"}, "spec.model"),
    "model too long": ({"model": "a" * 45}, "spec.model"),
    "store without uri": ({"store": {"endpoint": "http://s3"}}, "spec.store.uri"),
    "store of another scheme": ({"store.uri": "ftp://models"}, "spec.store.uri"),
    "endpoint without scheme": ({"store.endpoint": "s3.store:7070"}, "spec.store.endpoint"),
    "secret without name": ({"store.secretRef": {}}, "spec.store.secretRef.name"),
    "unknown format": ({"data.train.format": "xlsx"}, "spec.data.train.format"),
    "target absent": ({"data.target": REMOVED}, "spec.data.target"),
    "fraction and uri": ({"data.holdout.uri": "s3://data/holdout/"}, "exclude each other"),
    "neither fraction nor uri": ({"data.holdout": {"strategy": "Random"}}, "set fraction"),
    "fraction a number": ({"data.holdout.fraction": 0.2}, "spec.data.holdout.fraction"),
    "fraction of everything": ({"data.holdout.fraction": "1"}, "between 0 and 1"),
    "latest without column": ({"data.holdout.strategy": "Latest"}, "strategy Latest needs column"),
    "unknown strategy": ({"data.holdout.strategy": "Oldest"}, "spec.data.holdout.strategy"),
    "two ways to train": ({"train.container": {"image": "a/b:1"}}, "spec.train"),
    "no way to train": ({"train": {}}, "spec.train"),
    "container without image": ({"train": {"container": {"command": ["x"]}}}, "spec.train.container.image"),
    "parameter a number": ({"train.sklearn.parameters": {"alpha": 0.5}}, "spec.train.sklearn.parameters"),
    "primary absent": ({"evaluation.primary": REMOVED}, "spec.evaluation.primary"),
    "unknown direction": ({"evaluation.primary.direction": "Up"}, "spec.evaluation.primary.direction"),
    "gate without bound": ({"evaluation.gates": [{"metric": "r2"}]}, "spec.evaluation.gates[0]"),
    "gate without metric": ({"evaluation.gates": [{"minimum": "1"}]}, "spec.evaluation.gates[0]"),
    "gate with text for a bound": ({"evaluation.gates": [{"metric": "r2", "minimum": "high"}]}, "gates[0].minimum"),
    "negative retries": ({"runPolicy": {"backoffLimit": -1}}, "spec.runPolicy.backoffLimit"),
    "unknown approval": ({"versions": {"approval": "Maybe"}}, "spec.versions.approval"),
}

SERVING: dict[str, tuple[Change, str]] = {
    "follow and version": ({"model.version": "cars-1"}, "spec.model"),
    "neither follow nor version": ({"model": {"name": "cars"}}, "spec.model"),
    "unknown follow": ({"model.follow": "Latest"}, "spec.model.follow"),
    "negative replicas": ({"replicas": -1}, "spec.replicas"),
    "replicas as text": ({"replicas": "two"}, "spec.replicas"),
    "unknown strategy": ({"rollout.strategy": "YOLO"}, "spec.rollout.strategy"),
    "step with both fields": ({"rollout.steps": [{"weight": 10, "pauseSeconds": 5}]}, "spec.rollout.steps[0]"),
    "step with neither field": ({"rollout.steps": [{}]}, "spec.rollout.steps[0]"),
    "weight over 100": ({"rollout.steps": [{"weight": 101}]}, "spec.rollout.steps[0].weight"),
    "check without bound": ({"rollout.analysis": {"checks": [{"metric": "ErrorRatio"}]}}, "analysis.checks[0]"),
    "unknown check": ({"rollout.analysis": {"checks": [{"metric": "Luck", "maximum": "1"}]}}, "checks[0].metric"),
    "threshold a number": ({"monitoring.drift.psiThreshold": 0.2}, "spec.monitoring.drift.psiThreshold"),
    "retrain without job": ({"monitoring.retrain": {"alerts": ["Drift"]}}, "spec.monitoring.retrain.trainingJob"),
    "retrain by an unknown alert": (
        {"monitoring.retrain": {"trainingJob": "cars", "alerts": ["Boredom"]}},
        "spec.monitoring.retrain.alerts",
    ),
}

VERSION: dict[str, tuple[Change, str]] = {
    "digest too short": ({"artifact.digest": "sha256:ab"}, "spec.artifact.digest"),
    "unknown format": ({"format": "pickle"}, "spec.format"),
    "unknown approval": ({"approval": "Sure"}, "spec.approval"),
    "artifact absent": ({"artifact": REMOVED}, "spec.artifact"),
    "trained at no time": ({"trained": "yesterday"}, "spec.trained"),
}

FROZEN: dict[str, Change] = {
    "digest": {"artifact.digest": "sha256:" + "b" * 64},
    "uri": {"artifact.uri": "s3://elsewhere/cars/"},
    "store": {"store.endpoint": "http://other:7070"},
    "metrics": {"metrics": {"r2": "0.99"}},
    "format": {"format": "skops"},
    "bytes": {"bytes": 1},
    "model": {"model": "trucks"},
    "gates": {"gates": ["r2 0.9 >= 0.7"]},
    "failed gates": {"failedGates": ["r2 0.4 is below 0.7"]},
}


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


def test_a_field_that_does_not_exist_is_pointed_out(cluster: Cluster) -> None:
    body = changed(load.training_job("default", "cars"), {"runPolicy.retries": 3})
    assert "spec.runPolicy.retries" in cluster.refused(body)
