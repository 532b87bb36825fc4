"""Which TrainingJob a model belongs to: two of them would give different versions the same names."""

from __future__ import annotations

from collections.abc import Iterable

from modelmill.api.objects import ObjectMeta, read_meta
from modelmill.engine.interface import World
from modelmill.kube.objects import Manifest, beside_status
from modelmill.kube.resources import JOBS


def owner(training_jobs: Iterable[Manifest], world: World) -> ObjectMeta | None:
    """Return the TrainingJob that the model belongs to: the oldest that stays.

    Of those made within a second, which is all that Kubernetes' times tell, it is the one that has begun a run; else identity
    decides.
    """
    staying = [one for one in training_jobs if "deletionTimestamp" not in one["metadata"]]
    first = min(staying, key=lambda one: _order(one, world), default=None)
    return read_meta(first) if first is not None else None


def claim(training_job: Manifest) -> object:
    """Return what decides about the model's owner, to be compared with another state."""
    return beside_status(training_job), _has_run(training_job)


def _order(training_job: Manifest, world: World) -> tuple[str, bool, str]:
    meta = read_meta(training_job)
    # The Job comes before the status that tells of it.
    began = _has_run(training_job) or bool(world.owned(JOBS, meta.namespace, meta.uid))
    return meta.creation_timestamp, not began, meta.uid


def _has_run(training_job: Manifest) -> bool:
    status = training_job.get("status") or {}
    return bool(status.get("currentRun") or status.get("lastRun"))
