"""The part of an InferenceService that scores prefixes: collects what its plan looks at from the cache."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from modelmill.api.objects import InferenceService, ModelVersion, read_inference_service, readable_model_versions
from modelmill.api.resources import MODEL_VERSIONS
from modelmill.batch.plan import FIELDS, plan
from modelmill.batch.view import View, not_done
from modelmill.engine.errors import NotFound
from modelmill.engine.interface import Reads, World
from modelmill.engine.parts import UNCHANGED, Child, Contribution, Part
from modelmill.kube.labels import BATCH_LABEL
from modelmill.kube.objects import Key, Manifest
from modelmill.kube.resources import CORE_EVENTS, JOBS, PODS
from modelmill.workloads import refusals
from modelmill.workloads.containers import Image

READ_AGAIN_SECONDS: Final = 5.0


def batch_part(image: Image, reads: Reads, model_code: Collection[str] = ()) -> Part:
    """Return the part. image: the server of this release, which the pods of runs have. reads: the API server.

    model_code: namespaces in which models may run code of their own; `*` for all.
    """
    permitted = frozenset(model_code)

    async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
        service = read_inference_service(parent)
        if service.metadata.deleting:
            return UNCHANGED
        view = replace(
            view_of(service, world, image, now), model_code=not permitted.isdisjoint({service.namespace, "*"})
        )
        if await _behind(view, reads):
            return replace(UNCHANGED, requeue_after=READ_AGAIN_SECONDS)
        return plan(view)

    return Part("batch", contribute, FIELDS, children=[Child(JOBS, applied=False, deleted=True)])


async def _behind(view: View, reads: Reads) -> bool:
    """Tell whether the cache lacks the Job, or the version, of a run in progress: it is not recorded as lost then.

    Raises ApiError when the API server cannot be asked: then nothing is decided.
    """
    for one in view.service.status.batch:
        run = one.running
        if run is None or run.name in view.jobs:
            continue
        if run.phase == "Pending":
            if run.version not in view.versions and await _is_there(view, reads, run.version):
                return True
            continue
        with suppress(NotFound):
            job = await reads.get(JOBS, view.service.namespace, run.name)
            owners = job["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == view.service.uid for owner in owners):
                return True
    return False


async def _is_there(view: View, reads: Reads, version: str) -> bool:
    try:
        await reads.get(MODEL_VERSIONS, view.service.namespace, version)
    except NotFound:
        return False
    return True


def view_of(service: InferenceService, world: World, image: Image, now: datetime) -> View:
    """Collect what the plan looks at from the cache."""
    namespace = service.namespace
    owned = {
        job["metadata"]["name"]: job
        for job in world.owned(JOBS, namespace, service.uid)
        if BATCH_LABEL in (job["metadata"].get("labels") or {})
    }
    pods = {name: world.owned(PODS, namespace, job["metadata"]["uid"]) for name, job in owned.items()}
    running = [run for one in service.status.batch if (run := one.running) is not None]
    foreign = (
        run.name for run in running if run.name not in owned and world.get(JOBS, namespace, run.name) is not None
    )
    return View(
        service=service,
        versions={one.name: one for one in _versions(service, world)},
        jobs=owned,
        pods=pods,
        image=image,
        now=now,
        refusals={name: words for name, job in owned.items() if (words := _refusal(job, pods[name], world, now))},
        foreign=frozenset(foreign),
    )


def _versions(service: InferenceService, world: World) -> Iterator[ModelVersion]:
    """Yield the versions of runs whose Jobs are still to be made."""
    names = {run.version for one in service.status.batch if (run := one.running) is not None and run.phase == "Pending"}
    found = (world.get(MODEL_VERSIONS, service.namespace, name) for name in sorted(names))
    yield from readable_model_versions(one for one in found if one is not None)


def _refusal(job: Manifest, pods: Sequence[Manifest], world: World, now: datetime) -> str | None:
    """Return why the API server refuses pods of the Job, once that has lasted."""
    seen, meta = not_done(pods), job["metadata"]
    waited = refusals.waiting_for_pod(job, seen, now)
    if waited is None or waited < refusals.PATIENCE:
        return None
    return refusals.refusal(job, seen, world.found_by(CORE_EVENTS, meta["namespace"], refusals.ABOUT, meta["uid"]))


def keys_of_pod(pod: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceService that the labels of a pod name; whose it is, is told by owners."""
    name = (pod["metadata"].get("labels") or {}).get(BATCH_LABEL)
    return [Key(pod["metadata"]["namespace"], name)] if name else []


def keys_of_refusal(event: Manifest, world: World) -> Iterable[Key]:
    """Return the InferenceService whose Job's pods an Event says are refused."""
    namespace, involved = event["metadata"]["namespace"], refusals.about(event)
    job = world.get(JOBS, namespace, str(involved.get("name") or ""))
    return keys_of_pod(job, world) if job is not None else []
