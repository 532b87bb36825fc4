"""Which objects an object of ours refers to, read without reading the whole of it.

For the maps from a change to the keys that it concerns: they are asked of every object of a namespace at every change, and must
answer for objects that cannot be read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelmill.kube.objects import Manifest


def version_model(version: Manifest) -> str:
    """Return the model that a ModelVersion is a version of; empty when it says none."""
    return str(_part(version, "spec").get("model") or "")


def followed_model(service: Manifest) -> str:
    """Return the model of an InferenceService; empty when it says none."""
    return str(_part(_part(service, "spec"), "model").get("name") or "")


def named_versions(service: Manifest) -> set[str]:
    """Return the versions that an InferenceService pins or has in a track."""
    status = _part(service, "status")
    pinned = _part(_part(service, "spec"), "model").get("version")
    tracks = (_part(status, track).get("version") for track in ("stable", "canary"))
    return {str(name) for name in (pinned, *tracks) if name}


def retraining_job(service: Manifest) -> str:
    """Return the TrainingJob that the alerts of an InferenceService start; empty when there is none."""
    retrain = _part(_part(_part(service, "spec"), "monitoring"), "retrain")
    return str(retrain.get("trainingJob") or "")


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = of.get(name)
    return part if isinstance(part, Mapping) else {}
