"""Traffic by an HTTPRoute through a real gateway, counted from the requests: exact weights, rollback, a route of the user's."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt
from typing import Any
from urllib.parse import urlsplit

from modelmill.kube import labels
from tests.support.cluster import Cluster
from tests.support.lines import inference_service, inputs, table, training_job

MODEL = "lines"
HOST = "lines.example.com"
HEADER = {"name": "x-canary", "value": "yes"}
STEPS = [{"weight": 20}, {"pause": "Manual"}]
REQUESTS = 500
SIGMAS = 4.5
"""A share that is farther from its weight is met by chance once in 150,000 tests."""


def ask(gateway: dict[str, str], count: int, headers: dict[str, str] | None = None) -> Counter[str]:
    """Ask the gateway so many times; return the answers by version, those that failed by their code."""
    answers: Counter[str] = Counter()
    sent = {"Host": HOST, "Content-Type": "application/json", **(headers or {})}
    body = json.dumps({"inputs": inputs()}).encode()
    connection = http.client.HTTPConnection(urlsplit(gateway["url"]).hostname or "", 80, timeout=10)
    for _ in range(count):
        connection.request("POST", f"/v2/models/{MODEL}/infer", body, sent)
        response = connection.getresponse()
        text = response.read()
        answers[json.loads(text)["model_version"] if response.status == 200 else str(response.status)] += 1
    connection.close()
    return answers


@contextmanager
def loaded(gateway: dict[str, str], failed: Counter[str]) -> Iterator[None]:
    """Ask all the time; count what is not answered."""
    over = threading.Event()

    def load() -> None:
        while not over.wait(0.05):
            try:
                failed.update({code: n for code, n in ask(gateway, 1).items() if not code.startswith(MODEL)})
            except (OSError, http.client.HTTPException) as error:
                failed[repr(error)] += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def by_weights(cluster: Cluster, **traffic: Any) -> None:
    rollout = {"steps": STEPS, "analysis": None, "traffic": {"mode": "GatewayAPI", "parentRefs": None, **traffic}}
    cluster.patch("InferenceService", MODEL, {"spec": {"rollout": rollout}})


def annotate(cluster: Cluster, kind: str, **words: str) -> None:
    cluster.patch(
        kind, MODEL, {"metadata": {"annotations": {f"{labels.GROUP}/{name}": text for name, text in words.items()}}}
    )


def wait_canary(cluster: Cluster, version: str) -> None:
    def given() -> bool:
        status = cluster.status("InferenceService", MODEL)
        canary = status.get("canary") or {}
        return status["phase"] == "Paused" and (canary.get("version"), canary.get("actualWeight")) == (version, 20)

    cluster.wait(f"{version} to have its weight", given)


def check_share(answers: Counter[str], version: str, weight: int) -> None:
    count, wanted = answers.total(), answers.total() * weight / 100
    assert set(answers) <= {f"{MODEL}-1", version}
    assert abs(answers[version] - wanted) <= SIGMAS * sqrt(count * weight / 100 * (1 - weight / 100))


def test_weights_are_exact_and_no_request_is_lost(cluster: Cluster, gateway: dict[str, str]) -> None:
    parent = {"name": gateway["name"], "namespace": gateway["namespace"]}
    own = {"mode": "GatewayAPI", "parentRefs": [parent], "hostnames": [HOST]}
    cluster.put("data/part.csv", table())
    service = inference_service(MODEL, rollout={"steps": [{"headerRoute": HEADER}, *STEPS], "traffic": own})
    cluster.apply(training_job(cluster, MODEL), service)
    cluster.wait_stable(MODEL, f"{MODEL}-1")
    cluster.wait("the gateway to answer", lambda: set(ask(gateway, 1)) == {f"{MODEL}-1"})
    failed: Counter[str] = Counter()
    with loaded(gateway, failed):
        cluster.put("data/part.csv", table(slope=2.5))
        annotate(cluster, "TrainingJob", run="second")
        wait_canary(cluster, f"{MODEL}-2")
        check_share(ask(gateway, REQUESTS), f"{MODEL}-2", 20)
        assert ask(gateway, 50, {HEADER["name"]: HEADER["value"]}) == {f"{MODEL}-2": 50}
        inside = {
            cluster.ask(MODEL, f"/v2/models/{MODEL}/infer", {"inputs": inputs()})[1]["model_version"] for _ in range(20)
        }
        assert inside == {f"{MODEL}-1"}, "inside the cluster the stable version answers"
        annotate(cluster, "InferenceService", abort="now")
        cluster.wait("it is taken back", lambda: cluster.status("InferenceService", MODEL)["phase"] == "RolledBack")
        assert ask(gateway, 100) == {f"{MODEL}-1": 100}
        theirs_too(cluster, gateway, parent)
    assert failed == {}


def theirs_too(cluster: Cluster, gateway: dict[str, str], parent: dict[str, str]) -> None:
    """Go on with a route of the user's, to the promotion."""
    backends = [{"name": name, "port": 80, "weight": 1} for name in (MODEL, f"{MODEL}-canary")]
    theirs = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "front"},
        "spec": {
            "parentRefs": [parent],
            "hostnames": [HOST],
            "rules": [
                {"matches": [{"path": {"type": "Exact", "value": "/nowhere"}}], "backendRefs": backends[:1]},
                {"timeouts": {"request": "9s"}, "backendRefs": backends},
            ],
        },
    }
    cluster.kube.run("kubectl", "apply", "-n", cluster.namespace, "-f", "-", text=json.dumps(theirs))
    by_weights(cluster, hostnames=None, routeRef={"name": "front"})
    annotate(cluster, "InferenceService", retry="with theirs")
    wait_canary(cluster, f"{MODEL}-2")
    check_share(ask(gateway, REQUESTS), f"{MODEL}-2", 20)
    route = json.loads(cluster.kube.run("kubectl", "get", "httproute", "front", "-n", cluster.namespace, "-o", "json"))
    untouched, ours = route["spec"]["rules"]
    assert [one["weight"] for one in untouched["backendRefs"]] == [1]
    assert ours["timeouts"] == {"request": "9s"}
    assert [one["weight"] for one in ours["backendRefs"]] == [80, 20]
    made = cluster.kube.run("kubectl", "get", "httproute", "-n", cluster.namespace, "-o", "name").split()
    assert made == ["httproute.gateway.networking.k8s.io/front"]
    annotate(cluster, "InferenceService", resume="go on")
    cluster.wait_stable(MODEL, f"{MODEL}-2")
    cluster.wait("all requests", lambda: ask(gateway, 50) == {f"{MODEL}-2": 50}, 60)
