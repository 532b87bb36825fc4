"""Parts: each concern of a kind says what it adds, and one plan is composed of what they say.

A part owns fields and conditions of the status and kinds of children, so that two parts cannot write over each other and
what no part wants any more is removed. The table of the parts (`Controller.parts`) is the one place that the watches, the
RBAC rules and the simulations of the tests are made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, Protocol

from modelmill.engine.interface import Aside, Delete, Event, Patch, Plan, World
from modelmill.engine.refusals import not_ready
from modelmill.kube.conditions import Condition, merge
from modelmill.kube.objects import Manifest, ObjectInvalid, Resource

_SHARED_FIELDS = frozenset({"conditions", "observedGeneration"})


@dataclass(frozen=True, slots=True)
class Child:
    """A kind of children that a part may have.

    applied: True for level children (server-side apply, removed when no part wants them), False for those that run to
    completion (POST under a deterministic name).
    deleted: whether the part itself deletes some that run to completion.
    suffix: end of the names of its level children, where another part has level children of the kind too.
    """

    resource: Resource
    applied: bool
    deleted: bool = False
    suffix: str = ""

    @property
    def removed(self) -> bool:
        """Whether the operator deletes such children."""
        return self.applied or self.deleted


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one part wants for one object.

    create, delete, patch, events, aside, finalizer, requeue_after: as in `Plan`.
    apply: the level children that must exist, in the order of their writes; None leaves all of this part's as they are.
    keep: (kind, name) of level children that may stay as they are although they are not in `apply`.
    status: the part's fields in manifest form; one that is not there is removed. None leaves them and the conditions.
    conditions: the part's conditions; one that is not there is removed.
    """

    create: Sequence[Manifest] = ()
    apply: Sequence[Manifest] | None = ()
    keep: Sequence[tuple[Resource, str]] = ()
    delete: Sequence[Delete] = ()
    patch: Sequence[Patch] = ()
    finalizer: bool | None = None
    status: Mapping[str, Any] | None = None
    conditions: Sequence[Condition] = ()
    events: Sequence[Event] = ()
    aside: Sequence[Aside] = ()
    requeue_after: float | None = None

    @property
    def applied(self) -> Sequence[Manifest]:
        """All level children that it wants."""
        return [*(self.apply or ()), *(child for aside in self.aside for child in aside.apply)]

    @property
    def created(self) -> Sequence[Manifest]:
        """All children that run to completion that it wants made."""
        return [*self.create, *(child for aside in self.aside for child in aside.create)]


UNCHANGED = Contribution(apply=None)
"""Nothing is to be done, e.g. for an object that is being deleted: its children go with it."""


class Contribute(Protocol):
    """Says what a part wants. Raises ObjectInvalid for an object that it cannot read."""

    async def __call__(self, parent: Manifest, world: World, now: datetime) -> Contribution:
        """Return the contribution; `parent` has the status as the parts before this one left it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One concern of a kind.

    fields, conditions: names in the status that this part alone writes. children: kinds of its children.
    finalizer: whether it holds objects by the operator's finalizer.
    """

    name: str
    contribute: Contribute
    fields: Sequence[str] = ()
    conditions: Sequence[str] = ()
    children: Sequence[Child] = ()
    finalizer: bool = False


class Composed:
    """The reconciler of a kind: its parts in order, each seeing the status that those before it made."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Raise ValueError when two parts own the same field, condition or kind of children."""
        for what in ("fields", "conditions"):
            names = [name for part in parts for name in getattr(part, what)]
            if len(names) != len(set(names)) or _SHARED_FIELDS & set(names):
                raise ValueError(f"{what} are owned twice: {sorted(names)}")
        applied = [child for part in parts for child in part.children if child.applied]
        if any(_overlap(one, other) for one, other in combinations(applied, 2)):
            raise ValueError(
                f"kinds of level children are owned twice: {sorted(child.resource.kind for child in applied)}"
            )
        self._parts = tuple(parts)

    async def __call__(self, parent: Manifest, world: World, now: datetime) -> Plan:
        """Return the plan; see `interface.Reconciler`. An object that a part cannot read is told in its conditions."""
        before = parent.get("status") or {}
        status: dict[str, Any] = self._known(before)
        wanted: list[tuple[Part, Contribution]] = []
        try:
            for part in self._parts:
                contribution = await part.contribute({**parent, "status": status}, world, now)
                _check(part, contribution)
                wanted.append((part, contribution))
                status = _with(status, part, contribution, parent, before, now)
        except ObjectInvalid as error:
            message = f"{error}; nothing is changed until it is mended"
            return Plan(status=not_ready(parent, "SpecInvalid", message, now, stalled=True))
        return _plan(parent, world, wanted, status if status or before else None)

    def _known(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return what some part still owns; what an older release wrote is removed."""
        fields = {name for part in self._parts for name in part.fields} | _SHARED_FIELDS
        conditions = {name for part in self._parts for name in part.conditions}
        known = {name: value for name, value in before.items() if name in fields}
        if "conditions" in known:
            known["conditions"] = [old for old in known["conditions"] if old["type"] in conditions]
        return known


def _check(part: Part, contribution: Contribution) -> None:
    """Raise ValueError for what the part has not said that it writes: nobody would have been asked to permit it."""
    foreign = set(contribution.status or ()) - set(part.fields)
    foreign |= {condition.type for condition in contribution.conditions} - set(part.conditions)
    foreign |= {aside.condition for aside in contribution.aside if aside.condition} - set(part.conditions)
    foreign |= _kinds(contribution.created) - _declared(child for child in part.children if not child.applied)
    ours = [child for child in part.children if child.applied]
    foreign |= {one["kind"] for one in contribution.applied if not any(_is_of(one, child) for child in ours)}
    foreign |= {patch.resource.kind for patch in contribution.patch} - _declared(ours)
    removed = {delete.resource.kind for delete in contribution.delete}
    foreign |= removed - _declared(child for child in part.children if child.removed)
    if contribution.finalizer is not None and not part.finalizer:
        foreign.add("the finalizer")
    if foreign:
        raise ValueError(f"part {part.name} writes what it does not own: {', '.join(sorted(foreign))}")


def _kinds(manifests: Sequence[Manifest]) -> set[str]:
    return {manifest["kind"] for manifest in manifests}


def _overlap(one: Child, other: Child) -> bool:
    """Tell whether an object can be a child of both."""
    return one.resource == other.resource and (one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix))


def _is_of(manifest: Manifest, child: Child) -> bool:
    name: str = manifest["metadata"]["name"]
    return manifest["kind"] == child.resource.kind and name.endswith(child.suffix)


def _declared(children: Iterable[Child]) -> set[str]:
    return {child.resource.kind for child in children}


def _with(
    status: Mapping[str, Any],
    part: Part,
    contribution: Contribution,
    parent: Manifest,
    before: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Return the status with what the part says in the place of what it said before."""
    if contribution.status is None:
        return dict(status)
    generation = int(parent["metadata"].get("generation", 1))
    others = [old for old in status.get("conditions") or () if old["type"] not in part.conditions]
    merged = merge(before.get("conditions") or (), contribution.conditions, generation, now)
    kept = {name: value for name, value in status.items() if name not in part.fields}
    return {**kept, **contribution.status, "conditions": [*others, *merged], "observedGeneration": generation}


def _plan(parent: Manifest, world: World, wanted: Sequence[tuple[Part, Contribution]], status: Manifest | None) -> Plan:
    contributions = [contribution for _, contribution in wanted]
    waits = [said.requeue_after for said in contributions if said.requeue_after is not None]
    finalizers = [said.finalizer for said in contributions if said.finalizer is not None]
    return Plan(
        patch=tuple(patch for said in contributions for patch in said.patch),
        create=[child for said in contributions for child in said.create],
        apply=[child for said in contributions for child in said.apply or ()],
        delete=[
            *(delete for said in contributions for delete in said.delete),
            *(delete for part, said in wanted for delete in _unwanted(parent, world, part, said)),
        ],
        finalizer=any(finalizers) if finalizers else None,
        status=status,
        events=[event for said in contributions for event in said.events],
        aside=[aside for said in contributions for aside in said.aside],
        requeue_after=min(waits) if waits else None,
    )


def _unwanted(parent: Manifest, world: World, part: Part, contribution: Contribution) -> list[Delete]:
    """Return the level children of the part that it does not want any more."""
    if contribution.apply is None:
        return []
    stay = {(child["kind"], child["metadata"]["name"]) for child in contribution.applied}
    stay |= {(resource.kind, name) for resource, name in contribution.keep}
    unwanted = []
    for declared in (child for child in part.children if child.applied):
        resource = declared.resource
        for child in world.owned(resource, parent["metadata"]["namespace"], parent["metadata"]["uid"]):
            meta = child["metadata"]
            wanted = (resource.kind, meta["name"]) in stay or not meta["name"].endswith(declared.suffix)
            if not wanted and "deletionTimestamp" not in meta:
                unwanted.append(Delete(resource, meta["namespace"], meta["name"], meta["uid"]))
    return unwanted
