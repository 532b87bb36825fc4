"""The Service in front of the pods: its selector is how traffic is given and taken."""

from __future__ import annotations

from typing import Any, Final

from modelmill.contracts import names
from modelmill.kube import labels
from modelmill.serving.view import View

PORT: Final = 80


def build_service(view: View, only_revision: str | None, name: str = "") -> dict[str, Any]:
    """Return the Service. name: left out, that of the InferenceService.

    only_revision: outside a rollout the one revision that may get traffic, so that weight 0 is immediate on a rollback; None
    while two revisions share the traffic by their ready pods.
    """
    selector = {labels.SERVICE_LABEL: view.name}
    if only_revision is not None:
        selector[labels.REVISION_LABEL] = only_revision
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name or view.name,
            "namespace": view.namespace,
            "labels": {labels.SERVICE_LABEL: view.name, "app.kubernetes.io/instance": view.name},
        },
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP", "targetPort": names.HTTP_PORT}],
        },
    }
