"""The part of an InferenceService that has drift reports written: collects what its plan looks at from the cache."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modelmill.api.objects import InferenceService, ModelVersion, read_inference_service, readable_model_versions
from modelmill.api.resources import MODEL_VERSIONS
from modelmill.engine.interface import World
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.kube.labels import REPORT_LABEL
from modelmill.kube.objects import Key, Manifest
from modelmill.kube.resources import JOBS, PODS
from modelmill.monitoring.report import FIELDS, View, plan
from modelmill.workloads.containers import Image


def report_part(trainer: Image) -> Part:
    """Return the part. trainer: image of its Jobs. It comes after the part that says which alerts fire."""

    async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
        service = read_inference_service(parent)
        return UNCHANGED if service.metadata.deleting else plan(view_of(service, world, trainer, now))

    return Part("report", contribute, FIELDS, children=[Child(JOBS, applied=False, deleted=True)])


def view_of(service: InferenceService, world: World, trainer: Image, now: datetime) -> View:
    """Collect what the plan looks at from the cache."""
    owned = {
        job["metadata"]["name"]: job
        for job in world.owned(JOBS, service.namespace, service.uid)
        if REPORT_LABEL in (job["metadata"].get("labels") or {})
    }
    pods = {name: world.owned(PODS, service.namespace, job["metadata"]["uid"]) for name, job in owned.items()}
    return View(service, _version(service, world), owned, pods, trainer, now)


def _version(service: InferenceService, world: World) -> ModelVersion | None:
    """Return the version of the report in progress, else the stable one; None when it is not there or cannot be read."""
    report, stable = service.status.report, service.status.stable
    going = report.job if report is not None and report.job is not None and not report.job.over else None
    name = going.version if going is not None else stable.version if stable is not None else None
    found = world.get(MODEL_VERSIONS, service.namespace, name) if name is not None else None
    return next(iter(readable_model_versions([found] if found is not None else [])), None)


def keys_of_pod(pod: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceService that the labels of a pod name; whose it is, is told by owners."""
    name = (pod["metadata"].get("labels") or {}).get(REPORT_LABEL)
    return [Key(pod["metadata"]["namespace"], name)] if name else []
