"""Collects a TrainingJob's view from the cache and hands it to the plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import ValidationError

from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.api.training_job import TrainingJobSpec
from modelmill.engine.plan import Plan, World
from modelmill.kube import labels
from modelmill.kube.conditions import FALSE, TRUE, Condition, merge
from modelmill.kube.objects import Key, Manifest
from modelmill.kube.resources import JOBS, PODS
from modelmill.training.plan import plan
from modelmill.training.view import View
from modelmill.workloads.containers import Image


class TrainingJobReconciler:
    """Plans TrainingJobs. `trainer` runs the built-in stages."""

    def __init__(self, trainer: Image) -> None:
        self._trainer = trainer

    async def __call__(self, parent: Manifest, world: World, now: datetime) -> Plan:
        """Return the plan for the TrainingJob; see `engine.plan.Reconciler`."""
        try:
            spec = TrainingJobSpec.model_validate(parent["spec"])
        except ValidationError as error:
            return Plan(status=_invalid(parent, error, now))
        return plan(view_of(parent, spec, world, now), self._trainer)


def view_of(parent: Manifest, spec: TrainingJobSpec, world: World, now: datetime) -> View:
    """Collect what the plan looks at from the cache."""
    namespace = parent["metadata"]["namespace"]
    jobs = {job["metadata"]["name"]: job for job in world.owned(JOBS, parent["metadata"]["uid"])}
    pods: dict[str, Sequence[Manifest]] = {
        name: world.owned(PODS, job["metadata"]["uid"]) for name, job in jobs.items()
    }
    return View(
        parent=parent,
        spec=spec,
        status=parent.get("status") or {},
        jobs=jobs,
        pods=pods,
        versions=world.list(MODEL_VERSIONS, namespace),
        services=world.list(INFERENCE_SERVICES, namespace),
        now=now,
    )


def keys_of_pod(pod: Manifest, world: World) -> Iterable[Key]:
    """Return the TrainingJob that a pod of a run belongs to."""
    name = (pod["metadata"].get("labels") or {}).get(labels.TRAINING_JOB_LABEL)
    return [Key(pod["metadata"]["namespace"], name)] if name else []


def keys_of_service(service: Manifest, world: World) -> Iterable[Key]:
    """Return the TrainingJob that an InferenceService retrains by: its alerts are reasons to run."""
    retrain = (service["spec"].get("monitoring") or {}).get("retrain") or {}
    name = retrain.get("trainingJob")
    return [Key(service["metadata"]["namespace"], name)] if name else []


def _invalid(parent: Manifest, error: ValidationError, now: datetime) -> Manifest:
    """Return the status of an object that a newer or older schema let through."""
    first = error.errors()[0]
    message = f"spec.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    status = dict(parent.get("status") or {})
    conditions = [
        Condition("Ready", FALSE, "SpecInvalid", message),
        Condition("Stalled", TRUE, "SpecInvalid", message),
    ]
    generation = parent["metadata"].get("generation", 1)
    status["conditions"] = merge(status.get("conditions") or (), conditions, generation, now)
    status["observedGeneration"] = generation
    return status
