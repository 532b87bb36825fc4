"""What a plan of batch runs looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from modelmill.api.batch import Batch
from modelmill.api.objects import InferenceService, ModelVersion
from modelmill.kube.objects import Manifest
from modelmill.workloads.containers import Image


def not_done(pods: Sequence[Manifest]) -> list[Manifest]:
    """Return the pods of a Job but for those of partitions that are done, which say nothing of what is in the way."""
    return [pod for pod in pods if (pod.get("status") or {}).get("phase") != "Succeeded"]


@dataclass(frozen=True, slots=True)
class View:
    """An InferenceService with its batch Jobs.

    versions: by name, those that can be read of the stable one and of runs in progress. jobs: by name, the service's own.
    foreign: names of Jobs that runs would have and that are not the service's. pods: by Job, the Job's own. refusals: by Job,
    why the API server refuses its pods, when that is known and has lasted. image: of the server of this release. model_code:
    whether an administrator permits models of this namespace to run code.
    """

    service: InferenceService
    versions: Mapping[str, ModelVersion]
    jobs: Mapping[str, Manifest]
    pods: Mapping[str, Sequence[Manifest]]
    image: Image
    now: datetime
    refusals: Mapping[str, str] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()
    model_code: bool = False

    @property
    def entries(self) -> Sequence[Batch]:
        """The entries of the spec."""
        return self.service.spec.batch

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations of the service."""
        return self.service.metadata.annotations
