"""An operator that starts with everything in place writes nothing; what is changed by hand is put back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hack.bench import load
from tests.support.api_server import Cluster, Start, objects_of_each_kind
from tests.support.operated import all_serve

pytestmark = pytest.mark.integration


def test_restart_with_many_objects_writes_nothing(cluster: Cluster, namespace: str, start: Start) -> None:
    count = 50
    operator = start()
    cluster.apply(*objects_of_each_kind(namespace, count))
    cluster.eventually(lambda: all_serve(cluster, namespace, count), "children of every object", 120)
    operator.wait_quiet(60)
    assert operator.terminate() == 0
    cluster.audit.mark()
    again = start("second")
    again.wait_quiet(60, still=3)
    assert cluster.audit.write_lines() == []


def test_what_is_changed_by_hand_is_put_back(cluster: Cluster, namespace: str, start: Start) -> None:
    operator = start()
    cluster.apply(load.model_version(namespace, "cars"), load.inference_service(namespace, "cars"))
    deployment = cluster.eventually(lambda: cluster.items("deployments", namespace), "the Deployment")[0]
    service = cluster.eventually(lambda: cluster.items("services", namespace), "the Service")[0]
    rules = cluster.eventually(lambda: ours(cluster, namespace), "the ConfigMap of rules")[0]
    operator.wait_quiet(60)
    edits: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("deployment", deployment, {"spec": {"replicas": 7}}),
        ("deployment", deployment, {"spec": {"progressDeadlineSeconds": 9}}),
        ("service", service, {"spec": {"selector": {"app": "stolen"}}}),
        ("configmap", rules, {"data": dict.fromkeys(rules["data"], "groups: []")}),
    ]
    for kind, before, change in edits:
        name = before["metadata"]["name"]
        cluster.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(change))

        def restored(kind: str = kind, name: str = name, before: dict[str, Any] = before) -> bool:
            now = cluster.find(kind, name, "-n", namespace) or {}
            part = "data" if kind == "configmap" else "spec"
            return all(now[part].get(field) == value for field, value in before[part].items())

        cluster.eventually(restored, f"{kind} {name} as it was after {change}")


def test_what_is_deleted_by_hand_comes_back(cluster: Cluster, namespace: str, start: Start) -> None:
    operator = start()
    cluster.apply(load.model_version(namespace, "cars"), load.inference_service(namespace, "cars"))
    cluster.eventually(lambda: ours(cluster, namespace), "the ConfigMap of rules")
    operator.wait_quiet(60)
    for plural in ("deployments", "services", "configmaps", "poddisruptionbudgets"):
        before = ours(cluster, namespace, plural)[0]["metadata"]
        cluster.kubectl("delete", plural, before["name"], "-n", namespace)

        def back(plural: str = plural, uid: str = before["uid"]) -> bool:
            now = [one["metadata"]["uid"] for one in ours(cluster, namespace, plural)]
            return len(now) == 1 and now[0] != uid

        cluster.eventually(back, f"another one of {plural}")


def test_a_finished_reaction_leaves_nothing_to_write(cluster: Cluster, namespace: str, start: Start) -> None:
    """A field of somebody else on our child, and a label on the parent, are no reason to write."""
    operator = start()
    cluster.apply(load.model_version(namespace, "cars"), load.inference_service(namespace, "cars"))
    name = cluster.eventually(lambda: cluster.items("deployments", namespace), "the Deployment")[0]["metadata"]["name"]
    operator.wait_quiet(60)
    cluster.audit.mark()
    before = operator.reconciles()
    cluster.kubectl("annotate", "deployment", name, "-n", namespace, "team=blue")
    cluster.kubectl("label", "inferenceservice", "cars", "-n", namespace, "team=blue")
    cluster.eventually(lambda: operator.reconciles() > before, "a look at the changes")
    operator.wait_quiet(60)
    assert cluster.audit.write_lines() == []


def ours(cluster: Cluster, namespace: str, plural: str = "configmaps") -> list[dict[str, Any]]:
    """Return the children of this kind, without what others put into every namespace."""
    return [
        one
        for one in cluster.items(plural, namespace)
        if (one["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "modelmill"
    ]
