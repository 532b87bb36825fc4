"""The Deployment of one revision. It holds the template that its revision is the hash of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modelmill.api.fingerprint import short_hash
from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.serving.view import View

Template = Mapping[str, Any]


def deployment_name(service: str, revision: str) -> str:
    """Return the name of the Deployment of a revision."""
    return f"{service}-{revision}"


def revision_of(template: Template) -> str:
    """Return the revision of a template: its hash. The artifact's digest is among the environment in it."""
    return short_hash(template)


def recorded_template(deployment: Manifest, revision: str) -> Template | None:
    """Return the template that the Deployment was made from; None when nothing holds it that the revision vouches for."""
    text = (deployment["metadata"].get("annotations") or {}).get(labels.POD_TEMPLATE_ANNOTATION)
    try:
        template = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return template if isinstance(template, dict) and revision_of(template) == revision else None


def build_deployment(view: View, revision: str, template: Template, replicas: int) -> dict[str, Any]:
    """Return the Deployment.

    The template is kept beside its expansion, which the API server fills up with defaults: from it a later release, whose
    builder makes another template, makes the very same Deployment.
    """
    pod_labels = {**template["metadata"]["labels"], labels.REVISION_LABEL: revision}
    kept = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": deployment_name(view.name, revision),
            "namespace": view.namespace,
            "labels": pod_labels,
            "annotations": {labels.POD_TEMPLATE_ANNOTATION: kept},
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": view.spec.rollout.progress_deadline_seconds,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": {labels.SERVICE_LABEL: view.name, labels.REVISION_LABEL: revision}},
            "template": _of_revision(template, revision, pod_labels),
        },
    }


def _of_revision(template: Template, revision: str, pod_labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the template whose pods carry the revision and are spread among those of their own revision."""
    spread = [
        {
            **one,
            "labelSelector": {"matchLabels": {**one["labelSelector"]["matchLabels"], labels.REVISION_LABEL: revision}},
        }
        for one in template["spec"]["topologySpreadConstraints"]
    ]
    return {
        "metadata": {**template["metadata"], "labels": pod_labels},
        "spec": {**template["spec"], "topologySpreadConstraints": spread},
    }


def scaled(deployment: Manifest, replicas: int) -> dict[str, Any]:
    """Return the Deployment as it is in the cluster with other replicas, for one whose template is not known."""
    meta = deployment["metadata"]
    kept = {name: meta[name] for name in ("name", "namespace", "labels")}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": kept,
        "spec": {**deployment["spec"], "replicas": replicas},
    }
