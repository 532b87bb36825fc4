"""The PodDisruptionBudget of the serving pods."""

from __future__ import annotations

from typing import Any

from modelmill.kube import labels
from modelmill.serving.view import View


def build_pod_disruption_budget(view: View) -> dict[str, Any] | None:
    """Return the budget: one pod may go at a time. None with one replica, which it could not protect."""
    if view.needed < 2:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": view.name, "namespace": view.namespace, "labels": {labels.SERVICE_LABEL: view.name}},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {labels.SERVICE_LABEL: view.name}}},
    }
