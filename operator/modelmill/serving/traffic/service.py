"""The Service in front of the pods: its selector is how traffic is given and taken."""

from __future__ import annotations

from typing import Any, Final

from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.kube import labels
from modelmill.serving.rollout.strategies import effective
from modelmill.serving.traffic.ports import service_ports, speaks_grpc
from modelmill.serving.traffic.preview import preview_name
from modelmill.serving.view import View

PORT: Final = 80


def build_preview(view: View, status: InferenceServiceStatus) -> dict[str, Any] | None:
    """Return the Service in front of the version that comes, or of the one that serves while none comes.

    None where no version stands without traffic. status: as it will be.
    """
    rollout = effective(view.spec.rollout)
    if status.stable is None or (rollout.strategy != "BlueGreen" and rollout.steps[0].set_canary_replicas is None):
        return None
    comes = status.canary if status.phase in ("RollingOut", "Paused") else None
    return build_service(view, (comes or status.stable).revision, preview_name(view.name))


def build_service(view: View, only_revision: str | None, name: str = "") -> dict[str, Any]:
    """Return the Service: port 80, and that of gRPC where pods speak it. name: left out, that of the InferenceService.

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
            "ports": service_ports(speaks_grpc(view.spec, view.deployments.values())),
        },
    }
