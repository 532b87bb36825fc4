"""What an InferenceService's plan looks at: one immutable picture of the object and of what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelmill.api.inference_service import InferenceServiceSpec
from modelmill.kube.conditions import find, parse_timestamp
from modelmill.kube.labels import REVISION_LABEL
from modelmill.kube.objects import Manifest
from modelmill.serving.analysis import Samples
from modelmill.workloads.pod_status import is_ready


@dataclass(frozen=True, slots=True)
class View:
    """One InferenceService and its world.

    versions: ModelVersions of its model, and those that it names. deployments, budgets: children that it owns. pods: its pods.
    samples: what was counted since the last conclusive measurement, when one was taken for this plan; else None.
    """

    parent: Manifest
    spec: InferenceServiceSpec
    status: Mapping[str, Any]
    versions: Sequence[Manifest]
    deployments: Sequence[Manifest]
    pods: Sequence[Manifest]
    server_image: str
    pull_policy: str
    now: datetime
    budgets: Sequence[Manifest] = ()
    samples: Samples | None = field(default=None)

    @property
    def namespace(self) -> str:
        """Namespace of the InferenceService."""
        return str(self.parent["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Name of the InferenceService."""
        return str(self.parent["metadata"]["name"])

    @property
    def generation(self) -> int:
        """Generation of the spec."""
        return int(self.parent["metadata"].get("generation", 1))

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of the InferenceService."""
        return self.parent["metadata"].get("annotations") or {}

    @property
    def url(self) -> str:
        """URL of the Service inside the cluster."""
        return f"http://{self.name}.{self.namespace}.svc"

    def version(self, name: str) -> Manifest | None:
        """Return the ModelVersion of this name."""
        return next((one for one in self.versions if one["metadata"]["name"] == name), None)

    def deployment(self, revision: str) -> Manifest | None:
        """Return the Deployment of this revision."""
        return next((one for one in self.deployments if revision_of(one) == revision), None)

    def pods_of(self, revision: str) -> list[Manifest]:
        """Return the pods of this revision's Deployment.

        A pod that is older than the Deployment belonged to a deleted one of the same name and is about to go.
        """
        deployment = self.deployment(revision)
        if deployment is None:
            return []
        since = deployment["metadata"].get("creationTimestamp", "")
        return [
            pod
            for pod in self.pods
            if revision_of(pod) == revision and pod["metadata"].get("creationTimestamp", "") >= since
        ]

    def ready(self, revision: str) -> int:
        """Return how many pods of this revision are ready."""
        return sum(is_ready(pod) for pod in self.pods_of(revision))

    def ready_since(self, revision: str) -> datetime | None:
        """Return when readiness of a pod last changed, None when that is not known."""
        found = [(find(pod["status"], "Ready") or {}).get("lastTransitionTime") for pod in self.pods_of(revision)]
        return max((parse_timestamp(one) for one in found if one), default=None)

    def answering(self) -> int:
        """Return how many pods of any revision are ready."""
        return sum(is_ready(pod) for pod in self.pods)


def revision_of(obj: Manifest) -> str:
    """Return the revision that a child belongs to."""
    return str((obj["metadata"].get("labels") or {}).get(REVISION_LABEL, ""))
