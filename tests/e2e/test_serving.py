"""A model is trained, published and served; what it answers is compared by value, and a bad version is taken back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kubernetes.client import ApiException

from tests.support import lines
from tests.support.cluster import Cluster
from tests.support.lines import inference_service, inputs, table, training_job

MODEL = "lines"
ROLLOUT = {"steps": [{"weight": 50}, {"pauseSeconds": 2}], "progressDeadlineSeconds": 120}


def predict(cluster: Cluster, **values: Any) -> float:
    return lines.predict(cluster, MODEL, **values)


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    cluster.put("data/part.csv", table())
    cluster.apply(training_job(cluster, MODEL), inference_service(MODEL, rollout=ROLLOUT, monitoring={}))
    cluster.wait_stable(MODEL)
    return cluster


def test_answers_are_what_the_data_say(served: Cluster) -> None:
    """The data follow y = 3x - z + 2 for red, without noise."""
    assert predict(served, x=2.0, z=1.0, colour="red") == pytest.approx(7.0, abs=0.6)
    difference = predict(served, x=5.0, z=1.0, colour="blue") - predict(served, x=4.0, z=1.0, colour="blue")
    assert difference == pytest.approx(3.0, abs=0.3)


def test_three_protocols_answer_the_same(served: Cluster) -> None:
    row = {"x": 2.0, "z": 1.0, "colour": "red"}
    _, first = served.ask(MODEL, f"/v1/models/{MODEL}:predict", {"instances": [row]})
    _, second = served.ask(MODEL, "/invocations", {"dataframe_records": [row]})
    assert first["predictions"][0] == pytest.approx(predict(served))
    assert second["predictions"][0] == pytest.approx(predict(served))


def test_what_had_gaps_may_be_left_out_and_the_rest_is_asked_for(served: Cluster) -> None:
    assert predict(served, x=None) == pytest.approx(predict(served, x=5.0), abs=3.0)
    whole, path = inputs(x=None), f"/v2/models/{MODEL}/infer"
    code, answer = served.ask(MODEL, path, {"inputs": [one for one in whole if one["name"] != "x"]})
    assert code == 200, answer
    assert answer["outputs"][0]["data"][0] == pytest.approx(predict(served, x=None))
    code, answer = served.ask(MODEL, path, {"inputs": [one for one in whole if one["name"] != "z"]})
    assert code == 400
    assert "z" in answer["error"]


def test_kubernetes_asks_for_health_over_grpc(served: Cluster) -> None:
    """A pod of the same image and artifact, whose probes are `grpc:` ones, becomes ready and is not restarted."""
    (deployment,) = served.list("Deployment", f"modelmill.dev/inference-service={MODEL}")
    spec = copy.deepcopy(deployment["spec"]["template"]["spec"])
    (server,) = spec["containers"]
    server["args"] += ["--grpc-port", "8081"]
    server["startupProbe"] = {"grpc": {"port": 8081}, "periodSeconds": 1, "failureThreshold": 60}
    server["readinessProbe"] = {"grpc": {"port": 8081, "service": "inference.GRPCInferenceService"}, "periodSeconds": 1}
    server["livenessProbe"] = {"grpc": {"port": 8081}, "periodSeconds": 1}
    metadata = {"name": "asked-over-grpc", "labels": {"app": "asked-over-grpc"}}
    served.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    try:
        state = served.wait("the pod to be ready", lambda: ready_state(served, "asked-over-grpc"))
        assert (state["restartCount"], state["started"]) == (0, True)
    finally:
        served.delete("Pod", "asked-over-grpc")


def ready_state(cluster: Cluster, pod: str) -> dict[str, Any] | None:
    states = cluster.status("Pod", pod).get("containerStatuses") or ()
    return next((dict(state) for state in states if state["ready"]), None)


def test_text_in_a_number_is_refused_by_name(served: Cluster) -> None:
    bad = inputs()
    bad[1]["data"] = ["many"]
    code, answer = served.ask(MODEL, f"/v2/models/{MODEL}/infer", {"inputs": bad})
    assert code == 400
    assert "z" in answer["error"]


def test_pods_are_restricted_and_spread_a_budget(served: Cluster) -> None:
    (budget,) = served.list("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    (deployment,) = served.list("Deployment")
    assert deployment["status"]["readyReplicas"] == 2


def test_version_carries_metrics_lineage_and_report(served: Cluster) -> None:
    version = served.get("ModelVersion", f"{MODEL}-1")
    assert float(version["spec"]["metrics"]["r2"]) > 0.9
    assert version["spec"]["lineage"]["dataDigest"].startswith("sha256:")
    prefix = version["spec"]["artifact"]["uri"].removeprefix(f"s3://{served.bucket}/")
    keys = {
        item["Key"].rsplit("/", 1)[-1]
        for item in served.s3.list_objects_v2(Bucket=served.bucket, Prefix=prefix)["Contents"]
    }
    assert {"manifest.json", "profile.json", "golden.json", "report.html"} <= keys


def test_version_is_immutable(served: Cluster) -> None:
    with pytest.raises(ApiException, match="immutable"):
        served.patch("ModelVersion", f"{MODEL}-1", {"spec": {"artifact": {"uri": "s3://other/x/"}}})


def test_hand_made_drift_is_put_back(served: Cluster) -> None:
    (deployment,) = served.list("Deployment")
    name = deployment["metadata"]["name"]
    served.patch("Deployment", name, {"spec": {"replicas": 1}})
    served.wait("two replicas again", lambda: served.get("Deployment", name)["spec"]["replicas"] == 2, 30)


def test_version_that_lies_about_its_digest_is_taken_back(served: Cluster) -> None:
    good = served.get("ModelVersion", f"{MODEL}-1")
    bad = copy.deepcopy({name: good[name] for name in ("apiVersion", "kind", "spec")})
    bad["metadata"] = {"name": f"{MODEL}-99", "labels": {"modelmill.dev/model": MODEL}}
    bad["spec"]["artifact"]["digest"] = "sha256:" + "0" * 64
    bad["spec"].pop("lineage")
    served.apply(bad)
    condition = served.wait(
        "the rollback", lambda: served.condition("InferenceService", MODEL, "RolledBack").get("message"), 120
    )
    assert "container fetch" in condition
    assert "code 3" in condition
    status = served.status("InferenceService", MODEL)
    assert status["stable"]["version"] == f"{MODEL}-1"
    assert predict(served) == pytest.approx(7.0, abs=0.6)
    served.wait("the canary to be gone", lambda: len(served.list("Deployment")) == 1, 60)
    served.delete("ModelVersion", f"{MODEL}-99")


def test_served_version_is_not_deleted(served: Cluster) -> None:
    served.delete("ModelVersion", f"{MODEL}-1")
    held = served.wait(
        "the deletion to be held",
        lambda: served.condition("ModelVersion", f"{MODEL}-1", "Deletable").get("message"),
        30,
    )
    assert MODEL in held
    assert predict(served) == pytest.approx(7.0, abs=0.6)
