"""What a TrainingJob's plan looks at: one immutable picture of the object and of what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelmill.api.fingerprint import short_hash
from modelmill.api.training_job import TrainingJobSpec
from modelmill.api.versions import version_number
from modelmill.kube.objects import Manifest


@dataclass(frozen=True, slots=True)
class View:
    """One TrainingJob and its world.

    jobs: Jobs that it owns. pods: pods of those Jobs, by Job name.
    versions: ModelVersions of the namespace. services: InferenceServices of the namespace.
    """

    parent: Manifest
    spec: TrainingJobSpec
    status: Mapping[str, Any]
    jobs: Mapping[str, Manifest]
    pods: Mapping[str, Sequence[Manifest]]
    versions: Sequence[Manifest]
    services: Sequence[Manifest]
    now: datetime

    @property
    def namespace(self) -> str:
        """Namespace of the TrainingJob."""
        return str(self.parent["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Name of the TrainingJob."""
        return str(self.parent["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Identity of the TrainingJob."""
        return str(self.parent["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Generation of the spec."""
        return int(self.parent["metadata"].get("generation", 1))

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of the TrainingJob."""
        return self.parent["metadata"].get("annotations") or {}

    def trained_hash(self) -> str:
        """Hash of the fields that decide what a run trains: data, how, and where from."""
        return short_hash(self.spec.data, self.spec.train, self.spec.store.uri, self.spec.store.endpoint)

    def family(self) -> Sequence[Manifest]:
        """ModelVersions of this model."""
        return [version for version in self.versions if version["spec"]["model"] == self.spec.model]

    def next_number(self) -> int:
        """Number of the next run: above every run and every version of the model that was seen."""
        last = int((self.status.get("lastRun") or {}).get("number", 0))
        numbers = [version_number(version["metadata"]["name"]) for version in self.family()]
        return max([last, *numbers]) + 1
