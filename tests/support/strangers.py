"""Objects of other people that have the names of children."""

from __future__ import annotations

from typing import Any

from modelmill.kube.conditions import find
from tests.support.api_server import Cluster


def stranger(namespace: str, name: str = "shop", **meta: Any) -> dict[str, Any]:
    """Return a Service that somebody has beside the InferenceService of the same name."""
    spec = {"selector": {"app": "theirs"}, "ports": [{"name": "web", "port": 8000}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, **meta},
        "spec": spec,
    }


def condition(cluster: Cluster, namespace: str, kind: str, name: str = "shop") -> dict[str, Any]:
    return dict(find(cluster.status("inferenceservices", namespace, name), kind) or {})


def told(cluster: Cluster, namespace: str, reason: str) -> dict[str, Any]:
    """Return the condition Ready once it is False for this reason."""

    def ready() -> Any:
        seen = condition(cluster, namespace, "Ready")
        return seen if seen.get("reason") == reason else None

    seen: dict[str, Any] = cluster.eventually(ready, f"Ready for the reason {reason}")
    assert seen["status"] == "False"
    return seen


def is_served(cluster: Cluster, namespace: str) -> Any:
    """Tell whether the Service is the operator's and nothing is said against it."""
    uid = (cluster.find("inferenceservice", "shop", "-n", namespace) or {})["metadata"]["uid"]
    found = cluster.find("service", "shop", "-n", namespace)
    owners = (found or {"metadata": {}})["metadata"].get("ownerReferences") or ()
    stalled = condition(cluster, namespace, "Stalled").get("status")
    return [owner for owner in owners if owner["uid"] == uid and owner.get("controller")] and stalled == "False"
