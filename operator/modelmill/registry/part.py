"""The part of a ModelVersion: collects what its plan looks at from the cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from modelmill.api.claims import claims_of, wanted_aliases
from modelmill.api.objects import ModelVersion, read_meta, read_model_version
from modelmill.api.references import MODEL, VERSION, version_model
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.api.tracks import read_tracks
from modelmill.engine.errors import NotFound
from modelmill.engine.interface import Event, Reads, World
from modelmill.engine.parts import Child, Contribution, Part
from modelmill.engine.table import Concern
from modelmill.kube import labels
from modelmill.kube.labels import IN_USE_FINALIZER
from modelmill.kube.managed_fields import with_entries_of, writer_of
from modelmill.kube.objects import Key, Manifest, ObjectInvalid
from modelmill.kube.resources import JOBS, NETWORK_POLICIES, PODS
from modelmill.registry import importing
from modelmill.registry.aliases import ALIASES, settled
from modelmill.registry.plan import CONDITIONS, FIELDS, View, foreign_finalizers, plan
from modelmill.registry.removal import (
    DELETE,
    KEPT,
    Removal,
    Step,
    build_policy,
    job_name,
    next_step,
    policy_of,
    sharers_of,
)
from modelmill.workloads.containers import Image
from modelmill.workloads.network import Network

APPROVAL = ("spec", "approval")


@dataclass(frozen=True, slots=True)
class Made:
    """What the part was made with, as in `registry_part`."""

    trainer: Image
    network: Network | None
    reads: Reads


def registry_part(trainer: Image, network: Network | None, reads: Reads) -> Part:
    """Return the part. trainer: image of the Jobs that import and remove; network: what their NetworkPolicies are made from.

    reads: asked for the Job of an import that the cache does not have.
    """

    async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
        return await _contribution(parent, world, now, Made(trainer, network, reads))

    policies = [Child(NETWORK_POLICIES, applied=True)] if network is not None else []
    children = [Child(JOBS, applied=False, deleted=True), *policies]
    return Part("registry", contribute, fields=FIELDS, conditions=CONDITIONS, children=children, finalizer=True)


async def _contribution(parent: Manifest, world: World, now: datetime, given: Made) -> Contribution:
    """Return what the ModelVersion needs; see `engine.parts.Contribute`."""
    meta = read_meta(parent)
    services = [read_tracks(one) for one in world.found_by(INFERENCE_SERVICES, meta.namespace, VERSION, meta.name)]
    removal = None
    if meta.deleting and not any(one.wants(meta.name) for one in services):
        removal = _removal(parent, world, now, given.trainer)
        if (removal is None or removal.condition is None) and not foreign_finalizers(meta):
            # It goes with our finalizer: no status is written to what is gone. Before it is read, since a version that another
            # release made must be able to go, too.
            return Contribution(apply=None, finalizer=False, events=removal.events if removal is not None else ())
    family = (
        world.found_by(MODEL_VERSIONS, meta.namespace, MODEL, version_model(parent)) if wanted_aliases(parent) else ()
    )
    version = read_model_version(parent)
    step, network = await _import(version, world, now, given), given.network
    made = plan(View(version, services, writer_of(parent, APPROVAL), settled(parent, family, now), removal, step))
    if network is None:
        return made
    if removal is not None and removal.condition is not None:
        return replace(made, apply=[build_policy(version, network)])
    if step is not None and step.imported is None and version.spec.source is not None:
        return replace(made, apply=[importing.build_policy(version, version.spec.source, network)])
    return made


async def _import(version: ModelVersion, world: World, now: datetime, given: Made) -> importing.Step | None:
    """Return what is next of the import; None for a version without a source, and for one that goes before it was imported."""
    source = version.spec.source
    if source is None or (version.metadata.deleting and version.status.imported is None):
        return None
    job, pods = _ours(version, importing.job_name(version), world)
    told = any(one.type == importing.VERIFIED for one in version.status.conditions)
    if job is not None or not told or version.status.imported is not None:
        return importing.next_step(importing.Import(version, source, job, pods, now), given.trainer)
    # A Job was made, and the cache has none: it may have been deleted, which is how a person tries again, or lost its label.
    job, pods = await _read(version, given.reads)
    return importing.next_step(importing.Import(version, source, job, pods, now, read=job is not None), given.trainer)


async def _read(version: ModelVersion, reads: Reads) -> tuple[Manifest | None, Sequence[Manifest]]:
    """Return the version's Job that imports it and its pods, as the API server has them."""
    try:
        job = await reads.get(JOBS, version.namespace, importing.job_name(version))
    except NotFound:
        return None, ()
    if not _owned_by(job, version.uid):
        return None, ()
    selector = f"{labels.IMPORTS_LABEL}={version.name}"
    pods, _ = await reads.list(PODS, version.namespace, label_selector=selector)
    return job, [pod for pod in pods if _owned_by(pod, job["metadata"]["uid"])]


def _owned_by(obj: Manifest, uid: str) -> bool:
    return any(one["uid"] == uid for one in obj["metadata"].get("ownerReferences") or ())


def _ours(version: ModelVersion, name: str, world: World) -> tuple[Manifest | None, Sequence[Manifest]]:
    """Return the version's Job of this name, if it is the version's, and its pods."""
    job = world.get(JOBS, version.namespace, name)
    if job is None or not any(one is job for one in world.owned(JOBS, version.namespace, version.uid)):
        return None, ()
    return job, world.owned(PODS, version.namespace, job["metadata"]["uid"])


def _removal(parent: Manifest, world: World, now: datetime, trainer: Image) -> Step | None:
    """Return what is next of removing the artifact; None when that is not asked for, or was done."""
    meta = read_meta(parent)
    if policy_of(parent) != DELETE or IN_USE_FINALIZER not in meta.finalizers:
        return None
    try:
        version = read_model_version(parent)
    except ObjectInvalid as error:
        text = f"the artifact was not removed: {error}"
        return Step(events=(Event("Warning", KEPT, text[:1000]),))
    artifact = version.spec.artifact
    if artifact is None:
        return None
    job, pods = _ours(version, job_name(version), world)
    sharers = sharers_of(parent, world.list(MODEL_VERSIONS))
    return next_step(Removal(version, artifact, sharers, job, pods, now), trainer)


def reduced(version: Manifest) -> Manifest:
    """Return a ModelVersion as the cache keeps it: of its managedFields only who set its approval and aliases is read."""
    return with_entries_of(version, APPROVAL, ALIASES)


def keys_of_pod(pod: Manifest, world: World) -> Iterable[Key]:
    """Return the version that the labels of a pod of an import name; whose it is, is told by owners."""
    name = (pod["metadata"].get("labels") or {}).get(labels.IMPORTS_LABEL)
    return [Key(pod["metadata"]["namespace"], name)] if name else []


def keys_of_service(service: Manifest, world: World) -> Iterable[Key]:
    """Return the versions that a service wants or gave up."""
    return [Key(service["metadata"]["namespace"], name) for name in sorted(read_tracks(service).versions)]


def keys_of_claimant(version: Manifest, world: World) -> Iterable[Key]:
    """Return the other versions of the model that claim an alias of this one."""
    meta, aliases = version["metadata"], wanted_aliases({**version, "metadata": {}})
    if not aliases:
        return []
    family = world.found_by(MODEL_VERSIONS, meta["namespace"], MODEL, version_model(version))
    names = [one["metadata"]["name"] for one in family if aliases & wanted_aliases(one)]
    return [Key(meta["namespace"], name) for name in names if name != meta["name"]]


CLAIMS = Concern(keys_of_claimant, reads=claims_of)
"""Who has an alias is told by every version that claims it."""
SERVICES = Concern(keys_of_service, reads=read_tracks)
"""A version is bound and freed by what services say of it."""
