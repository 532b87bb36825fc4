"""No request fails while versions are rolled out and aborted, pods go, replicas change, and operator and API server are away.

A sample runs here; `make proof-serving` runs it with a million requests: MODELMILL_SERVING_REQUESTS.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.lines import inference_service, release, table, training_job
from tests.support.open_loop import Running

ALONE = True
MODEL = "watched"
REQUESTS = int(os.environ.get("MODELMILL_SERVING_REQUESTS", "100000"))
RATE = float(os.environ.get("MODELMILL_SERVING_RATE", "300"))
ROUNDS = max(2, REQUESTS // 20_000)
"""One promoted rollout and one aborted one each: 50 of both in a million requests."""
API_SERVER_SECONDS = 300 if REQUESTS >= 1_000_000 else 20
ROLLOUT: dict[str, Any] = {
    "steps": [{"weight": 50}, {"pauseSeconds": 3}],
    "analysis": {
        "intervalSeconds": 2,
        "minRequests": 20,
        "checks": [{"metric": "ErrorRatio", "maximum": "0.01"}],
    },
}


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    cluster.put("data/part.csv", table())
    cluster.apply(training_job(cluster, MODEL), inference_service(MODEL, rollout=ROLLOUT))
    cluster.wait_stable(MODEL)
    return cluster


def status(cluster: Cluster) -> dict[str, Any]:
    return cluster.status("InferenceService", MODEL)


def one_round(cluster: Cluster, number: int) -> None:
    """Promote a version, take another one back at half of the traffic, and let a pod go or come."""
    version = release(cluster, MODEL, 2 * number)
    cluster.wait_stable(MODEL, version, 120)
    aborted = release(cluster, MODEL, 2 * number + 1)
    cluster.wait("traffic of the canary", lambda: (status(cluster).get("canary") or {}).get("actualWeight", 0) > 0, 120)
    cluster.kube.annotate("InferenceService", MODEL, cluster.namespace, abort=f"round {number}")
    cluster.wait(
        "the rollback", lambda: status(cluster).get("failedRevision") and not status(cluster).get("canary"), 120
    )
    assert aborted == status(cluster)["history"][0]["version"]
    if number % 5 in {1, 3}:
        pod = cluster.list("Pod", f"modelmill.dev/inference-service={MODEL}")[0]["metadata"]["name"]
        cluster.delete("Pod", pod)
    if number % 4 == 1:
        cluster.patch("InferenceService", MODEL, {"spec": {"replicas": 3}})
        cluster.wait("three pods", lambda: status(cluster)["stable"]["ready"] == 3, 60)
        cluster.patch("InferenceService", MODEL, {"spec": {"replicas": 2}})


@contextmanager
def api_server_stopped(cluster: Cluster) -> Iterator[None]:
    """Stop the API server's process, and let it go on afterwards."""
    root = Path(str(cluster.kube.status["kubeconfig"])).parent
    pid = int(json.loads((root / "processes.json").read_text())["kube-apiserver"]["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_no_request_fails_whatever_goes_on(served: Cluster) -> None:
    killed = time.monotonic()
    with Running(served.address(MODEL), MODEL, RATE, REQUESTS) as load:
        for number in range(1, ROUNDS + 1):
            one_round(served, number)
            if time.monotonic() - killed > 60 or number == 1:
                served.kill_operator()
                killed = time.monotonic()
        with api_server_stopped(served):
            time.sleep(API_SERVER_SECONDS)
        served.wait("the API server", lambda: status(served).get("phase"), 60)
        while not load.done():
            time.sleep(1)
    print(json.dumps(load.account))
    assert not load.account["failures"], load.account
    assert sum(load.account["sent"].values()) == REQUESTS
    assert len(load.account["versions"]) > ROUNDS


def test_pod_that_is_killed_takes_only_what_it_held(served: Cluster) -> None:
    """Every process of one of three pods is ended by SIGKILL. A connection to it is refused until the kubelet knows."""
    served.patch("InferenceService", MODEL, {"spec": {"replicas": 3}})
    served.wait("three pods", lambda: status(served)["stable"]["ready"] == 3, 90)
    pod = served.list("Pod", f"modelmill.dev/inference-service={MODEL}")[0]
    with Running(served.address(MODEL), MODEL, 100, 3000) as load:
        time.sleep(8)
        for pid in processes_of(pod["metadata"]["uid"]):
            os.kill(pid, signal.SIGKILL)
        while not load.done():
            time.sleep(1)
    print(json.dumps(load.account))
    told = load.account["failures"]
    held = [one for one in told if "ConnectionRefused" not in one]
    assert len(held) <= 20, load.account
    times = [float(one.split()[0]) for one in told]
    assert not times or max(times) - min(times) < 10, "it went on to fail"


def processes_of(uid: str) -> list[int]:
    """Return the processes of the pod's containers, but not the one that holds its sandbox."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            group, command = (folder / "cgroup").read_text(), (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if uid in group and b"modelmill_server" in command:
            found.append(int(folder.name))
    assert found, "no process of the pod is seen from here"
    return found
