"""Objects of strangers that have the names of children, and which children nothing else waits for."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from modelmill.kube.objects import Resource
from modelmill.kube.resources import (
    CONFIG_MAPS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    POD_MONITORS,
    PROMETHEUS_RULES,
    SERVICES,
)
from tests.crash.faults import Write
from tests.crash.memory_api import Object
from tests.crash.world import World

ASIDE = {
    SERVICES.kind: re.compile(r".*-preview"),
    CONFIG_MAPS.kind: re.compile(r".*-(shadow|modelmill-rules|modelmill-counts)"),
    PROMETHEUS_RULES.kind: re.compile(r".*"),
    POD_MONITORS.kind: re.compile(r".*"),
    HORIZONTAL_POD_AUTOSCALERS.kind: re.compile(r".*"),
    POD_DISRUPTION_BUDGETS.kind: re.compile(r".*"),
    JOBS.kind: re.compile(r".*-(t\d+(-a\d+)?|look-.*)"),
}
"""By kind, the names of children on which nothing depends. Those of batch runs have the second of their beginning in them."""
THEIRS = {"app": "theirs"}
BODIES: dict[Resource, Object] = {
    SERVICES: {"spec": {"selector": THEIRS, "ports": [{"port": 80}]}},
    CONFIG_MAPS: {"data": {"theirs": "text"}},
    PROMETHEUS_RULES: {"spec": {"groups": []}},
    POD_MONITORS: {"spec": {"selector": {"matchLabels": THEIRS}, "podMetricsEndpoints": []}},
    HORIZONTAL_POD_AUTOSCALERS: {"spec": {"scaleTargetRef": {"name": "theirs"}, "minReplicas": 1, "maxReplicas": 2}},
    POD_DISRUPTION_BUDGETS: {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": THEIRS}}},
    JOBS: {"spec": {"suspend": True, "template": {"metadata": {"labels": THEIRS}, "spec": {"containers": []}}}},
}


def is_aside(write: Write) -> bool:
    """Tell whether a write makes a child on which nothing depends."""
    names = ASIDE.get(write.kind)
    return write.verb in ("apply", "create") and names is not None and names.fullmatch(write.name) is not None


@dataclass
class Strangers:
    """Takes the names of children just before they are made for the first time; the strangers' objects stay, or go.

    wanted: (kind, name) of the children; name may be a pattern. seconds: how long they stay; None for ever.
    """

    wanted: Collection[tuple[str, str]]
    seconds: float | None = None
    taken: dict[tuple[str, str], Object] = field(default_factory=dict)

    def strike(self, world: World, write: Write) -> None:
        """Take the name of what is about to be made, where that is wanted."""
        place = (write.kind, write.name)
        wanted = any(write.kind == kind and re.fullmatch(name, write.name) for kind, name in self.wanted)
        if not is_aside(write) or not wanted or place in self.taken:
            return
        resource = next(one for one in BODIES if one.kind == write.kind)
        meta = {"name": write.name, "namespace": "ml", "labels": THEIRS}
        self.taken[place] = world.api.create(resource, {"metadata": meta, **BODIES[resource]})
        if resource == JOBS:
            moment = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}
            body = {**self.taken[place], "status": {"conditions": [moment]}}
            self.taken[place] = world.api.replace_status(JOBS, body)
        if self.seconds is not None:
            world.later(self.seconds, lambda: self._go(world, resource, write.name))

    def _go(self, world: World, resource: Resource, name: str) -> None:
        world.api.delete(resource, "ml", name)


def told(world: World, resource: Resource, name: str = "cars") -> str:
    """Return what an object says of refused children; empty for nothing."""
    conditions = world.status(resource, name).get("conditions") or ()
    return next((one["message"] for one in conditions if one["type"] == "ChildRefused"), "")
