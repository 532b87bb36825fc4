"""A plan of tier 1 on a real API server: a scenario, what goes wrong in it, and what must hold all the same."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.bench.audit import AuditLog
from modelmill.kube import labels
from modelmill.kube.objects import Resource
from tests.crash.faults import Write
from tests.crash.oracles import MOST_WRITES, differences, masked_object, without_shares
from tests.crash.scenarios import Scenario
from tests.integration.engine.faults.live_api import Object
from tests.integration.engine.faults.live_world import LiveWorld, Server
from tests.integration.engine.faults.modes import AtWork, Fault, Outage, Strikes
from tests.support.results import Result, record

CONVERGED_SECONDS = 180
CLEAN_STILL_SECONDS = 6.0
RANDOM = (
    (re.compile(r"\b([a-z]+-\d+)-[0-9a-f]{6}(-[a-z0-9]{5})?\b"), r"\1-uid"),
    (re.compile(r"\b([a-z]+-[0-9a-f]{10})-[a-z0-9]{6,10}-[a-z0-9]{5}\b"), r"\1-pod"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "uid"),
)
"""Names that are others in each run: of Jobs and their pods, of serving pods, and uids."""
OF_THE_SERVER = ("clusterIP", "clusterIPs")

Place = tuple[str, str]
"""Name of an object, and path of a field in it."""


@dataclass
class Played:
    """A scenario that was played. end: all objects, masked. struck: how often the fault came."""

    namespace: str
    end: Mapping[str, Any] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    struck: int = 0


@dataclass(frozen=True)
class Clean:
    """Undisturbed runs of a scenario. random: places that were not the same in all of them."""

    end: Mapping[str, Any]
    writes: list[Write]
    random: Collection[Place]

    @classmethod
    def of(cls, first: Played, second: Played) -> Clean:
        """Compare two runs."""
        problems = first.problems + second.problems
        assert not problems, f"without a fault: {problems}"
        return cls(first.end, first.writes, {place for place, _ in different(first.end, second.end)})

    @property
    def kinds(self) -> set[str]:
        """Kinds of the scenario's objects."""
        return {write.kind for write in self.writes} | {"Pod"}


@dataclass(frozen=True)
class LivePlan:
    """A scenario and what goes wrong in it."""

    scenario: Scenario
    fault: Fault

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.fault}"

    def play(self, server: Server, namespace: str, folder: Path, clean: Clean) -> Played:
        """Carry it out, judge it, and record the result."""
        began = time.monotonic()
        played = play(server, self.scenario, namespace, folder, self.fault, clean)
        played.seconds = time.monotonic() - began
        record(Result("1", self.fault.number, self.scenario.name, str(self), round(played.seconds, 2), played.problems))
        return played


def play(
    server: Server,
    scenario: Scenario,
    namespace: str,
    folder: Path,
    fault: Fault | None = None,
    clean: Clean | None = None,
) -> Played:
    """Play a scenario in a namespace of its own until it rests; with a fault it must end as the clean runs."""
    played = Played(namespace)
    folder.mkdir()
    at_work: list[AtWork] = []
    world = LiveWorld(
        server,
        namespace,
        folder,
        scenario.endings,
        lambda proxy: at_work.append(fault.strike(proxy)) if fault is not None else None,
    )
    try:
        asyncio.run(_play(world, scenario, played, at_work[0] if at_work else None, clean))
    except AssertionError as error:
        played.problems.append(str(error))
    finally:
        world.stop()
    played.writes = list(world.proxy.log)
    # Without an API server a leader must go, since it cannot know whether another one leads.
    if not isinstance(fault, Outage) or "leadership lost" not in world.logged():
        played.problems += world.failures
    if "Traceback" in world.logged():
        played.problems.append(f"a traceback in the log: {world.operator.tail()[-3000:]}")
    if at_work:
        played.struck = at_work[0].count
        played.problems += _judged(at_work[0], played, clean)
    world.api.drop_namespace()
    return played


async def _play(
    world: LiveWorld, scenario: Scenario, played: Played, fault: AtWork | None, clean: Clean | None
) -> None:
    if isinstance(fault, Strikes) and fault.fault.told:
        world.each_second = lambda _: _look(world, fault)
    await scenario.play(world)  # type: ignore[arg-type]
    if clean is None:
        await world.settle(still=CLEAN_STILL_SECONDS)
        played.end = end_of(world)
        return
    while fault is not None and fault.lasting:
        await world.second()
    limit = time.monotonic() + CONVERGED_SECONDS
    while problems_at_the_end(world, clean) and time.monotonic() < limit:
        await world.second()
    await world.settle()
    played.problems += problems_at_the_end(world, clean)


def _look(world: LiveWorld, fault: Strikes) -> None:
    if fault.began is None or fault.told:
        return
    told = json.dumps([(obj.get("status") or {}).get("conditions") for _, obj in world.api.every()])
    fault.told = "fault at" in told


def _judged(at_work: AtWork, played: Played, clean: Clean | None) -> Iterator[str]:
    if not isinstance(at_work, Strikes):
        return
    if at_work.fault.told and at_work.count and not at_work.told:
        yield f"nothing was told of {at_work.count} refusals"
    if at_work.fault.times == 1 and clean is not None and len(played.writes) > MOST_WRITES * len(clean.writes):
        yield f"{len(played.writes)} writes instead of {len(clean.writes)}"


def problems_at_the_end(world: LiveWorld, clean: Clean) -> list[str]:
    """Return how the end is another than the clean one, and what has no owner."""
    problems = [
        f"{place[0]} ends otherwise: {text}"
        for place, text in different(clean.end, end_of(world))
        if place not in clean.random
    ]
    return problems + list(_unowned(world))


def _unowned(world: LiveWorld) -> Iterator[str]:
    alive = set()
    every = list(world.api.every())
    for _, obj in every:
        alive.add(obj["metadata"]["uid"])
    for resource, obj in every:
        meta = obj["metadata"]
        owners = meta.get("ownerReferences") or ()
        ours = (meta.get("labels") or {}).get(labels.MANAGED_BY_LABEL) and resource.group != labels.GROUP
        if ours and not any(owner["uid"] in alive for owner in owners):
            yield f"{resource.kind} {meta['name']} has no owner"
        for condition in (obj.get("status") or {}).get("conditions") or ():
            if condition.get("reason") == "InternalError":
                yield f"{resource.kind} {meta['name']}: {condition['message']}"


def end_of(world: LiveWorld) -> dict[str, Any]:
    """Return all objects by their names, without what is another in each run."""
    end = {}
    for resource, obj in world.api.every():
        text = json.dumps(_without_the_servers(resource, obj)).replace(world.api.namespace, "ml")
        for pattern, word in RANDOM:
            text = pattern.sub(word, text)
        # How far a canary had come when it made way depends on how fast the operator was then.
        plain = without_shares(masked_object(json.loads(text)))
        end[f"{resource.kind} {plain['metadata']['name']}"] = plain
    return end


def _without_the_servers(resource: Resource, obj: Object) -> Object:
    """Leave out what the API server and Kubernetes' controllers say: statuses of children, addresses."""
    if resource.group == labels.GROUP:
        return obj
    spec = {name: part for name, part in (obj.get("spec") or {}).items() if name not in OF_THE_SERVER}
    return {name: part for name, part in {**obj, "spec": spec}.items() if name != "status"}


def different(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield where two ends differ, with words."""
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            yield (name, ""), "left over" if name in other else "missing"
            continue
        for text in differences(one[name], other[name]):
            yield (name, text.partition(": ")[0]), text


def made_twice(audit: AuditLog) -> dict[str, int]:
    """Return the Jobs that operators have made more than once since the mark: each name stands for a uid and a run."""
    made: Counter[str] = Counter()
    for entry in audit.requests():
        what = entry.get("objectRef") or {}
        if entry["verb"] == "create" and what.get("resource") == "jobs" and entry["responseStatus"]["code"] == 201:
            made[f"{what['namespace']}/{what['name']}"] += 1
    assert made, "no Job in the audit log"
    return {name: count for name, count in made.items() if count > 1}
