"""The headless Service by whose name the pods that share the labels find each other: all ready ones, of every revision."""

from __future__ import annotations

from typing import Any

from modelmill.contracts import names
from modelmill.kube import labels
from modelmill.serving.view import View


def peers_name(service: str) -> str:
    """Return the name of the Service."""
    return f"{service}-peers"


def build_peers(view: View) -> dict[str, Any] | None:
    """Return the Service; None where pods do not share a key: one version could not read the ids of another."""
    if view.spec.feedback is None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": peers_name(view.name),
            "namespace": view.namespace,
            "labels": {labels.SERVICE_LABEL: view.name, "app.kubernetes.io/instance": view.name},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": {labels.SERVICE_LABEL: view.name, labels.MANAGED_BY_LABEL: labels.MANAGED_BY},
            "ports": [{"name": "http", "port": names.HTTP_PORT, "targetPort": names.HTTP_PORT, "protocol": "TCP"}],
        },
    }
