from __future__ import annotations

from typing import Any

import prometheus_discovery
import pytest


def pod(**changes: Any) -> dict[str, Any]:
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    metadata = {"namespace": "team", "name": "p", "annotations": annotations, **changes.pop("metadata", {})}
    return {"metadata": metadata, "status": {"phase": "Running", "podIP": "10.244.0.9", **changes.pop("status", {})}}


def test_an_annotated_running_pod_is_a_target_with_its_labels() -> None:
    labels = {
        "app.kubernetes.io/name": "model-server",
        "modelmill.dev/inference-service": "cars",
        "pod-template-hash": "1",
    }

    assert prometheus_discovery.target(pod(metadata={"labels": labels})) == {
        "targets": ["10.244.0.9:8080"],
        "labels": {
            "namespace": "team",
            "pod": "p",
            "__metrics_path__": "/metrics",
            "app_kubernetes_io_name": "model-server",
            "modelmill_dev_inference_service": "cars",
        },
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"annotations": {}}},
        {"metadata": {"annotations": {"prometheus.io/scrape": "false"}}},
        {"status": {"phase": "Pending"}},
        {"status": {"phase": "Succeeded"}},
        {"status": {"podIP": ""}},
    ],
)
def test_other_pods_are_not(changes: dict[str, Any]) -> None:
    assert prometheus_discovery.target(pod(**changes)) is None
