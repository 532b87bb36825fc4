"""What an InferenceService's plan looks at: one immutable picture of the object and of what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from modelmill.api.inference_service import InferenceServiceSpec
from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.api.objects import InferenceService, ModelVersion
from modelmill.contracts import names
from modelmill.kube.conditions import find, parse_timestamp
from modelmill.kube.objects import Manifest
from modelmill.serving.rollout.findings import Samples
from modelmill.serving.traffic.route import Route
from modelmill.workloads.containers import Image
from modelmill.workloads.pod_status import is_ready


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether the service is to take the image of this release by itself now. again: seconds until that may change by time."""

    has: bool = False
    again: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One InferenceService and its world.

    newest: the newest approved version of its model, for a service that follows it. holder: name of the version that has the
    alias of the spec, None when none has, or the spec names none. versions: those that the spec or the status name, by name.
    deployments, autoscalers: those that it owns, by revision. pods: theirs, by revision. image: the server of this release.
    model_code: whether an administrator permits models of this namespace to run code. awaited: where none is approved that
    could be served, the newest approved one whose source is not imported. imports: what is said of such sources, by version.
    turn: whether its pods are to get that image.
    route: the HTTPRoute that shares the requests out, None where replica counts do.
    samples: what was counted since the last conclusive measurement, when one was taken for this plan; else None.
    """

    service: InferenceService
    newest: ModelVersion | None
    versions: Mapping[str, ModelVersion]
    deployments: Mapping[str, Manifest]
    pods: Mapping[str, Sequence[Manifest]]
    image: Image
    now: datetime
    holder: str | None = None
    samples: Samples | None = None
    turn: Turn = Turn()
    route: Route | None = None
    model_code: bool = False
    awaited: str | None = None
    imports: Mapping[str, str] = field(default_factory=dict)
    autoscalers: Mapping[str, Manifest] = field(default_factory=dict)
    _ready: dict[str, int] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        """Count the ready pods once: they are asked for many times in a plan."""
        self._ready.update({revision: sum(map(is_ready, pods)) for revision, pods in self.pods.items()})

    @property
    def namespace(self) -> str:
        """Namespace of the InferenceService."""
        return self.service.namespace

    @property
    def name(self) -> str:
        """Name of the InferenceService."""
        return self.service.name

    @property
    def spec(self) -> InferenceServiceSpec:
        """What is wanted."""
        return self.service.spec

    @property
    def status(self) -> InferenceServiceStatus:
        """What was decided so far."""
        return self.service.status

    @property
    def replicas(self) -> int:
        """Pods that the service is to have outside of a rollout; 0 for one that is stopped."""
        if self.spec.suspend or not self.spec.replicas:
            return 0
        if self.spec.autoscaling is None:
            return self.spec.replicas
        stable, canary = self.status.stable, self.status.canary
        counted = self.has(stable.revision) or stable.replicas if stable is not None else 0
        size = self.spec.autoscaling.within(counted or self.spec.replicas)
        return max(size, canary.size or 0) if canary is not None else size

    @property
    def surge(self) -> int:
        """Most pods that may be added so that shares by pods come near their weights."""
        return self.spec.rollout.traffic.minimum_surge or 0

    @property
    def needed(self) -> int:
        """Fewest ready pods of a service that is ready: with autoscaling more may be on their way."""
        autoscaling = self.spec.autoscaling
        return self.replicas if autoscaling is None else min(self.replicas, autoscaling.min_replicas)

    @property
    def url(self) -> str:
        """URL of the Service inside the cluster."""
        return f"http://{self.name}.{self.namespace}.svc"

    @property
    def grpc_address(self) -> str:
        """Address of gRPC inside the cluster, where pods speak it."""
        return f"{self.name}.{self.namespace}.svc:{names.GRPC_PORT}"

    def with_status(self, status: InferenceServiceStatus) -> View:
        """Return the view in which this is what was decided so far."""
        return replace(self, service=replace(self.service, status=status))

    def has(self, revision: str) -> int:
        """Return how many pods the Deployment of this revision is to have, whoever said so; 0 without one."""
        return int((self.deployments.get(revision) or {"spec": {}})["spec"].get("replicas") or 0)

    def whole(self, revision: str) -> bool:
        """Tell whether as many pods of this revision are ready as the service is to have, and none of them is about to go.

        Pods of a Deployment that was made smaller are ready until its controller has chosen which ones go. Made larger again
        meanwhile, it has fewer than are seen, until the controller has seen that too (`observedGeneration`).
        """
        deployment = self.deployments.get(revision) or {"metadata": {}}
        seen = (deployment.get("status") or {}).get("observedGeneration", 0)
        current = seen >= deployment["metadata"].get("generation", 0) and self.has(revision) >= self.replicas
        return current and self.ready(revision) >= self.replicas

    def ready(self, revision: str) -> int:
        """Return how many pods of this revision are ready."""
        return self._ready.get(revision, 0)

    def ready_pods(self, revision: str) -> list[Manifest]:
        """Return the pods of this revision that are ready."""
        return [pod for pod in self.pods.get(revision, ()) if is_ready(pod)]

    def ready_since(self, revision: str) -> datetime | None:
        """Return when readiness of a pod last changed, None when that is not known."""
        statuses = [pod.get("status") or {} for pod in self.pods.get(revision, ())]
        told = [(find(status, "Ready") or {}).get("lastTransitionTime") for status in statuses]
        return max((parse_timestamp(one) for one in told if one), default=None)

    def answering(self) -> int:
        """Return how many pods of any revision are ready."""
        return sum(self._ready.values())
