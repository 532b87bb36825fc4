"""What makes serving pods mirror requests, and the ConfigMap that tells them when and how: pods that serve are not touched."""

from __future__ import annotations

from typing import Any, Final

from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.api.shadow import Shadow
from modelmill.contracts import names
from modelmill.contracts import shadow as contract
from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.serving.traffic.preview import preview_name
from modelmill.serving.view import View

SUFFIX: Final = "-shadow"
VOLUME: Final = "shadow"
FOLDER: Final = "/modelmill/shadow"
FILE: Final = "shadow.json"


def config_map_name(service: str) -> str:
    """Return the name of the ConfigMap that tells the pods about a shadow."""
    return f"{service}{SUFFIX}"


def mirror_environment(service: str) -> dict[str, str]:
    """Return the variables of a server that mirrors, to the Service in front of the version without traffic."""
    return {names.ENV_SHADOW_URL: f"http://{preview_name(service)}", names.ENV_SHADOW_FILE: f"{FOLDER}/{FILE}"}


def mirrors(deployment: Manifest) -> bool:
    """Tell whether the pods of the Deployment mirror when they are told to."""
    volumes = deployment["spec"]["template"]["spec"].get("volumes") or ()
    return any(volume["name"] == VOLUME for volume in volumes)


def build_shadow(view: View, status: InferenceServiceStatus) -> dict[str, Any] | None:
    """Return the ConfigMap; None while nothing is to be mirrored. status: as it will be.

    It is there from when the shadow's pods are ready, in the first step, until it is to get traffic or is given up.
    """
    candidate = status.canary
    goes_on = status.phase in ("RollingOut", "Paused")
    if view.spec.rollout.strategy != "Shadow" or candidate is None or not goes_on:
        return None
    if candidate.skips_steps is not None or candidate.step == 0 or candidate.weight > 0:
        return None
    settings = view.spec.rollout.shadow or Shadow()
    told = contract.Shadow(
        candidate.version,
        candidate.revision,
        float(settings.sample_ratio),
        float(settings.tolerance.relative),
        float(settings.tolerance.absolute),
    )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(view.name),
            "namespace": view.namespace,
            "labels": {labels.SERVICE_LABEL: view.name, "app.kubernetes.io/instance": view.name},
        },
        "data": {FILE: contract.encode(told)},
    }
