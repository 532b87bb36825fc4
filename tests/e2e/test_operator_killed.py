"""The operator is killed at the worst moments; the outcome is the same: no second Job, nothing lost."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

import pytest

from tests.support.cluster import SYSTEM, Cluster
from tests.support.lines import Predictions, inference_service, table, training_job

MODEL = "killed"
ALONE = True
ROLLOUT: dict[str, Any] = {"steps": [{"weight": 50}, {"pauseSeconds": 8}]}


def annotate(cluster: Cluster, token: str) -> None:
    cluster.kube.annotate("TrainingJob", MODEL, cluster.namespace, run=token)


def last_run(cluster: Cluster) -> dict[str, Any]:
    return dict(cluster.status("TrainingJob", MODEL).get("lastRun") or {})


def finished(cluster: Cluster, number: int) -> None:
    cluster.wait(f"run {number}", lambda: last_run(cluster).get("number") == number, 240)
    assert last_run(cluster)["outcome"] == "Published", last_run(cluster)


def jobs_of_run(cluster: Cluster, number: int) -> list[dict[str, Any]]:
    return cluster.list("Job", f"modelmill.dev/run-number={number}")


@pytest.fixture(scope="module")
def killed(cluster: Cluster) -> Cluster:
    cluster.put("data/part.csv", table())
    return cluster


def test_while_the_job_of_a_run_starts(killed: Cluster) -> None:
    # The data stay as they are: an alert would wait for rows.
    alerts = {"enabled": True, "minNewRows": 0}
    killed.apply(training_job(killed, MODEL, triggers={"alerts": alerts}, retrain={"cooldownSeconds": 0}))
    killed.wait("the Job", lambda: jobs_of_run(killed, 1), 60)
    killed.kill_operator()
    finished(killed, 1)
    assert len(jobs_of_run(killed, 1)) == 1


def test_between_result_and_version(killed: Cluster) -> None:
    annotate(killed, "two")
    job = killed.wait("the Job", lambda: jobs_of_run(killed, 2), 60)[0]["metadata"]["name"]

    def published() -> bool:
        pods = killed.list("Pod", f"job-name={job}")
        states = [s["state"] for pod in pods for s in pod["status"].get("containerStatuses", ())]
        return any("terminated" in state for state in states)

    killed.wait("the result", published, 120)
    killed.kill_operator()
    finished(killed, 2)
    versions = [v["metadata"]["name"] for v in killed.list("ModelVersion")]
    assert versions == [f"{MODEL}-1", f"{MODEL}-2"]
    assert len(jobs_of_run(killed, 2)) == 1


def test_at_canary_weight_under_traffic(killed: Cluster) -> None:
    retrain = {"trainingJob": MODEL, "alerts": ["Drift"]}
    killed.apply(inference_service(MODEL, rollout=ROLLOUT, monitoring={"retrain": retrain}))
    killed.wait("the first version", lambda: killed.status("InferenceService", MODEL).get("phase") == "Stable", 180)
    annotate(killed, "three")
    finished(killed, 3)
    with Predictions(killed.address(MODEL), MODEL) as predictions:
        killed.wait("the canary", lambda: killed.status("InferenceService", MODEL).get("phase") == "RollingOut", 60)
        killed.kill_operator()
        killed.wait_stable(MODEL, f"{MODEL}-3")
        killed.wait("one Deployment", lambda: len(killed.list("Deployment")) == 1, 60)
        before = predictions.versions.get(f"{MODEL}-3", 0)
        killed.wait("answers of the new version", lambda: predictions.versions.get(f"{MODEL}-3", 0) > before + 40, 60)
    predictions.check(at_least=100)
    assert set(predictions.versions) == {f"{MODEL}-2", f"{MODEL}-3"}
    history = killed.status("InferenceService", MODEL)["history"]
    assert [entry["outcome"] for entry in history] == ["Serving", "Replaced"]


def test_just_after_an_alert(killed: Cluster) -> None:
    killed.put("data/more.csv", table(rows=30))
    assert deliver(killed, "one") == 200
    killed.kill_operator()
    finished(killed, 4)
    assert last_run(killed)["reason"] == "Alert"
    assert len(jobs_of_run(killed, 4)) == 1
    killed.wait(
        "the promotion", lambda: killed.status("InferenceService", MODEL)["stable"]["version"] == f"{MODEL}-4", 180
    )
    assert deliver(killed, "one") == 200, "the same episode again"
    time.sleep(5)
    assert last_run(killed)["number"] == 4
    assert jobs_of_run(killed, 5) == []


def deliver(cluster: Cluster, fingerprint: str) -> int:
    """Post an alert as Alertmanager does (webhook version 4); return the answer's code."""
    labels = {
        "alertname": "ModelmillFeatureDrift",
        "modelmill_kind": "Drift",
        "namespace": cluster.namespace,
        "inferenceservice": MODEL,
        "feature": "x",
    }
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "x drifted", "value": "3.1"},
        "startsAt": "2026-01-02T03:04:05Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": fingerprint,
    }
    body = {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "modelmill", "alerts": [alert]}
    service = cluster.kube.get("Service", "modelmill-operator", SYSTEM) or {}
    token = cluster.kube.status["alert_token"]

    def answered() -> int | None:
        connection = http.client.HTTPConnection(service["spec"]["clusterIP"], 8080, timeout=5)
        try:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", "/alerts", json.dumps(body), headers)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    return int(cluster.wait("the operator to answer", answered, 60))
