"""A model trained and served: every connection that it took is one that the NetworkPolicies admit, and no key is anywhere."""

from __future__ import annotations

import base64
import http.client
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from modelmill.workloads.pod_status import is_ready
from tests.support.cluster import SYSTEM, Cluster
from tests.support.flows import Flow, Listener
from tests.support.lines import inference_service, predict, table, training_job
from tests.support.network_policies import Peer, admitted

MODEL = "shop"
SECONDS = 240
CANARY = "canary-7f3a9c51e2d84b06"


@dataclass
class Story:
    """What was seen while the model came to serve: flows, and the pods by address."""

    cluster: Cluster
    flows: set[Flow] = field(default_factory=set)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)


def note_pods(story: Story) -> bool:
    """Note every pod with its address: that of a finished one is taken away again.

    Those of other namespaces too: the operator asks them as well.
    """
    for pod in story.cluster.kube.list("Pod"):
        address = (pod.get("status") or {}).get("podIP")
        if address:
            story.pods[address] = pod
    return False


@pytest.fixture(scope="module")
def story(cluster: Cluster) -> Story:
    """Train, fail to train, serve, ask; with a Secret that nobody names beside the one that is used."""
    told = Story(cluster)
    cluster.put("data/part.csv", table())
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "unused"}, "stringData": {"x": CANARY}})
    with Listener() as listener:
        broken = training_job(cluster, "broken")
        broken["spec"]["data"]["target"] = "there-is-no-such-column"
        cluster.apply(training_job(cluster, MODEL), broken, inference_service(MODEL, monitoring={}))

        def ready() -> bool:
            note_pods(told)
            status = cluster.status("InferenceService", MODEL)
            return status.get("phase") == "Stable" and bool(cluster.status("TrainingJob", "broken").get("lastRun"))

        cluster.wait("the model to serve and the broken run to end", ready, SECONDS)
        assert predict(cluster, MODEL, x=2.0, z=1.0, colour="red") == pytest.approx(7.0, abs=0.9)
    told.flows = listener.flows
    return told


def peer(story: Story, address: str) -> Peer:
    pod = story.pods.get(address)
    if pod is None:
        return Peer(address)
    return Peer(address, pod["metadata"]["namespace"], pod["metadata"].get("labels") or {})


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or Listener.program() is None,
    reason="only the node's kernel knows them",
)
def test_every_connection_of_our_pods_is_one_that_the_policies_admit(story: Story) -> None:
    cluster = story.cluster
    policies = [
        policy for namespace in (cluster.namespace, SYSTEM) for policy in cluster.kube.list("NetworkPolicy", namespace)
    ]
    names = {policy["metadata"]["name"] for policy in policies}
    assert {f"{MODEL}-training", f"{MODEL}-serving", "broken-training", "modelmill-operator"} <= names
    left = {flow for flow in story.flows if peer(story, flow.source).namespace in {cluster.namespace, SYSTEM}}
    assert {flow.port for flow in left} >= {53, 7070, 6443}, "too few connections were seen to prove anything"
    refused = [
        f"{(peer(story, flow.source).labels or {}).get('app.kubernetes.io/name')} {flow}"
        for flow in left
        if not admitted(policies, peer(story, flow.source), peer(story, flow.target), flow.port, flow.protocol)
    ]
    assert refused == []


def canaries(cluster: Cluster) -> dict[str, str]:
    """Return what no one may ever say: each value of each Secret by what it is, plain and in base64."""
    found = {}
    for namespace in (cluster.namespace, SYSTEM):
        for secret in cluster.kube.list("Secret", namespace):
            if secret.get("type") == "helm.sh/release.v1":
                continue
            for key, value in (secret.get("data") or {}).items():
                plain = base64.b64decode(value).decode()
                if len(plain) >= 16:
                    found[f"{secret['metadata']['name']}/{key}"] = plain
                    found[f"{secret['metadata']['name']}/{key} in base64"] = value.rstrip("=")
    return found


def said(story: Story) -> Iterator[tuple[str, str]]:
    """Yield everything that somebody can read: objects, Events, logs, metrics, the bucket."""
    cluster = story.cluster
    run = cluster.kube.run
    kinds = run("kubectl", "api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    readable = ",".join(kind for kind in kinds if kind != "secrets")
    yield "objects", run("kubectl", "get", readable, "-n", cluster.namespace, "-o", "json", "--show-managed-fields")
    yield "operator's objects", run("kubectl", "get", "pods,deployments,configmaps,leases", "-n", SYSTEM, "-o", "json")
    for pod in cluster.list("Pod"):
        name = pod["metadata"]["name"]
        yield (
            f"log of {name}",
            run("kubectl", "logs", "-n", cluster.namespace, name, "--all-containers", "--ignore-errors"),
        )
    yield "log of the operator", run("kubectl", "logs", "-n", SYSTEM, "deploy/modelmill-operator")
    for server in cluster.list("Pod", "app.kubernetes.io/name=modelmill-server"):
        if is_ready(server):
            yield "metrics of modelmill-server", page(server["status"]["podIP"])
    yield "metrics of modelmill-operator", cluster.wait("the operator's metrics", lambda: operator_page(cluster))
    for item in cluster.s3.list_objects_v2(Bucket=cluster.bucket)["Contents"]:
        body = cluster.s3.get_object(Bucket=cluster.bucket, Key=item["Key"])["Body"].read()
        yield item["Key"], body.decode("latin-1")


def operator_page(cluster: Cluster) -> str:
    """Return the operator's metrics, "" while it is being started anew: another test kills it."""
    try:
        return "".join(page(pod["status"]["podIP"]) for pod in cluster.kube.list("Pod", SYSTEM) if is_ready(pod))
    except OSError:
        return ""


def page(address: str) -> str:
    connection = http.client.HTTPConnection(address, 8080, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_no_value_of_a_secret_is_said_anywhere(story: Story) -> None:
    secret = canaries(story.cluster)
    assert {"unused/x", "keys/AWS_SECRET_ACCESS_KEY", "modelmill-alert-token/token"} <= set(secret)
    places = dict(said(story))
    assert any(place.endswith("report.html") for place in places)
    assert any(place.endswith("manifest.json") for place in places)
    assert {"metrics of modelmill-server", "metrics of modelmill-operator", "log of the operator"} <= set(places)
    assert "shop-1" in places["objects"]
    found = [f"{what} in {place}" for place, text in places.items() for what, value in secret.items() if value in text]
    assert found == []
