"""The part of a ModelVersion: collects what its plan looks at from the cache."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from modelmill.api.claims import claims_of, wanted_aliases
from modelmill.api.objects import read_meta, read_model_version
from modelmill.api.references import MODEL, VERSION, version_model
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.api.tracks import read_tracks
from modelmill.engine.interface import Event, World
from modelmill.engine.parts import Child, Contribution, Part
from modelmill.engine.table import Concern
from modelmill.kube.labels import IN_USE_FINALIZER
from modelmill.kube.managed_fields import with_entries_of, writer_of
from modelmill.kube.objects import Key, Manifest, ObjectInvalid
from modelmill.kube.resources import JOBS, NETWORK_POLICIES, PODS
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


def registry_part(remover: Image, network: Network | None) -> Part:
    """Return the part. remover: image of the Jobs that remove artifacts; network: what their NetworkPolicies are made from."""

    async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
        return _contribution(parent, world, now, remover, network)

    policies = [Child(NETWORK_POLICIES, applied=True)] if network is not None else []
    children = [Child(JOBS, applied=False), *policies]
    return Part("registry", contribute, fields=FIELDS, conditions=CONDITIONS, children=children, finalizer=True)


def _contribution(
    parent: Manifest, world: World, now: datetime, remover: Image, network: Network | None
) -> Contribution:
    """Return what the ModelVersion needs; see `engine.parts.Contribute`."""
    meta = read_meta(parent)
    services = [read_tracks(one) for one in world.found_by(INFERENCE_SERVICES, meta.namespace, VERSION, meta.name)]
    removal = None
    if meta.deleting and not any(one.wants(meta.name) for one in services):
        removal = _removal(parent, world, now, remover)
        if (removal is None or removal.condition is None) and not foreign_finalizers(meta):
            # It goes with our finalizer: no status is written to what is gone. Before it is read, since a version that another
            # release made must be able to go, too.
            return Contribution(apply=None, finalizer=False, events=removal.events if removal is not None else ())
    family = (
        world.found_by(MODEL_VERSIONS, meta.namespace, MODEL, version_model(parent)) if wanted_aliases(parent) else ()
    )
    version = read_model_version(parent)
    made = plan(View(version, services, writer_of(parent, APPROVAL), settled(parent, family, now), removal))
    if network is None or removal is None or removal.condition is None:
        return made
    return replace(made, apply=[build_policy(version, network)])


def _removal(parent: Manifest, world: World, now: datetime, remover: Image) -> Step | None:
    """Return what is next of removing the artifact; None when that is not asked for, or was done."""
    meta = read_meta(parent)
    if policy_of(parent) != DELETE or IN_USE_FINALIZER not in meta.finalizers:
        return None
    try:
        version = read_model_version(parent)
    except ObjectInvalid as error:
        text = f"the artifact was not removed: {error}"
        return Step(events=(Event("Warning", KEPT, text[:1000]),))
    job = world.get(JOBS, meta.namespace, job_name(version))
    owned = [one for one in world.owned(JOBS, meta.namespace, meta.uid) if one is job]
    pods = world.owned(PODS, meta.namespace, job["metadata"]["uid"]) if owned and job is not None else ()
    sharers = sharers_of(parent, world.list(MODEL_VERSIONS))
    return next_step(Removal(version, sharers, job if owned else None, pods, now), remover)


def reduced(version: Manifest) -> Manifest:
    """Return a ModelVersion as the cache keeps it: of its managedFields only who set its approval and aliases is read."""
    return with_entries_of(version, APPROVAL, ALIASES)


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
