"""Which pods are a service's: those of its own Deployments, whatever labels other pods carry."""

from __future__ import annotations

from typing import Any

from modelmill.engine.cache import Cache
from modelmill.engine.deployments import pods_of_deployment
from modelmill.kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from tests.unit.serving.simulated import World


def child(name: str, owner: str | None, labels: dict[str, str]) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": name,
        "namespace": "ml",
        "uid": f"{name}-uid",
        "resourceVersion": "7",
        "labels": labels,
    }
    if owner is not None:
        meta["ownerReferences"] = [
            {"kind": "Any", "apiVersion": "apps/v1", "name": "x", "uid": owner, "controller": True}
        ]
    return {"metadata": meta, "status": {}}


def test_pods_are_found_by_their_owners_and_not_by_labels() -> None:
    world = World()
    world.reconcile()
    (deployment,) = world.deployments.values()
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    cache = Cache()
    cache.put(DEPLOYMENTS, {**deployment, "metadata": {**deployment["metadata"], "resourceVersion": "1"}})
    cache.put(REPLICA_SETS, child("ours", deployment["metadata"]["uid"], labels))
    cache.put(REPLICA_SETS, child("theirs", "another-deployment", labels))
    for name, owner in (
        ("served", "ours-uid"),
        ("bare", None),
        ("of-their-set", "theirs-uid"),
        ("of-no-set", deployment["metadata"]["uid"]),
        ("of-a-namesake", "ours"),
    ):
        cache.put(PODS, child(name, owner, labels))
    # Whoever knows the uid can name it as an owner in another namespace.
    for resource, name, owner in ((PODS, "far", "ours-uid"), (REPLICA_SETS, "far-set", deployment["metadata"]["uid"])):
        one = child(name, owner, labels)
        cache.put(resource, {**one, "metadata": {**one["metadata"], "namespace": "hostile"}})
    assert [pod["metadata"]["name"] for pod in pods_of_deployment(deployment, cache)] == ["served"]
