"""The HorizontalPodAutoscaler of one track."""

from __future__ import annotations

from typing import Any, Final

from modelmill.api.autoscaling import Autoscaling
from modelmill.kube import labels
from modelmill.serving.builders.deployment import deployment_name
from modelmill.serving.builders.pod_template import SERVER

REQUESTS_PER_SECOND: Final = "modelmill_requests_per_second"
REQUESTS_IN_PROGRESS: Final = "modelmill_requests_in_progress"


def build_autoscaler(
    service: str, namespace: str, revision: str, autoscaling: Autoscaling, bounds: tuple[int, int]
) -> dict[str, Any]:
    """Return the autoscaler of the Deployment of a revision. bounds: fewest and most pods."""
    name = deployment_name(service, revision)
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": bounds[0],
        "maxReplicas": bounds[1],
        "metrics": _metrics(autoscaling),
    }
    if autoscaling.behavior is not None:
        spec["behavior"] = autoscaling.behavior.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {labels.SERVICE_LABEL: service, labels.REVISION_LABEL: revision},
        },
        "spec": spec,
    }


def _metrics(autoscaling: Autoscaling) -> list[dict[str, Any]]:
    metrics: list[dict[str, Any]] = []
    if autoscaling.target_cpu_utilization_percentage is not None:
        target = {"type": "Utilization", "averageUtilization": autoscaling.target_cpu_utilization_percentage}
        # The server's alone: a sidecar that a mesh adds need not have a request, without which there is no utilization.
        resource = {"name": "cpu", "container": SERVER, "target": target}
        metrics.append({"type": "ContainerResource", "containerResource": resource})
    of_pods = {
        REQUESTS_PER_SECOND: autoscaling.target_requests_per_second,
        REQUESTS_IN_PROGRESS: autoscaling.target_concurrency,
    }
    for name, average in of_pods.items():
        if average is not None:
            target = {"type": "AverageValue", "averageValue": str(average)}
            metrics.append({"type": "Pods", "pods": {"metric": {"name": name}, "target": target}})
    return metrics
