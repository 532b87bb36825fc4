"""Rollouts by the real operator on a real API server; the test plays the Deployment controller and the kubelet."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from hack.bench import load
from hack.bench.operator_process import OperatorProcess
from tests.integration.serving.released import NAME, release
from tests.support.api_server import LEASE, Cluster, Start

pytestmark = pytest.mark.integration

ROLLOUT = {"steps": [{"weight": 50}, {"pauseSeconds": 6}], "progressDeadlineSeconds": 120}
CHECK = {"metric": "ErrorRatio", "maximum": "0.01"}
CORRUPT = json.dumps(
    {"v": 1, "outcome": "Failed", "reason": "ArtifactCorrupt", "reasons": ["model.onnx: other digest"]}
)


class Pods:
    """Makes the pods that the Deployments want. Those of a version in `broken` end with code 3, the others are ready."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.broken: set[str] = set()
        self.made = 0
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": namespace},
        }
        cluster.apply(account)

    def play(self) -> dict[str, Any]:
        """Do one round; return the status of the service."""
        deployments = {one["metadata"]["uid"]: one for one in self.cluster.items("deployments", self.namespace)}
        sets = {owner_of(one): one for one in self.cluster.items("replicasets", self.namespace)}
        pods = [pod for pod in self.cluster.items("pods", self.namespace) if "ownerReferences" in pod["metadata"]]
        for uid, one in sets.items():
            if uid not in deployments:
                name = one["metadata"]["name"]
                self.cluster.kubectl("delete", "replicaset", name, "-n", self.namespace, "--cascade=background")
        for pod in pods:
            if owner_of(pod) not in {one["metadata"]["uid"] for uid, one in sets.items() if uid in deployments}:
                self._delete(pod)
        for uid, deployment in deployments.items():
            if uid not in sets:
                sets[uid] = self._create_set(deployment)
            mine = [pod for pod in pods if owner_of(pod) == sets[uid]["metadata"]["uid"]]
            wanted = deployment["spec"]["replicas"]
            for pod in mine[wanted:]:
                self._delete(pod)
            for _ in range(wanted - len(mine)):
                self._create(sets[uid])
        return self.cluster.status("inferenceservices", self.namespace, NAME)

    def _delete(self, pod: dict[str, Any]) -> None:
        self.cluster.kubectl(
            "delete", "pod", pod["metadata"]["name"], "-n", self.namespace, "--grace-period=0", "--force"
        )

    def _create_set(self, deployment: dict[str, Any]) -> dict[str, Any]:
        spec = deployment["spec"]
        made = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": self._meta(f"{deployment['metadata']['name']}-set", deployment, spec["template"]),
            "spec": {"replicas": spec["replicas"], "selector": spec["selector"], "template": spec["template"]},
        }
        answer = self.cluster.kubectl("create", "-f", "-", "-o", "json", text=json.dumps(made))
        return dict(json.loads(answer))

    def _meta(self, name: str, owner: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
        reference = {
            "apiVersion": "apps/v1",
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
        labels = template["metadata"]["labels"]
        return {"name": name, "namespace": self.namespace, "labels": labels, "ownerReferences": [reference]}

    def _create(self, owner: dict[str, Any]) -> None:
        self.made += 1
        template = owner["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self._meta(f"pod-{self.made}", owner, template),
            "spec": {**template["spec"], "nodeName": "none"},
        }
        self.cluster.kubectl("create", "-f", "-", text=json.dumps(pod))
        broken = template["metadata"]["labels"]["modelmill.dev/model-version"] in self.broken
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {
            "terminated": {"exitCode": 3, "reason": "Error", "message": CORRUPT, "startedAt": now, "finishedAt": now}
        }
        fetch = {"name": "fetch", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": ended}
        condition = {"type": "Ready", "status": "False" if broken else "True", "lastTransitionTime": now}
        status = {
            "phase": "Pending" if broken else "Running",
            "conditions": [condition],
            "initContainerStatuses": [fetch] if broken else [],
        }
        patch = json.dumps({"status": status})
        name = f"pod-{self.made}"
        self.cluster.kubectl(
            "patch", "pod", name, "-n", self.namespace, "--subresource=status", "--type=merge", "-p", patch
        )


def owner_of(child: dict[str, Any]) -> str:
    """Return the uid of the object that the child belongs to."""
    return str(child["metadata"]["ownerReferences"][0]["uid"])


@pytest.fixture
def operator(start: Start) -> OperatorProcess:
    return start()


@pytest.fixture
def pods(cluster: Cluster, namespace: str, operator: OperatorProcess) -> Pods:
    """A service of two pods that serves cars-1."""
    release(cluster, namespace, 1)
    service = load.inference_service(namespace, NAME)
    service["spec"] |= {"rollout": ROLLOUT, "replicas": 2}
    cluster.apply(service)
    found = Pods(cluster, namespace)
    cluster.eventually(lambda: found.play().get("phase") == "Stable", "cars-1 serves")
    return found


def serves(status: dict[str, Any], version: str, phase: str = "Stable") -> bool:
    return status.get("phase") == phase and status["stable"]["version"] == version


def uids_of(cluster: Cluster, namespace: str, version: str) -> set[str]:
    return {
        pod["metadata"]["uid"]
        for pod in cluster.items("pods", namespace)
        if pod["metadata"]["labels"]["modelmill.dev/model-version"] == version
    }


def test_promotion_with_an_operator_that_is_killed_half_way(
    cluster: Cluster, namespace: str, pods: Pods, operator: OperatorProcess, start: Start
) -> None:
    cluster.audit.mark()
    release(cluster, namespace, 2)
    cluster.eventually(lambda: pods.play().get("weight") == "50/50", "half of the traffic")
    canary = uids_of(cluster, namespace, "cars-2")
    operator.kill()
    cluster.kubectl("delete", *LEASE)
    start("second")
    cluster.eventually(lambda: serves(pods.play(), "cars-2"), "cars-2 serves")
    cluster.eventually(lambda: len(cluster.items("deployments", namespace)) == 1, "cars-1 is gone")
    assert canary <= uids_of(cluster, namespace, "cars-2")
    history = cluster.status("inferenceservices", namespace, NAME)["history"]
    assert [(one["version"], one["outcome"]) for one in history] == [("cars-2", "Serving"), ("cars-1", "Replaced")]
    assert cluster.audit.tally().taken["inferenceservices/status"] <= 12, cluster.audit.write_lines()


def test_rollback_and_retry(cluster: Cluster, namespace: str, pods: Pods) -> None:
    pods.broken = {"cars-2"}
    release(cluster, namespace, 2)
    cluster.eventually(lambda: serves(pods.play(), "cars-1", "RolledBack"), "the rollback")
    status = cluster.status("inferenceservices", namespace, NAME)
    assert status["failedMessage"] == "ArtifactCorrupt: container fetch exited with code 3: model.onnx: other digest"
    cluster.eventually(lambda: len(cluster.items("deployments", namespace)) == 1, "cars-2 is gone")
    selector = cluster.items("services", namespace)[0]["spec"]["selector"]
    assert selector["modelmill.dev/revision"] == status["stable"]["revision"]
    cluster.eventually(lambda: pods.play() and not uids_of(cluster, namespace, "cars-2"), "its pods are gone")
    pods.broken = set()
    cluster.kubectl("annotate", "inferenceservices.modelmill.dev", NAME, "-n", namespace, "modelmill.dev/retry=now")
    cluster.eventually(lambda: serves(pods.play(), "cars-2"), "cars-2 serves")
    assert "failedRevision" not in cluster.status("inferenceservices", namespace, NAME)


def test_scaling_by_the_subresource(cluster: Cluster, namespace: str, pods: Pods) -> None:
    for replicas, budgets in ((1, 0), (0, 0), (3, 1)):
        service = f"inferenceservices.modelmill.dev/{NAME}"
        cluster.kubectl("scale", service, "-n", namespace, f"--replicas={replicas}")
        wanted = f"{replicas}/{replicas}"
        cluster.eventually(lambda wanted=wanted: pods.play().get("readyReplicas") == wanted, f"{wanted} pods")
        assert len(cluster.items("poddisruptionbudgets", namespace)) == budgets


def test_release_of_the_operator_with_another_server_image_changes_no_pod_by_itself(
    cluster: Cluster, namespace: str, pods: Pods, operator: OperatorProcess, start: Start
) -> None:
    before = uids_of(cluster, namespace, "cars-1")
    operator.kill()
    cluster.kubectl("delete", *LEASE)
    cluster.audit.mark()
    nobody = {"MODELMILL_MAX_CONCURRENT_ROLLOUTS": "0"}
    start("second", server_image="localhost/modelmill-server:next", settings=nobody)
    older = "the service says that its server is of an older release"
    cluster.eventually(lambda: cluster.status("inferenceservices", namespace, NAME).get("server") == "Older", older)
    written = cluster.audit.write_lines()
    assert all(f"/inferenceservices/{NAME}/status" in line for line in written), written
    cluster.kubectl("scale", f"inferenceservices.modelmill.dev/{NAME}", "-n", namespace, "--replicas=3")
    cluster.eventually(lambda: pods.play().get("readyReplicas") == "3/3", "three pods")
    images = {pod["spec"]["containers"][0]["image"] for pod in cluster.items("pods", namespace)}
    assert images == {"localhost/modelmill-server:bench"}
    assert before < uids_of(cluster, namespace, "cars-1")
    release(cluster, namespace, 2)
    cluster.eventually(lambda: serves(pods.play(), "cars-2"), "cars-2 serves")
    status = cluster.status("inferenceservices", namespace, NAME)
    assert status["stable"]["serverImage"] == "localhost/modelmill-server:next"


def test_pod_that_only_carries_our_labels_is_none_of_ours(cluster: Cluster, namespace: str, pods: Pods) -> None:
    (one, *_) = cluster.items("pods", namespace)
    forged = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "forged", "namespace": namespace, "labels": one["metadata"]["labels"]},
        "spec": {"containers": [{"name": "server", "image": "x"}], "nodeName": "none"},
    }
    cluster.kubectl("create", "-f", "-", text=json.dumps(forged))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]}}
    patch = json.dumps(ready)
    cluster.kubectl("patch", "pod", "forged", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    cluster.kubectl("scale", f"inferenceservices.modelmill.dev/{NAME}", "-n", namespace, "--replicas=3")
    cluster.eventually(
        lambda: cluster.status("inferenceservices", namespace, NAME).get("readyReplicas") == "2/3",
        "two of three pods are ready",
    )
    cluster.kubectl("delete", "pod", "forged", "-n", namespace, "--grace-period=0", "--force")


RELEASES: dict[str, tuple[dict[str, Any], str]] = {
    "direct with steps": ({"strategy": "Direct", "steps": [{"weight": 50}]}, "strategy Direct takes neither steps"),
    "analysis without a measured step": (
        {"analysis": {"checks": [CHECK]}, "steps": [{"weight": 100}]},
        "analysis needs a step with a weight below 100",
    ),
    "smaller weights": ({"steps": [{"weight": 50}, {"weight": 20}]}, "weights of the steps must not become smaller"),
}


@pytest.mark.parametrize("name", RELEASES)
def test_rollout_that_cannot_work_is_refused(cluster: Cluster, name: str) -> None:
    rollout, words = RELEASES[name]
    service = load.inference_service("default", NAME)
    service["spec"]["rollout"] = rollout
    assert words in cluster.refused(service)


def test_analysis_without_steps_is_taken(cluster: Cluster, namespace: str) -> None:
    service = load.inference_service(namespace, NAME)
    service["spec"]["rollout"] = {"analysis": {"checks": [CHECK]}}
    cluster.apply(service)


@pytest.mark.parametrize("name", ["a.b", "1a", "a" * 45])
def test_name_that_a_service_cannot_have_is_refused(cluster: Cluster, name: str) -> None:
    service = load.inference_service("default", name)
    service["spec"]["model"]["name"] = NAME
    assert "beginning with a letter" in cluster.refused(service)
