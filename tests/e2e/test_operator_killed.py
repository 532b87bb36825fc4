"""The operator is killed at the worst moments; the outcome is the same: no second Job, nothing lost."""

from __future__ import annotations

import http.client
import threading
import time
from typing import Any

import pytest

from tests.e2e.conftest import Cluster, dumps, inference_service, table, training_job

MODEL = "killed"
ROLLOUT: dict[str, Any] = {"steps": [{"weight": 50}, {"pauseSeconds": 8}]}


def annotate(cluster: Cluster, token: str) -> None:
    cluster.kube.run(
        "kubectl",
        "annotate",
        "trainingjobs.modelmill.dev",
        MODEL,
        "-n",
        cluster.namespace,
        "--overwrite",
        f"modelmill.dev/run={token}",
    )


def last_run(cluster: Cluster) -> dict[str, Any]:
    return dict(cluster.status("trainingjobs", MODEL).get("lastRun") or {})


def finished(cluster: Cluster, number: int) -> None:
    cluster.wait(f"run {number}", lambda: last_run(cluster).get("number") == number, 240)
    assert last_run(cluster)["outcome"] == "Published", last_run(cluster)


def jobs_of_run(cluster: Cluster, number: int) -> list[dict[str, Any]]:
    return cluster.list("jobs", f"modelmill.dev/run-number={number}")


@pytest.fixture(scope="module")
def killed(cluster: Cluster) -> Cluster:
    cluster.put("data/part.csv", table())
    return cluster


def test_while_the_job_of_a_run_starts(killed: Cluster) -> None:
    killed.apply(training_job(killed, MODEL, triggers={"alerts": {"enabled": True}}, retrain={"cooldownSeconds": 0}))
    killed.wait("the Job", lambda: jobs_of_run(killed, 1), 60)
    killed.kill_operator()
    finished(killed, 1)
    assert len(jobs_of_run(killed, 1)) == 1


def test_between_result_and_version(killed: Cluster) -> None:
    annotate(killed, "two")
    job = killed.wait("the Job", lambda: jobs_of_run(killed, 2), 60)[0]["metadata"]["name"]

    def published() -> bool:
        pods = killed.list("pods", f"job-name={job}")
        states = [s["state"] for pod in pods for s in pod["status"].get("containerStatuses", ())]
        return any("terminated" in state for state in states)

    killed.wait("the result", published, 120)
    killed.kill_operator()
    finished(killed, 2)
    versions = [v["metadata"]["name"] for v in killed.list("modelversions.modelmill.dev")]
    assert versions == [f"{MODEL}-1", f"{MODEL}-2"]
    assert len(jobs_of_run(killed, 2)) == 1


def test_at_canary_weight_under_traffic(killed: Cluster) -> None:
    retrain = {"trainingJob": MODEL, "alerts": ["Drift"]}
    killed.apply(inference_service(MODEL, rollout=ROLLOUT, monitoring={"retrain": retrain}))
    killed.wait("the first version", lambda: killed.status("inferenceservices", MODEL).get("phase") == "Stable", 180)
    annotate(killed, "three")
    finished(killed, 3)
    failures: list[str] = []
    stop = threading.Event()
    address = killed.get("service", MODEL)["spec"]["clusterIP"]
    sender = threading.Thread(target=_send, args=(address, stop, failures))
    sender.start()
    try:
        killed.wait("the canary", lambda: killed.status("inferenceservices", MODEL).get("phase") == "RollingOut", 60)
        killed.kill_operator()
        killed.wait(
            "the promotion",
            lambda: killed.status("inferenceservices", MODEL)["stable"]["version"] == f"{MODEL}-3",
            180,
        )
        killed.wait("one Deployment", lambda: len(killed.list("deployments")) == 1, 60)
    finally:
        stop.set()
        sender.join(10)
    assert failures == []
    history = killed.status("inferenceservices", MODEL)["history"]
    assert [entry["outcome"] for entry in history] == ["Serving", "Replaced"]


def test_just_after_an_alert(killed: Cluster) -> None:
    assert deliver(killed, "one") == 200
    killed.kill_operator()
    finished(killed, 4)
    assert last_run(killed)["reason"] == "Alert"
    assert len(jobs_of_run(killed, 4)) == 1
    killed.wait(
        "the promotion", lambda: killed.status("inferenceservices", MODEL)["stable"]["version"] == f"{MODEL}-4", 180
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
    service = cluster.kube.get("service", "modelmill-operator", "-n", "modelmill-system") or {}
    token = cluster.kube.status["alert_token"]

    def answered() -> int | None:
        connection = http.client.HTTPConnection(service["spec"]["clusterIP"], 8080, timeout=5)
        try:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", "/alerts", dumps(body), headers)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    return int(cluster.wait("the operator to answer", answered, 60))


def _send(address: str, stop: threading.Event, failures: list[str]) -> None:
    while not stop.is_set():
        connection = http.client.HTTPConnection(address, 80, timeout=5)
        try:
            connection.request("GET", "/v2/health/ready")
            code = connection.getresponse().status
            if code != 200:
                failures.append(str(code))
        except OSError as error:
            failures.append(repr(error))
        finally:
            connection.close()
        time.sleep(0.05)
