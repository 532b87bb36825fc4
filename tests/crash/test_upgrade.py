"""A release of the operator with another image of the server, and twenty services that serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS
from modelmill.kube import labels
from modelmill.kube.resources import PODS
from tests.crash.scenarios import inference_service, publishes
from tests.crash.world import World
from tests.support import objects as o
from tests.support.virtual_time import run

NAMES = [f"svc-{number:02}" for number in range(20)]
FEW = NAMES[:6]
BAD = "svc-03"


async def serving_world(names: Sequence[str]) -> World:
    """Return a world in which all services serve; BAD serves a version of its own."""
    world = World(lambda _: None, publishes)
    for version in ("cars-1", "cars-2"):
        world.api.create(MODEL_VERSIONS, o.model_version(version))
    for name in names:
        model = {"name": "cars", "version": "cars-2" if name == BAD else "cars-1"}
        world.api.create(INFERENCE_SERVICES, inference_service(name, model=model, monitoring={}))
    await world.until(lambda: {of(world, name).get("phase") for name in names} == {"Stable"}, "all serve")
    await world.settle()
    return world


def of(world: World, name: str) -> dict[str, Any]:
    return world.status(INFERENCE_SERVICES, name)


def images(world: World) -> dict[str, str]:
    return {one["metadata"]["name"]: one["status"]["stable"]["serverImage"] for one in world.api.of(INFERENCE_SERVICES)}


def changing(world: World) -> set[str]:
    """Return the services that have pods of both images."""
    found: dict[str, set[str]] = {}
    for pod in world.api.of(PODS):
        said = pod["metadata"]["labels"]
        found.setdefault(said[labels.SERVICE_LABEL], set()).add(said[labels.REVISION_LABEL])
    return {name for name, revisions in found.items() if len(revisions) > 1}


def released(world: World, most: int) -> None:
    world.server_image, world.most_upgrades = "server:2", most
    world.restart()


class Witness:
    """Notes which services change at a time. kills: whether the operator is killed every ten seconds."""

    def __init__(self, world: World, *, kills: bool = False) -> None:
        self.most, self.order, self.seconds, self.kills = 0, list[str](), 0, kills
        world.each_second = self.look

    def look(self, world: World) -> None:
        self.seconds += 1
        now = changing(world)
        self.most = max(self.most, len(now))
        self.order += [name for name in sorted(now) if name not in self.order]
        if self.kills and self.seconds % 10 == 0:
            world.restart()


def test_a_release_exchanges_the_server_of_one_service_after_the_other() -> None:
    async def play() -> None:
        world = await serving_world(NAMES)
        witness = Witness(world, kills=True)
        world.surroundings.errors.add("cars-2")
        released(world, 1)
        good = [name for name in NAMES if name != BAD]
        await world.until(lambda: all(images(world)[name] == "server:2" for name in good), "all but the bad one")
        witness.kills = False
        await world.settle()
        assert witness.most == 1
        assert witness.order == NAMES, "each had its turn"
        bad = of(world, BAD)
        assert (bad["phase"], bad["stable"]["serverImage"], bad["server"]) == ("RolledBack", "server:1", "Older")
        assert [one["outcome"] for one in bad["history"]] == ["RolledBack", "Serving"], "tried once"
        world.surroundings.errors.clear()
        asked = {"metadata": {"annotations": {labels.REFRESH_ANNOTATION: "again"}}}
        world.api.patch(INFERENCE_SERVICES, "ml", BAD, asked)
        await world.until(lambda: images(world)[BAD] == "server:2", "the bad one, when it is asked for")
        await world.settle()
        assert {of(world, name)["server"] for name in NAMES} == {"Current"}
        before = len(world.log)
        world.restart()
        await world.settle()
        assert len(world.log) == before

    run(play())


def test_so_many_at_a_time_as_are_allowed() -> None:
    async def play() -> None:
        world = await serving_world(FEW)
        witness = Witness(world)
        released(world, 3)
        await world.until(lambda: set(images(world).values()) == {"server:2"}, "all")
        assert 2 <= witness.most <= 4, "the pods of one that is over may still go"

    run(play())


def test_none_by_itself_and_one_when_it_is_asked_for() -> None:
    async def play() -> None:
        world = await serving_world(FEW)
        released(world, 0)
        await world.settle()
        assert set(images(world).values()) == {"server:1"}
        assert {of(world, name)["server"] for name in FEW} == {"Older"}
        asked = {"metadata": {"annotations": {labels.REFRESH_ANNOTATION: "please"}}}
        world.api.patch(INFERENCE_SERVICES, "ml", "svc-04", asked)
        await world.settle()
        assert [name for name, image in images(world).items() if image == "server:2"] == ["svc-04"]

    run(play())
