"""Which objects an object of ours refers to, read without reading the whole of it.

For the maps from a change to the keys that it concerns: they are asked of every object of a namespace at every change, and must
answer for objects that cannot be read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelmill.api.tracks import read_tracks
from modelmill.kube.objects import Manifest

MODEL, VERSION, RETRAINS, ROUTE = "model", "version", "retrains", "route"
"""Indexes: of all three kinds by model, of InferenceServices by version, TrainingJob that they start, and HTTPRoute."""


def trained_model(job: Manifest) -> str:
    """Return the model of a TrainingJob; empty when it says none."""
    return str(_part(job, "spec").get("model") or "")


def version_model(version: Manifest) -> str:
    """Return the model that a ModelVersion is a version of; empty when it says none."""
    return str(_part(version, "spec").get("model") or "")


def followed_model(service: Manifest) -> str:
    """Return the model of an InferenceService; empty when it says none."""
    return str(_part(_part(service, "spec"), "model").get("name") or "")


def named_versions(service: Manifest) -> set[str]:
    """Return the versions that an InferenceService pins, has in a track, or gave up."""
    pinned = pinned_version(service)
    return {*read_tracks(service).versions, *([pinned] if pinned else [])}


def pinned_version(service: Manifest) -> str:
    """Return the version that an InferenceService pins; empty when it pins none."""
    return str(_part(_part(service, "spec"), "model").get("version") or "")


def retraining_job(service: Manifest) -> str:
    """Return the TrainingJob that the alerts of an InferenceService start; empty when there is none."""
    retrain = _part(_part(_part(service, "spec"), "monitoring"), "retrain")
    return str(retrain.get("trainingJob") or "")


def named_route(service: Manifest) -> str:
    """Return the HTTPRoute of the user's that an InferenceService names; empty when it names none."""
    traffic = _part(_part(_part(service, "spec"), "rollout"), "traffic")
    return str(_part(traffic, "routeRef").get("name") or "")


OF_JOBS = {MODEL: lambda job: [trained_model(job)]}
OF_VERSIONS = {MODEL: lambda version: [version_model(version)]}
OF_SERVICES = {
    MODEL: lambda service: [followed_model(service)],
    VERSION: named_versions,
    RETRAINS: lambda service: [retraining_job(service)],
    ROUTE: lambda service: [named_route(service)],
}


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = of.get(name)
    return part if isinstance(part, Mapping) else {}
