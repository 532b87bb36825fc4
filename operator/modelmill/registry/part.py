"""The part of a ModelVersion: collects what its plan looks at from the cache."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modelmill.api.claims import claims_of, wanted_aliases
from modelmill.api.objects import read_meta, read_model_version
from modelmill.api.references import MODEL, VERSION, version_model
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.api.tracks import read_tracks
from modelmill.engine.interface import World
from modelmill.engine.parts import Contribution, Part
from modelmill.engine.table import Concern
from modelmill.kube.managed_fields import with_entries_of, writer_of
from modelmill.kube.objects import Key, Manifest
from modelmill.registry.aliases import ALIASES, settled
from modelmill.registry.plan import CONDITIONS, FIELDS, View, foreign_finalizers, plan

APPROVAL = ("spec", "approval")


async def contribute(parent: Manifest, world: World, now: datetime) -> Contribution:
    """Return what the ModelVersion needs; see `engine.parts.Contribute`."""
    meta = read_meta(parent)
    services = [read_tracks(one) for one in world.found_by(INFERENCE_SERVICES, meta.namespace, VERSION, meta.name)]
    if meta.deleting and not any(one.wants(meta.name) for one in services) and not foreign_finalizers(meta):
        # It goes with our finalizer: no status is written to what is gone. Before it is read, since a version that another
        # release made must be able to go, too.
        return Contribution(finalizer=False)
    family = (
        world.found_by(MODEL_VERSIONS, meta.namespace, MODEL, version_model(parent)) if wanted_aliases(parent) else ()
    )
    return plan(View(read_model_version(parent), services, writer_of(parent, APPROVAL), settled(parent, family, now)))


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
REGISTRY = Part("registry", contribute, fields=FIELDS, conditions=CONDITIONS, finalizer=True)
