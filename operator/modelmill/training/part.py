"""The part of a TrainingJob that runs it: its view from the cache, its plan, and which other objects concern it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime

from pydantic.alias_generators import to_camel

from modelmill.api.imports import published
from modelmill.api.objects import (
    TrainingJob,
    read_training_job,
    readable_inference_services,
    readable_model_versions,
)
from modelmill.api.references import (
    MODEL,
    RETRAINS,
    VERSION,
    followed_model,
    pinned_version,
    retraining_job,
    trained_model,
    version_model,
)
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.api.tracks import read_tracks
from modelmill.api.training_job_status import TrainingJobStatus
from modelmill.api.versions import MAX_NUMBER, version_number
from modelmill.engine.interface import Reads, World
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.engine.table import Concern
from modelmill.kube import labels
from modelmill.kube.objects import Key, Manifest, beside_status
from modelmill.kube.resources import CONFIG_MAPS, CORE_EVENTS, JOBS, PODS
from modelmill.training.builders.look_job import LOOK
from modelmill.training.conditions import TYPES
from modelmill.training.ownership import claim, owner
from modelmill.training.plan import plan
from modelmill.training.search.curves import with_reports
from modelmill.training.search.ledgers import with_ledgers
from modelmill.training.search.suggestion import suggested
from modelmill.training.turns import Turns
from modelmill.training.view import View
from modelmill.training.witness import READ_AGAIN_SECONDS, witnessed
from modelmill.tuning.reports import Reports
from modelmill.tuning.sampler import Sampler
from modelmill.workloads import refusals
from modelmill.workloads.containers import Image

FIELDS = tuple(to_camel(one.name) for one in fields(TrainingJobStatus))
WRITTEN_BY_THE_ENGINE = ("conditions", "observedGeneration")


def training_part(trainer: Image, reads: Reads, sampler: Sampler, reports: Reports, turns: Turns | None = None) -> Part:
    """Return the part of a TrainingJob that runs it.

    trainer: image of the built-in stages. sampler: suggests the trials of searches. reports: what trials report. turns: whose
    turn it is to start a run that nobody asked for; None where it is everybody's.
    """
    turns = turns or Turns()

    async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
        training_job = read_training_job(parent)
        if training_job.metadata.deleting:
            return UNCHANGED
        viewed = replace(view_of(training_job, world, now), turn=turns.of(parent, world))
        cached = with_ledgers(viewed, world)
        view = await witnessed(cached, reads)
        seen = with_reports(replace(view, refusals=_refusals(view, world)), reports)
        made = plan(await suggested(seen, sampler), trainer)
        if view is not cached:
            # No event may come of what the cache did not hold.
            made = replace(made, requeue_after=min(made.requeue_after or READ_AGAIN_SECONDS, READ_AGAIN_SECONDS))
        return made

    return Part(
        "runs",
        contribute,
        fields=[name for name in FIELDS if name not in WRITTEN_BY_THE_ENGINE],
        conditions=TYPES,
        children=[
            Child(JOBS, applied=False, deleted=True),
            Child(MODEL_VERSIONS, applied=False, deleted=True),
            Child(CONFIG_MAPS, applied=True),
        ],
    )


def view_of(training_job: TrainingJob, world: World, now: datetime) -> View:
    """Collect what the plan looks at from the cache."""
    namespace, model = training_job.namespace, training_job.spec.model
    jobs = {job["metadata"]["name"]: job for job in world.owned(JOBS, namespace, training_job.uid)}
    labelled = world.labelled(MODEL_VERSIONS, namespace, labels.MODEL_LABEL, model)
    versions = [one for one in labelled if one["spec"].get("model") == model]
    same_model = world.found_by(TRAINING_JOBS, namespace, MODEL, model)
    owning = owner(same_model, world)
    serving = world.found_by(INFERENCE_SERVICES, namespace, MODEL, model)
    retraining = world.found_by(INFERENCE_SERVICES, namespace, RETRAINS, training_job.name)
    services = (*serving, *(one for one in retraining if followed_model(one) != model))
    return View(
        training_job=training_job,
        next_number=_next_number(training_job, versions, world),
        jobs=jobs,
        pods={name: world.owned(PODS, namespace, job["metadata"]["uid"]) for name, job in jobs.items()},
        versions=readable_model_versions(versions),
        services=readable_inference_services(services),
        now=now,
        owner=owning.name if owning is not None and owning.uid != training_job.uid else None,
        used=_used(training_job, versions, world),
    )


def _used(training_job: TrainingJob, versions: Iterable[Manifest], world: World) -> frozenset[str]:
    """Return the versions that an InferenceService has in a track or pins. Nobody asks where all versions stay."""
    if training_job.spec.versions.history_limit is None:
        return frozenset()
    names = [one["metadata"]["name"] for one in versions]
    naming = {name: world.found_by(INFERENCE_SERVICES, training_job.namespace, VERSION, name) for name in names}
    return frozenset(
        name
        for name, services in naming.items()
        if any(read_tracks(one).wants(name) or pinned_version(one) == name for one in services)
    )


def _refusals(view: View, world: World) -> dict[str, str]:
    """Return, by Job of the run in progress or of a look, why its pods were refused since the last one that was made."""
    current = view.status.current_run
    found = {}
    for name, job in view.jobs.items():
        said = job["metadata"].get("labels") or {}
        of_run = current is not None and said.get(labels.RUN_LABEL) == str(current.number)
        if not of_run and said.get(labels.STEP_LABEL) != LOOK:
            continue
        events = world.found_by(CORE_EVENTS, view.namespace, refusals.ABOUT, job["metadata"]["uid"])
        words = refusals.refusal(job, view.pods.get(name, ()), events)
        if words is not None:
            found[name] = words
    return found


def keys_of_refusal(event: Manifest, world: World) -> Iterable[Key]:
    """Return the TrainingJob whose Job the Event is about; none for a Job that is not ours."""
    namespace, involved = event["metadata"]["namespace"], refusals.about(event)
    job = world.get(JOBS, namespace, involved.get("name", ""))
    if job is None or job["metadata"]["uid"] != involved.get("uid"):
        return []
    owners = job["metadata"].get("ownerReferences") or ()
    return [
        Key(namespace, one["name"]) for one in owners if one.get("controller") and one["kind"] == TRAINING_JOBS.kind
    ]


def keys_of_pod(pod: Manifest, world: World) -> Iterable[Key]:
    """Return the TrainingJob that a pod of a run belongs to."""
    name = (pod["metadata"].get("labels") or {}).get(labels.TRAINING_JOB_LABEL)
    return [Key(pod["metadata"]["namespace"], name)] if name else []


def keys_of_service(service: Manifest, world: World) -> Iterable[Key]:
    """Return the TrainingJob that an InferenceService retrains by: its alerts are reasons to run."""
    name = retraining_job(service)
    return [Key(service["metadata"]["namespace"], name)] if name else []


def _read_by_runs(service: Manifest) -> object:
    """Return what the plan of a TrainingJob looks at of an InferenceService; None of one that cannot be read."""
    found = readable_inference_services([service])
    if not found:
        return None
    spec, status = found[0].spec, found[0].status
    stable = status.stable.version if status.stable is not None else None
    rolled = (status.failed_revision, status.rollback, status.rollback_held)
    return spec.model, spec.monitoring, stable, status.alerts, rolled


def _next_number(training_job: TrainingJob, versions: Iterable[Manifest], world: World) -> int:
    """Return a number above every run and every version of the model, whose name as a version is free.

    A version that somebody made without the label of its model is seen only by its name.
    """
    last = training_job.status.last_run
    numbers = [version_number(one["metadata"]["name"]) for one in versions]
    ran = last.number if last is not None and last.number <= MAX_NUMBER else 0
    number = max([ran, *numbers]) + 1
    while world.get(MODEL_VERSIONS, training_job.namespace, f"{training_job.spec.model}-{number}") is not None:
        number += 1
    return number


def keys_of_version(version: Manifest, world: World) -> Iterable[Key]:
    """Return the TrainingJobs of the version's model: they tell which is the best."""
    namespace = version["metadata"]["namespace"]
    same = world.found_by(TRAINING_JOBS, namespace, MODEL, version_model(version))
    return [Key(namespace, one["metadata"]["name"]) for one in same]


def keys_of_same_model(training_job: Manifest, world: World) -> Iterable[Key]:
    """Return the other TrainingJobs of the model: which of them may train depends on which there are."""
    meta = training_job["metadata"]
    same = world.found_by(TRAINING_JOBS, meta["namespace"], MODEL, trained_model(training_job))
    return [Key(meta["namespace"], one["metadata"]["name"]) for one in same if one["metadata"]["uid"] != meta["uid"]]


SERVICES = Concern(keys_of_service, reads=_read_by_runs)
REFUSALS = Concern(keys_of_refusal, needed=False)


def _read_of_version(version: Manifest) -> object:
    """Return what the plan of a TrainingJob looks at of a version, and whether it is served: else it may have to go."""
    return beside_status(version), bool((version.get("status") or {}).get("servedBy")), published(version)


VERSIONS = Concern(keys_of_version, reads=_read_of_version)


def others(turns: Turns) -> Concern:
    """Return whom a change of a TrainingJob concerns: those of the same model, and those whose turn is next."""
    return Concern(
        lambda job, world: (*keys_of_same_model(job, world), *turns.next(world)),
        reads=lambda job: (claim(job), turns.reads(job)),
    )
