"""A version that the operator itself finds to be worse than the one before: that comes back, once, whoever dies meanwhile."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from modelmill.api.resources import INFERENCE_SERVICES
from modelmill.kube.conditions import find
from modelmill.kube.resources import EVENTS
from tests.crash.faults import KILLED_BEFORE, Write
from tests.crash.scenarios import STEPS, came_back, inference_service, published, publishes, serves
from tests.crash.world import World
from tests.support.virtual_time import run

WINDOW = 600
MONITORING = {
    "engine": "Embedded",
    "drift": {"windowSeconds": WINDOW, "forSeconds": 0},
    "quality": {"maximum": "0.2", "windowSeconds": WINDOW},
    "rollback": {"onErrors": True},
}


class Killer:
    """Kills the operator before the first write after the one by which an alert is on record: what it knew is in the status."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.killed: list[Write] = []

    def __call__(self, write: Write) -> str | None:
        alerts = self.world.status(INFERENCE_SERVICES, "cars").get("alerts") if self.world is not None else None
        if not alerts or self.killed:
            return None
        self.killed.append(write)
        return KILLED_BEFORE


async def promoted(kind: str, killer: Killer | None = None) -> World:
    """Return a world in which cars-2 has just been promoted over cars-1, and is worse than that."""
    world = World(killer or (lambda _: None), publishes)
    if killer is not None:
        killer.world = world
    pages = world.surroundings.values
    pages.told = pages.labelled = True
    (pages.worse if kind == "Quality" else world.surroundings.errors).add("cars-2")
    rollout = {"strategy": "Canary", "steps": STEPS}
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=rollout, monitoring=MONITORING))
    for version in ("cars-1", "cars-2"):
        published(world, version)
        await world.until(partial(serves, world, version), f"{version} serves")
    return world


def condition(world: World, kind: str) -> tuple[str, str, str] | None:
    found = find(world.status(INFERENCE_SERVICES, "cars"), kind)
    return (found["status"], found["reason"], found["message"]) if found is not None else None


def told(world: World, reason: str) -> list[str]:
    """Return what Events of this reason say."""
    return [one["note"] for one in world.api.of(EVENTS) if one["reason"] == reason]


async def seconds(world: World, count: int) -> None:
    for _ in range(count):
        await world.second()


@pytest.mark.parametrize("kind", ["Quality", "Errors"])
@pytest.mark.parametrize("dies", [False, True], ids=["", "the operator dies in between"])
def test_the_version_before_comes_back_once(kind: str, dies: bool) -> None:
    async def play() -> None:
        killer = Killer() if dies else None
        world = await promoted(kind, killer)
        await world.until(partial(came_back, world, "AlertFired"), "cars-1 comes back")
        assert killer is None or len(killer.killed) == 1
        status = world.status(INFERENCE_SERVICES, "cars")
        assert [(one["version"], one["outcome"]) for one in status["history"]] == [
            ("cars-1", "Serving"),
            ("cars-2", "RolledBack"),
            ("cars-1", "Replaced"),
        ]
        assert f"({kind}) since" in status["rollback"]["alert"]
        assert status["rollback"]["left"] == ["cars-2"]
        assert told(world, "RolledBack") == [
            f"cars-2 is taken back, cars-1 is to serve again: {status['rollback']['alert']}"
        ]
        assert not status.get("alerts"), "that of the version that was taken back is over"
        await seconds(world, 2 * WINDOW)
        assert came_back(world, "AlertFired"), "and so it stays"
        assert len(told(world, "RolledBack")) == 1
        world.operator.kill()

    run(play())


@pytest.mark.parametrize(("kind", "type_"), [("Quality", "QualityDegraded"), ("Errors", "ErrorsHigh")])
def test_what_came_back_does_not_look_healthy_before_it_is_judged(kind: str, type_: str) -> None:
    async def play() -> None:
        world = await promoted(kind)
        pages = world.surroundings.values
        await world.until(lambda: world.status(INFERENCE_SERVICES, "cars").get("canary"), "cars-1 comes back")
        assert (condition(world, type_) or ())[:2] == ("True", kind)
        rate, world.surroundings.rate = world.surroundings.rate, 0
        await world.until(partial(came_back, world, "AlertFired"), "cars-1 serves")
        await seconds(world, 2 * WINDOW)
        status, reason, message = condition(world, type_) or ("", "", "")
        assert (status, reason) == ("Unknown", "InsufficientData")
        assert "cars-1" in message
        assert len(told(world, f"{type_}Unknown")) == 1
        assert told(world, f"{type_}Resolved") == []
        world.surroundings.rate = rate
        await seconds(world, 120)
        found = condition(world, type_)
        assert found is None if kind == "Errors" else found is not None and found[:2] == ("False", "NotWorse")
        assert pages.told
        world.operator.kill()

    run(play())


def test_about_what_came_back_it_is_told_why_it_stays() -> None:
    async def play() -> None:
        world = await promoted("Quality")
        await world.until(partial(came_back, world, "AlertFired"), "cars-1 comes back")
        world.surroundings.values.worse.add("cars-1")
        await world.until(partial(came_back, world, "cars-1 is itself what was gone back to"), "it is told")
        status: dict[str, Any] = world.status(INFERENCE_SERVICES, "cars")
        assert status["rollbackHeld"] == [one["id"] for one in status["alerts"]]
        assert len(told(world, "RollbackHeld")) == 1
        world.operator.kill()

    run(play())
