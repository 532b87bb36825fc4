"""What a TrainingJob's plan looks at: one immutable picture of the object and of what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from modelmill.api.fingerprint import short_hash
from modelmill.api.objects import InferenceService, ModelVersion, TrainingJob
from modelmill.api.training_job import TrainingJobSpec
from modelmill.api.training_job_status import TrainingJobStatus
from modelmill.kube.objects import Manifest
from modelmill.tuning.ledger import Ledger
from modelmill.tuning.verdict import objective

COUNTS: Final = {
    "max_trials", "parallel_trials", "trials_per_pod", "max_failed_trials", "objective", "pruning", "publish",
}  # fmt: skip
"""Fields of spec.tuning that may change while a search goes on; of the objective its goal."""


@dataclass(frozen=True, slots=True)
class Suggested:
    """What the sampler was asked and answered.

    after: how many trials there were. count: how many were asked for. parameters: of the next ones, fewer when the space is
    exhausted. error: why there is no answer.
    """

    after: int
    count: int
    parameters: Sequence[Mapping[str, str]] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether the TrainingJob may start a run that nobody asked for, of all of the cluster.

    stands_in_line: whether its status says so, which comes first. why: it has none.
    """

    has: bool = False
    stands_in_line: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One TrainingJob and its world.

    next_number: of the next run, above every run and every version of the model, and free as a version's name.
    jobs: Jobs that it owns. pods: pods of those Jobs, by Job name.
    versions: ModelVersions of its model. services: InferenceServices that serve its model or retrain by it.
    owner: name of another TrainingJob that the model belongs to; None when it belongs to this one.
    refusals: by Job name, why the API server refused a pod of the run in progress since its last one, when that is known.
    ledger: of the search in progress, None before there is one. earlier: of the last search that ended.
    ledgers: names of the ConfigMaps that ledgers are in, with the number of their run.
    ledger_versions: resourceVersions of those that `ledger` and `earlier` were read from, by name.
    suggested: what the sampler answered for the next trials of the search, when it was asked.
    reports: what the pods of its trials reported, by their uid. report_url: where they do, empty when nothing takes reports.
    no_reports: why none is taken.
    turn: whether it may start a run that nobody asked for, of all of the cluster.
    used: names of those versions that InferenceServices have in a track or pin; known where it is limited how many are kept.
    """

    training_job: TrainingJob
    next_number: int
    jobs: Mapping[str, Manifest]
    pods: Mapping[str, Sequence[Manifest]]
    versions: Sequence[ModelVersion]
    services: Sequence[InferenceService]
    now: datetime
    owner: str | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)
    ledger: Ledger | None = None
    earlier: Ledger | None = None
    ledgers: Mapping[str, int] = field(default_factory=dict)
    ledger_versions: Mapping[str, str] = field(default_factory=dict)
    suggested: Suggested | None = None
    used: frozenset[str] = frozenset()
    reports: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    report_url: str = ""
    no_reports: str = ""
    turn: Turn = field(default_factory=lambda: Turn(has=True))

    @property
    def namespace(self) -> str:
        """Namespace of the TrainingJob."""
        return self.training_job.namespace

    @property
    def name(self) -> str:
        """Name of the TrainingJob."""
        return self.training_job.name

    @property
    def uid(self) -> str:
        """Identity of the TrainingJob."""
        return self.training_job.uid

    @property
    def spec(self) -> TrainingJobSpec:
        """What it should do."""
        return self.training_job.spec

    @property
    def status(self) -> TrainingJobStatus:
        """What was true when it was last looked at."""
        return self.training_job.status

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of the TrainingJob."""
        return self.training_job.metadata.annotations

    def with_status(self, status: TrainingJobStatus) -> View:
        """Return the view with another status."""
        return replace(self, training_job=replace(self.training_job, status=status))

    def trained_hash(self) -> str:
        """Hash of the fields that decide what a run trains: data, how, where from, and what a search looks for.

        A copy of the data is no other data.
        """
        spec = self.spec
        data = spec.data.model_copy(update={"snapshot": None})
        return short_hash(data, spec.train, spec.store.uri, spec.store.endpoint, *self._searched(), *self._prepared())

    def _prepared(self) -> list[Any]:
        """Return what makes the rows; nothing without such a stage, which keeps the hashes of such objects."""
        return [self.spec.prepare] if self.spec.prepare is not None else []

    def _searched(self) -> list[Any]:
        """Return what makes trials of a search comparable; nothing without one, which keeps the hashes of such objects."""
        tuning = self.spec.tuning
        if tuning is None:
            return []
        aim = objective(tuning, self.spec.evaluation.primary)
        space = tuning.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=COUNTS)
        return [space, aim.metric, aim.direction]

    def run_spec_hash(self) -> str:
        """Hash of the fields that decide how a run is executed and what it trains: its Job is built from them.

        Not of those that say when runs start, how long Jobs are kept, and how a result is judged.
        """
        spec, policy = self.spec, self.spec.run_policy
        limits = (policy.backoff_limit, policy.active_deadline_seconds)
        return short_hash(spec.data, spec.train, spec.store, spec.pod_template, *limits, *self._prepared())

    def retraining_services(self) -> Sequence[InferenceService]:
        """Return the InferenceServices whose alerts are reasons to run."""
        return [one for one in self.services if retrains_by(one) == self.name]


def retrains_by(service: InferenceService) -> str | None:
    """Return the name of the TrainingJob that the alerts of the service run, or None."""
    monitoring = service.spec.monitoring
    return monitoring.retrain.training_job if monitoring is not None and monitoring.retrain is not None else None
