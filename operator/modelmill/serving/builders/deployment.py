"""The Deployment of one revision. It holds the template that its revision is the hash of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.serving.view import View


@dataclass(frozen=True, slots=True)
class Template:
    """A pod template, its text, and its revision: the hash of the text. The artifact's digest is in it, too."""

    content: Mapping[str, Any]
    text: str
    revision: str


def template_of(content: Mapping[str, Any]) -> Template:
    """Return the template with its revision."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return Template(content, text, _revision_of(text))


def deployment_name(service: str, revision: str) -> str:
    """Return the name of the Deployment of a revision."""
    return f"{service}-{revision}"


def recorded_template(deployment: Manifest, revision: str) -> Template | None:
    """Return the template that the Deployment was made from; None when nothing holds it that the revision vouches for."""
    text = (deployment["metadata"].get("annotations") or {}).get(labels.POD_TEMPLATE_ANNOTATION) or ""
    return Template(json.loads(text), text, revision) if _revision_of(text) == revision else None


def build_deployment(view: View, revision: str, template: Template, replicas: int) -> dict[str, Any]:
    """Return the Deployment.

    The template is kept beside its expansion, which the API server fills up with defaults: from it a later release, whose
    builder makes another template, makes the very same Deployment.
    """
    pod_labels = {**template.content["metadata"]["labels"], labels.REVISION_LABEL: revision}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": deployment_name(view.name, revision),
            "namespace": view.namespace,
            "labels": pod_labels,
            "annotations": {labels.POD_TEMPLATE_ANNOTATION: template.text},
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": view.spec.rollout.progress_deadline_seconds,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": {labels.SERVICE_LABEL: view.name, labels.REVISION_LABEL: revision}},
            "template": _of_revision(template.content, revision, pod_labels),
        },
    }


def _of_revision(template: Mapping[str, Any], revision: str, pod_labels: Mapping[str, str]) -> dict[str, Any]:
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


def _revision_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
