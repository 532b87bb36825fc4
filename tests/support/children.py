"""Children as an operator applies them."""

from __future__ import annotations

from typing import Any

from modelmill.kube.objects import Resource
from modelmill.kube.resources import CONFIG_MAPS, DEPLOYMENTS, SERVICES


def body(resource: Resource, namespace: str, **more: Any) -> dict[str, Any]:
    meta = {"name": "cars", "namespace": namespace, "labels": {"app": "cars"}, "annotations": {"a": "1"}}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **more}


def deployment(namespace: str) -> dict[str, Any]:
    container = {
        "name": "server",
        "image": "img:1",
        "args": ["--port", "8080"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
        "ports": [{"containerPort": 8080, "name": "http"}],
        # Stored as "1" and "1Gi": written in another way, and ours all the same.
        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}], "terminationGracePeriodSeconds": 30}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "cars"}},
        "template": {"metadata": {"labels": {"app": "cars"}}, "spec": pod},
    }
    return body(DEPLOYMENTS, namespace, spec=spec)


def service(namespace: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return body(SERVICES, namespace, spec={"selector": {"app": "cars"}, "ports": ports})


def config_map(namespace: str) -> dict[str, Any]:
    return body(CONFIG_MAPS, namespace, data={"rules.yaml": "groups: []"})
