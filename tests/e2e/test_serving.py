"""A model is trained, published and served; what it answers is compared by value, and a bad version is taken back."""

from __future__ import annotations

import copy
import http.client
import json
from typing import Any

import pytest

from tests.e2e.conftest import Cluster, dumps, inference_service, table, training_job

MODEL = "lines"
ROLLOUT = {"steps": [{"weight": 50}, {"pauseSeconds": 2}], "progressDeadlineSeconds": 120}


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    cluster.put("data/part.csv", table())
    cluster.apply(training_job(cluster, MODEL), inference_service(MODEL, rollout=ROLLOUT, monitoring={}))
    cluster.wait(
        "the service to be stable", lambda: cluster.status("inferenceservices", MODEL).get("phase") == "Stable"
    )
    return cluster


def ask(cluster: Cluster, path: str, body: Any | None = None) -> tuple[int, Any]:
    address = cluster.get("service", MODEL)["spec"]["clusterIP"]
    connection = http.client.HTTPConnection(address, 80, timeout=10)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None
    finally:
        connection.close()


def inputs(x: float | None = 2.0, z: float = 1.0, colour: str = "red") -> list[dict[str, Any]]:
    return [
        {"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [x]},
        {"name": "z", "shape": [1, 1], "datatype": "FP64", "data": [z]},
        {"name": "colour", "shape": [1, 1], "datatype": "BYTES", "data": [colour]},
    ]


def predict(cluster: Cluster, **values: Any) -> float:
    code, answer = ask(cluster, f"/v2/models/{MODEL}/infer", {"inputs": inputs(**values)})
    assert code == 200, answer
    return float(answer["outputs"][0]["data"][0])


def test_answers_are_what_the_data_say(served: Cluster) -> None:
    """The data follow y = 3x - z + 2 for red, without noise."""
    assert predict(served, x=2.0, z=1.0, colour="red") == pytest.approx(7.0, abs=0.6)
    difference = predict(served, x=5.0, z=1.0, colour="blue") - predict(served, x=4.0, z=1.0, colour="blue")
    assert difference == pytest.approx(3.0, abs=0.3)


def test_three_protocols_answer_the_same(served: Cluster) -> None:
    row = {"x": 2.0, "z": 1.0, "colour": "red"}
    _, first = ask(served, f"/v1/models/{MODEL}:predict", {"instances": [row]})
    _, second = ask(served, "/invocations", {"dataframe_records": [row]})
    assert first["predictions"][0] == pytest.approx(predict(served))
    assert second["predictions"][0] == pytest.approx(predict(served))


def test_missing_value_is_imputed_and_missing_feature_is_refused(served: Cluster) -> None:
    assert predict(served, x=None) == pytest.approx(predict(served, x=5.0), abs=3.0)
    code, answer = ask(served, f"/v2/models/{MODEL}/infer", {"inputs": inputs()[1:]})
    assert code == 400
    assert "x" in answer["error"]


def test_text_in_a_number_is_refused_by_name(served: Cluster) -> None:
    bad = inputs()
    bad[1]["data"] = ["many"]
    code, answer = ask(served, f"/v2/models/{MODEL}/infer", {"inputs": bad})
    assert code == 400
    assert "z" in answer["error"]


def test_pods_are_restricted_and_spread_a_budget(served: Cluster) -> None:
    (budget,) = served.list("poddisruptionbudgets")
    assert budget["spec"]["maxUnavailable"] == 1
    (deployment,) = served.list("deployments")
    assert deployment["status"]["readyReplicas"] == 2


def test_version_carries_metrics_lineage_and_report(served: Cluster) -> None:
    version = served.get("modelversions.modelmill.dev", f"{MODEL}-1")
    assert float(version["spec"]["metrics"]["r2"]) > 0.9
    assert version["spec"]["lineage"]["dataDigest"].startswith("sha256:")
    prefix = version["spec"]["artifact"]["uri"].removeprefix(f"s3://{served.bucket}/")
    keys = {
        item["Key"].rsplit("/", 1)[-1]
        for item in served.s3.list_objects_v2(Bucket=served.bucket, Prefix=prefix)["Contents"]
    }
    assert {"manifest.json", "profile.json", "golden.json", "report.html"} <= keys


def test_version_is_immutable(served: Cluster) -> None:
    patch = '{"spec":{"artifact":{"uri":"s3://other/x/"}}}'
    with pytest.raises(Exception, match="immutable"):
        served.kube.run(
            "kubectl",
            "patch",
            "modelversions.modelmill.dev",
            f"{MODEL}-1",
            "-n",
            served.namespace,
            "--type=merge",
            "-p",
            patch,
        )


def test_hand_made_drift_is_put_back(served: Cluster) -> None:
    (deployment,) = served.list("deployments")
    name = deployment["metadata"]["name"]
    served.kube.run("kubectl", "scale", "deployment", name, "-n", served.namespace, "--replicas=1")
    served.wait("two replicas again", lambda: served.get("deployment", name)["spec"]["replicas"] == 2, 30)


def test_version_that_lies_about_its_digest_is_taken_back(served: Cluster) -> None:
    good = served.get("modelversions.modelmill.dev", f"{MODEL}-1")
    bad = copy.deepcopy({name: good[name] for name in ("apiVersion", "kind", "spec")})
    bad["metadata"] = {"name": f"{MODEL}-99", "labels": {"modelmill.dev/model": MODEL}}
    bad["spec"]["artifact"]["digest"] = "sha256:" + "0" * 64
    bad["spec"].pop("lineage")
    served.apply(bad)
    condition = served.wait(
        "the rollback", lambda: served.condition("inferenceservices", MODEL, "RolledBack").get("message"), 120
    )
    assert "container fetch" in condition
    assert "code 3" in condition
    status = served.status("inferenceservices", MODEL)
    assert status["stable"]["version"] == f"{MODEL}-1"
    assert predict(served) == pytest.approx(7.0, abs=0.6)
    served.wait("the canary to be gone", lambda: len(served.list("deployments")) == 1, 60)
    served.kube.run("kubectl", "delete", "modelversions.modelmill.dev", f"{MODEL}-99", "-n", served.namespace)


def test_served_version_is_not_deleted(served: Cluster) -> None:
    served.kube.run(
        "kubectl", "delete", "modelversions.modelmill.dev", f"{MODEL}-1", "-n", served.namespace, "--wait=false"
    )
    held = served.wait(
        "the deletion to be held",
        lambda: served.condition("modelversions", f"{MODEL}-1", "Deletable").get("message"),
        30,
    )
    assert MODEL in held
    assert predict(served) == pytest.approx(7.0, abs=0.6)
