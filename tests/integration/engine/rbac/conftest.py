"""One API server with the operator's roles as the chart makes them, tenants, and requests in anybody's name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hack.bench.light import NAMESPACE
from tests.support.api_server import Cluster
from tests.support.asking import Asking, Subject, service_account

OURS, THEIRS = "rbac-ours", "rbac-theirs"
PEOPLE = ("system:authenticated",)
SUBJECTS = {
    "operator": service_account(NAMESPACE, "modelmill-operator"),
    "viewer": Subject("viewer@ours", PEOPLE),
    "editor": Subject("editor@ours", PEOPLE),
    "admin": Subject("admin@ours", PEOPLE),
    "scientist": Subject("scientist@ours", PEOPLE),
    "training pod": service_account(OURS, "default"),
    "serving pod": service_account(OURS, "default"),
    "pod with an account of the store": service_account(OURS, "store"),
    "editor of another namespace": Subject("editor@theirs", PEOPLE),
    "anybody": Subject("nobody@nowhere", PEOPLE),
    "anonymous": Subject("system:anonymous", ("system:unauthenticated",)),
}


def binding(name: str, namespace: str, user: str, kind: str, role: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


def as_aggregated(cluster: Cluster, level: str, namespace: str, user: str) -> list[dict[str, Any]]:
    """Return bindings to what the controller manager, which is not here, would add up to view, edit or admin."""
    label = f"rbac.authorization.k8s.io/aggregate-to-{level}=true"
    found = json.loads(cluster.kubectl("get", "clusterroles", "-l", label, "-o", "json"))["items"]
    # What is added to view is in edit, and so on: the chart's roles say it by labels, the cluster's own by aggregation.
    below = {"view": (), "edit": ("view",), "admin": ("view", "edit")}[level]
    names = {role["metadata"]["name"] for role in found}
    names |= {f"system:aggregate-to-{one}" for one in (*below, level)}
    assert f"modelmill-operator-{level}" in names
    return [
        binding(f"{level}-{number}", namespace, user, "ClusterRole", name) for number, name in enumerate(sorted(names))
    ]


def scientist_role() -> dict[str, Any]:
    """Return the Role of a person who may make models with one Secret and one service account, and nothing else."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "scientist", "namespace": OURS},
        "rules": [
            {
                "apiGroups": ["modelmill.dev"],
                "resources": ["trainingjobs", "modelversions", "inferenceservices"],
                "verbs": ["get", "list", "create", "update", "patch", "delete"],
            },
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["own"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["trainer"], "verbs": ["use"]},
        ],
    }


@pytest.fixture(scope="session")
def tenants(cluster: Cluster) -> Cluster:
    """Two namespaces with people, Secrets and service accounts in them."""
    for namespace in (OURS, THEIRS):
        cluster.server.new_namespace(namespace)
    objects = [
        scientist_role(),
        binding("scientist", OURS, SUBJECTS["scientist"].user, "Role", "scientist"),
        *as_aggregated(cluster, "view", OURS, SUBJECTS["viewer"].user),
        *as_aggregated(cluster, "edit", OURS, SUBJECTS["editor"].user),
        *as_aggregated(cluster, "admin", OURS, SUBJECTS["admin"].user),
        *as_aggregated(cluster, "edit", THEIRS, SUBJECTS["editor of another namespace"].user),
        *(
            {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": OURS}}
            for kind, names in (("Secret", ("own", "other")), ("ServiceAccount", ("default", "store", "trainer")))
            for name in names
        ),
    ]
    cluster.apply(*objects)
    return cluster


@pytest.fixture(scope="session")
def asking(tenants: Cluster) -> Iterator[Asking]:
    connection = Asking(tenants.server.admin)
    yield connection
    connection.close()
