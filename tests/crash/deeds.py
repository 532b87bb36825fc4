"""What people and other programs do to objects while the operator works: delete, make again, relabel, orphan, edit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.kube import labels
from modelmill.kube.objects import Resource
from modelmill.kube.resources import (
    ALERTMANAGER_CONFIGS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    JOBS,
    NETWORK_POLICIES,
    POD_DISRUPTION_BUDGETS,
    POD_MONITORS,
    PODS,
    PROMETHEUS_RULES,
    REPLICA_SETS,
    SERVICES,
)
from tests.crash.memory_api import Object
from tests.crash.world import World
from tests.support.fake_api import remove

PARENTS = (TRAINING_JOBS, MODEL_VERSIONS, INFERENCE_SERVICES)
LEVEL = (
    NETWORK_POLICIES, DEPLOYMENTS, SERVICES, HTTP_ROUTES, POD_DISRUPTION_BUDGETS, HORIZONTAL_POD_AUTOSCALERS, CONFIG_MAPS,
    PROMETHEUS_RULES, POD_MONITORS, ALERTMANAGER_CONFIGS,
)  # fmt: skip
"""Children that are kept as the plan wants them."""
CHILDREN = (*LEVEL, JOBS, PODS, REPLICA_SETS)

CUT_SECONDS = 10.0

EDITS: Mapping[Resource, tuple[tuple[str, ...], Any]] = {
    DEPLOYMENTS: (("spec", "replicas"), 5),
    SERVICES: (("spec", "selector"), {"app": "another"}),
    HTTP_ROUTES: (("spec", "rules"), [{"backendRefs": [{"name": "another", "port": 1}]}]),
    NETWORK_POLICIES: (("spec", "podSelector"), {"matchLabels": {"app": "another"}}),
    POD_DISRUPTION_BUDGETS: (("spec", "maxUnavailable"), 7),
    HORIZONTAL_POD_AUTOSCALERS: (("spec", "maxReplicas"), 9),
    CONFIG_MAPS: (("data",), {"another": "text"}),
    PROMETHEUS_RULES: (("spec", "groups"), []),
    POD_MONITORS: (("spec", "selector"), {"matchLabels": {"app": "another"}}),
    ALERTMANAGER_CONFIGS: (("spec", "receivers"), []),
    JOBS: (("spec", "ttlSecondsAfterFinished"), 86_400),
}
"""By kind, a field that another hand sets, and to what."""


class Deed(Protocol):
    """Something that happens at one moment.

    fault: its number in docs/reliability.md. heals: whether the end is as if it had not happened. resource: what it happens
    to, so that there must be one; None when it always can.
    """

    @property
    def fault(self) -> str: ...

    @property
    def heals(self) -> bool: ...

    @property
    def resource(self) -> Resource | None: ...

    def carry_out(self, world: World) -> None:
        """Let it happen."""


@dataclass(frozen=True)
class ByHand:
    """What is done to every object of a kind that there is, but for the routes of people.

    cut: seconds for which the kind's watch tells nothing of it."""

    words: str
    resource: Resource
    do: Callable[[World, Object], None]
    fault: str
    heals: bool
    cut: float = 0.0

    def __str__(self) -> str:
        return f"{self.resource.plural} {self.words}" + (
            f" while they are not watched for {self.cut:g} s" * bool(self.cut)
        )

    def carry_out(self, world: World) -> None:
        if self.cut:
            world.operator.streams.cut(self.resource, self.cut)
        for obj in world.api.of(self.resource):
            if self.resource != HTTP_ROUTES or labels.MANAGED_BY_LABEL in (obj["metadata"].get("labels") or {}):
                self.do(world, obj)

    @property
    def loses(self) -> bool:
        """Whether what the objects say is lost or out of sight, which matters of those that keep what is nowhere else."""
        return self.do in (delete, edit, relabel)


@dataclass(frozen=True)
class ClockJump:
    """The clock of the operator's machine is set.

    A leap forward is not told from an operator that was away for so long: what has a deadline may miss it. Going back heals.
    """

    seconds: float
    fault: str = "F13"
    resource: Resource | None = None

    def __str__(self) -> str:
        return f"the clock jumps by {self.seconds:+g} s"

    @property
    def heals(self) -> bool:
        """Whether the end is as if it had not happened."""
        return self.seconds < 0

    def carry_out(self, world: World) -> None:
        world.skew += self.seconds
        # What waits for a moment waits for so much longer, and writes nothing meanwhile.
        world.quiet = max(world.quiet, round(world.quiet - self.seconds))


def delete(world: World, obj: Object) -> None:
    resource = world.resource(obj)
    if resource == JOBS:
        world.excuse(obj)
    world.api.delete(resource, obj["metadata"]["namespace"], obj["metadata"]["name"])


def delete_and_make(world: World, obj: Object) -> None:
    """Delete an object and make it again under its name as soon as that is free, as `kubectl replace --force` does."""
    kept = ("name", "namespace", "labels")
    body = {
        "metadata": {name: part for name, part in obj["metadata"].items() if name in kept},
        **{name: part for name, part in obj.items() if name in ("spec", "data")},
    }
    delete(world, obj)
    world.when_free(world.resource(obj), body)


def touch(world: World, obj: Object) -> None:
    """Change nothing that counts, so that whoever has planned on the object has planned on an old one."""
    had = obj["metadata"].get("annotations")
    for note in ({"annotations": {"note": "seen"}}, {"annotations": {"note": None} if had else None}):
        world.api.patch(world.resource(obj), obj["metadata"]["namespace"], obj["metadata"]["name"], {"metadata": note})


def nothing(_world: World, _obj: Object) -> None:
    """Only the watch is cut."""


def relabel(world: World, obj: Object) -> None:
    _edit(world, obj, ("metadata", "labels", labels.MANAGED_BY_LABEL), None)


def orphan(world: World, obj: Object) -> None:
    """Take the owner's reference away, but not from what the garbage collector is about to take."""
    owners = {one["uid"] for one in obj["metadata"].get("ownerReferences") or ()}
    if owners <= world.api.uids():
        _edit(world, obj, ("metadata", "ownerReferences"), None)


def edit(world: World, obj: Object) -> None:
    path, value = EDITS[world.resource(obj)]
    _edit(world, obj, path, value)


def _edit(world: World, obj: Object, path: tuple[str, ...], value: Any) -> None:
    """Set a field by another hand, which owns it then; None takes it away."""
    found: Any = obj
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if found is None and value is None:
        return
    body: Any = value
    for name in reversed(path):
        body = {name: body}
    managed = [_without(entry, path) for entry in obj["metadata"].get("managedFields") or ()]
    body.setdefault("metadata", {})
    if managed:
        body["metadata"] = {**body["metadata"], "managedFields": managed}
    if isinstance(found, Mapping) and value is not None:
        _erase(body, path, found)
    world.api.patch(world.resource(obj), obj["metadata"]["namespace"], obj["metadata"]["name"], body)


def _erase(body: Any, path: tuple[str, ...], found: Mapping[str, Any]) -> None:
    """Let a merge patch replace a mapping as a whole."""
    for name in path[:-1]:
        body = body[name]
    body[path[-1]] = {**dict.fromkeys(found), **body[path[-1]]}


def _without(entry: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    fields = _copied(entry.get("fieldsV1") or {})
    try:
        remove(fields, tuple(f"f:{name}" for name in path))
    except KeyError:
        return entry
    return {**entry, "fieldsV1": fields}


def _copied(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copied(part) for name, part in fields.items()}


def deeds_to_parents() -> Iterator[Deed]:
    """Yield what is done to our own kinds, at every write."""
    for resource in PARENTS:
        yield ByHand("are deleted", resource, delete, "F21", heals=False)
        yield ByHand("are deleted and made again", resource, delete_and_make, "F21", heals=False)
        yield ByHand("are changed by another hand", resource, touch, "F15", heals=True)


def deeds() -> Iterator[Deed]:
    """Yield what happens to children, to watches and to the clock, at some moments."""
    yield ClockJump(600.0)
    yield ClockJump(-600.0)
    for resource in PARENTS:
        yield ByHand("are deleted and made again", resource, delete_and_make, "F8", heals=False, cut=CUT_SECONDS)
    for resource in CHILDREN:
        level = resource in LEVEL
        yield ByHand("are deleted", resource, delete, "F15", heals=level or resource == REPLICA_SETS)
        # Without a Service there are no requests meanwhile, by which a canary is judged.
        unseen = (level and resource != SERVICES) or resource == REPLICA_SETS
        yield ByHand("are deleted", resource, delete, "F8", heals=unseen, cut=CUT_SECONDS)
        yield ByHand("lose their label", resource, relabel, "F15", heals=level)
        if level:
            yield ByHand("lose their owner", resource, orphan, "F15", heals=True)
        if resource in EDITS:
            yield ByHand("are edited", resource, edit, "F15", heals=level)
    for resource in (*PARENTS, *CHILDREN):
        yield ByHand("stay as they are", resource, nothing, "F8", heals=True, cut=CUT_SECONDS)
