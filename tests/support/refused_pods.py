"""What Kubernetes refuses and takes of the pods of a Job: rows that the API server in memory and the real one are both asked.

A row changes the pod's only container by `container`, and the pod by everything else. REFUSED has the path in the refusal.
"""

from __future__ import annotations

from typing import Any


def _resources(**amounts: dict[str, str]) -> dict[str, Any]:
    return {"container": {"resources": amounts}}


def _variable(**variable: Any) -> dict[str, Any]:
    return {"container": {"env": [variable]}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "node-selector": ({"nodeSelector": {"a b": "x"}}, "nodeSelector"),
    "node-selector-value": ({"nodeSelector": {"a": "x y"}}, "nodeSelector"),
    "empty-prefix": ({"nodeSelector": {"/a": ""}}, "nodeSelector"),
    "account": ({"serviceAccountName": "a..b"}, "serviceAccountName"),
    "exists-with-value": ({"tolerations": [{"operator": "Exists", "value": "x"}]}, "tolerations[0].operator"),
    "no-key": ({"tolerations": [{"value": "x"}]}, "tolerations[0].operator"),
    "toleration-value": ({"tolerations": [{"key": "a", "value": "x y"}]}, "tolerations[0].operator"),
    "toleration-key": ({"tolerations": [{"key": "a b", "operator": "Exists"}]}, "tolerations[0].key"),
    "toleration-seconds": (
        {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}]},
        "tolerations[0].effect",
    ),
    "container-name": ({"container": {"name": "A"}}, "containers[0].name"),
    "no-image": ({"container": {"image": ""}}, "containers[0].image"),
    "variable": (_variable(name="A=B"), "env[0].name"),
    "no-variable": (_variable(name=""), "env[0].name"),
    "secret": (_variable(name="A", valueFrom={"secretKeyRef": {"name": "a..b", "key": "k"}}), "secretKeyRef.name"),
    "resource": (_resources(requests={"gpu": "1"}), "requests[gpu]"),
    "resource-of-a-quota": (_resources(limits={"requests.foo/bar": "1"}), "limits[requests.foo/bar]"),
    "part-of-a-gpu": (_resources(limits={"nvidia.com/gpu": "100m"}), "limits[nvidia.com/gpu]"),
    "gpu-without-limit": (_resources(requests={"nvidia.com/gpu": "1"}), "resources.limits"),
    "much-more-than-the-limit": (
        _resources(requests={"cpu": "9" * 33}, limits={"cpu": "9" * 32}),
        "resources.requests",
    ),
    "more-than-the-limit": (_resources(requests={"cpu": "2"}, limits={"cpu": "1"}), "resources.requests"),
}
TAKEN: dict[str, dict[str, Any]] = {
    "node-selector": {"nodeSelector": {"a": ""}},
    "account": {"serviceAccountName": ""},
    "all-taints": {"tolerations": [{"operator": "Exists"}]},
    "toleration-seconds": {
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]
    },
    "image-in-spaces": {"container": {"image": " a "}},
    "image-of-spaces": {"container": {"image": " "}},
    "variable": _variable(name="A B", value="x"),
    "gpu": _resources(limits={"nvidia.com/gpu": "1000m"}),
    "resource-of-kubernetes": _resources(requests={"kubernetes.io/arch": "100m"}),
    "least-amount": _resources(requests={"cpu": "0.0000000002"}, limits={"cpu": "0.0000000001"}),
    "greatest-amount": _resources(requests={"memory": f"{'9' * 30}Gi"}, limits={"memory": f"{'8' * 30}Gi"}),
}


def job(name: str, change: dict[str, Any], namespace: str = "default") -> dict[str, Any]:
    """Return a Job whose pod has the change of a row."""
    pod = {name: part for name, part in change.items() if name != "container"}
    container = {"name": "main", "image": "a", **change.get("container", {})}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"metadata": {}, "spec": {"containers": [container], "restartPolicy": "Never", **pod}}},
    }
