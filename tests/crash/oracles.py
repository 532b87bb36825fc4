"""What must hold whatever was struck: the same end as without faults, nothing twice, nothing lost, rest at the end."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelmill.api.resources import TRAINING_JOBS
from modelmill.engine.errors import ApiError
from modelmill.kube import labels
from modelmill.kube.objects import Resource
from modelmill.kube.resources import CORE_EVENTS, EVENTS
from modelmill.monitoring.part import COUNTS_SUFFIX
from modelmill.training.builders.ledger import LEDGER
from tests.crash.faults import Write
from tests.crash.logs import recorded_logs
from tests.crash.memory_api import MemoryApi, Object
from tests.crash.scenarios import Scenario
from tests.crash.world import BEGIN, World
from tests.support.virtual_time import run

MASKED = frozenset({"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "observedGeneration"})
"""Fields that tell how often and when something was written."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\d{8}t\d{6}z")
DURATION = re.compile(r"\b\d+ (s|seconds|requests|labels)\b")
FOUND = re.compile(r"embedded-[0-9a-f]+")
"""Identity of an alert that the operator found, in which is when that began."""
MADE_TWICE = "Jobs were made for run"
MOST_WRITES = 3
"""How many times as many writes as in the undisturbed run there may be."""


@dataclass
class Outcome:
    """A scenario that came to rest, or how it failed to. end: all objects, masked. problems: sentences.

    seconds: virtual ones until it was played, the rest after it left out. present: which kinds there were before each write,
    and at rest (None).
    """

    end: Mapping[str, Any] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    present: Mapping[Write | None, frozenset[Resource]] = field(default_factory=dict)


def play(
    scenario: Scenario,
    strike: Callable[[World, Write], str | None] = lambda _world, _write: None,
    *,
    may_stop: bool = False,
    at_rest: Callable[[World], None] | None = None,
    **settings: Any,
) -> Outcome:
    """Run a scenario in virtual time until it rests, and judge what can be judged without another run.

    strike: asked before each write by which fault it is struck. may_stop: whether what the scenario's people wait for need not
    come, so that they give up. at_rest: what happens when all is done. settings: attributes of the world, e.g. `skew`.
    """
    outcome = Outcome()
    random.seed(scenario.name)  # the jitter of back-offs
    with recorded_logs() as logs:
        run(_play(scenario, strike, may_stop, at_rest, settings, outcome))
    outcome.problems += [f"in the log: {line}" for line in logs]
    return outcome


async def _play(
    scenario: Scenario,
    strike: Callable[[World, Write], str | None],
    may_stop: bool,
    at_rest: Callable[[World], None] | None,
    settings: Mapping[str, Any],
    outcome: Outcome,
) -> None:
    world = World(lambda write: strike(world, write), scenario.endings)
    for name, value in settings.items():
        setattr(world, name, value)
    if settings:
        world.restart()
    try:
        try:
            await scenario.play(world)
        except (AssertionError, ApiError):
            if not may_stop:
                raise
        outcome.seconds = (world.clock() - BEGIN).total_seconds()
        # What goes on being measured is written each slot, and would never come to rest.
        world.surroundings.values.told = False
        await world.settle()
        outcome.writes = list(world.log)
        if at_rest is not None:
            at_rest(world)
            await world.settle()
        outcome.end = dict(masked_objects(world.api))
        outcome.problems += judged(world)
        await _restarted(world, outcome)
    except (AssertionError, ApiError) as error:
        outcome.problems.append(str(error))
    if world.operator.alive:
        world.operator.kill()


async def _restarted(world: World, outcome: Outcome) -> None:
    """Start the operator anew at rest: whatever it then does was forgotten before."""
    before = len(world.log)
    world.strike = lambda _: None
    world.behind = None
    world.restart()
    await world.settle()
    outcome.problems += [f"left undone until a restart: {write}" for write in world.log[before:]]


def judged(world: World) -> Iterator[str]:
    """Yield what is wrong with a world at rest."""
    for (owner, number), count in world.jobs_made.items():
        if count > 1:
            yield f"{count} {MADE_TWICE} {number} of {owner}"
    yield from (f"{name} ended well {count} times" for (_, name), count in world.completed.items() if count > 1)
    yield from (f"the process ended: {failure!r}" for failure in world.failures)
    alive = world.api.uids()
    for resource, obj in world.api.every():
        meta, name = obj["metadata"], obj["metadata"]["name"]
        owners = meta.get("ownerReferences") or ()
        if owners and not any(owner["uid"] in alive for owner in owners):
            yield f"{resource.kind} {name} has outlived its owner"
        if not owners and (meta.get("labels") or {}).get(labels.MANAGED_BY_LABEL) and resource.group != labels.GROUP:
            yield f"{resource.kind} {name} of ours has no owner"
        if resource.group == labels.GROUP:
            yield from (f"{resource.kind} {name} {words}" for words in untold(obj))
        for condition in (obj.get("status") or {}).get("conditions") or ():
            if condition.get("reason") == "InternalError":
                yield f"{resource.kind} {name}: {condition['message']}"


def untold(obj: Object) -> Iterator[str]:
    """Yield what an object of ours at rest does not tell: that it was seen as it is, how it stands, what came of it."""
    status = obj.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    if "Ready" not in conditions:
        yield "does not tell whether it is ready"
    for condition in conditions.values():
        if condition.get("observedGeneration", obj["metadata"]["generation"]) != obj["metadata"]["generation"]:
            yield f"has a condition {condition['type']} of an earlier generation"
    if obj["kind"] != TRAINING_JOBS.kind:
        return
    waits = {name for name in ("Stalled", "Suspended") if conditions.get(name, {}).get("status") == "True"}
    run = status.get("currentRun")
    # A search that is suspended begins no trial, and so comes to no end.
    held = "Stalled" in waits or ("Suspended" in waits and run is not None and "trials" in run)
    if (run and not held) or not (status.get("lastRun") or waits):
        yield "rests without an end of its run"


def compared(
    clean: Outcome, disturbed: Outcome, most_writes: int | None = MOST_WRITES, *, shares: bool = True
) -> list[str]:
    """Return what is wrong with a disturbed run: its own problems, another end, too many writes.

    most_writes: how many times as many there may be; None when it does not matter. shares: whether the greatest shares of
    candidates that were taken back are to be the same.
    """
    problems = list(disturbed.problems)
    if not disturbed.end:
        return problems
    seen = (lambda obj: obj) if shares else without_shares
    for name in sorted(clean.end.keys() | disturbed.end.keys()):
        one, other = seen(clean.end.get(name)), seen(disturbed.end.get(name))
        if one is None or other is None:
            problems.append(f"{name} is {'left over' if one is None else 'missing'} at the end")
        elif one != other:
            problems.append(f"{name} ends otherwise: {'; '.join(differences(one, other))}")
    if most_writes is not None and len(disturbed.writes) > most_writes * len(clean.writes):
        problems.append(f"{len(disturbed.writes)} writes instead of {len(clean.writes)}")
    return problems


def without_shares(obj: Any) -> Any:
    """Return the object without the shares in the history of an InferenceService."""
    status = (obj or {}).get("status") or {}
    if "history" not in status:
        return obj
    history = [{name: part for name, part in entry.items() if name != "weight"} for entry in status["history"]]
    return {**obj, "status": {**status, "history": history}}


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield where two values differ, with both."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted(one.keys() | other.keys()):
            yield from differences(one.get(name), other.get(name), f"{path}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (mine, yours) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, yours, f"{path}[{number}]")
    elif one != other:
        yield f"{path}: {json.dumps(one)[:200]} | {json.dumps(other)[:200]}"


def masked_objects(api: MemoryApi) -> Iterator[tuple[str, Any]]:
    """Yield every object but Events by its name, without what depends on when and how often it was written."""
    for resource, obj in api.every():
        if resource not in (EVENTS, CORE_EVENTS):
            yield (
                f"{resource.kind} {obj['metadata']['namespace']}/{obj['metadata']['name']}",
                masked_object(obj),
            )


def masked_object(obj: Object) -> Any:
    """Return an object without what depends on when and how often it was written."""
    return masked(_without_waits(_without_counts(_without_hash(obj))))


def _without_waits(obj: Object) -> Object:
    """Return a TrainingJob without what held it on its way, which depends on what was struck; what was done stays."""
    status = obj.get("status") or {}
    if "decisions" not in status:
        return obj
    done = [(one["action"], one["reason"]) for one in status["decisions"] if one["action"] not in ("Held", "Ignored")]
    return {**obj, "status": {**status, "decisions": done}}


def _without_counts(obj: Object) -> Object:
    """Return an object without what depends on when pods were asked: the counts, and which alerts a report told together."""
    if "report" in (obj.get("status") or {}):
        return {**obj, "status": {name: part for name, part in obj["status"].items() if name != "report"}}
    if not obj["metadata"]["name"].endswith(COUNTS_SUFFIX):
        return obj
    return {"metadata": {"name": obj["metadata"]["name"]}}


def _without_hash(obj: Object) -> Object:
    """Return a ledger without the hash of its texts, in which there are times."""
    meta = obj["metadata"]
    if (meta.get("labels") or {}).get(labels.STEP_LABEL) != LEDGER:
        return obj
    kept = {name: text for name, text in meta["annotations"].items() if name != labels.SPEC_HASH_ANNOTATION}
    return {**obj, "metadata": {**meta, "annotations": kept}}


def masked(value: Any) -> Any:
    """Return the value without masked fields, times and amounts of time."""
    if isinstance(value, Mapping):
        return {name: masked(part) for name, part in value.items() if name not in MASKED}
    if isinstance(value, list | tuple):
        return [masked(part) for part in value]
    if isinstance(value, str):
        return FOUND.sub("an alert", DURATION.sub("some", TIME.sub("a time", value)))
    return value
