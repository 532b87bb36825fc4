"""InferenceService with an alias: it serves whoever has it."""

from __future__ import annotations

from tests.unit.serving.simulated import STEPS, World, condition


def aliased() -> World:
    world = World()
    world.parent["spec"]["model"] = {"name": "cars", "alias": "champion"}
    world.add("cars-2")
    return world


def test_an_alias_that_nobody_has_is_told_and_the_newest_version_is_not_served_instead() -> None:
    world = aliased()
    world.run(5)
    assert condition(world, "Ready")[1] == "AliasNotFound"
    assert condition(world, "Stalled")[:2] == ("True", "AliasNotFound")
    assert "champion" in condition(world, "Ready")[2]
    assert world.deployments == {}


def test_a_moved_alias_is_rolled_out_step_by_step_and_goes_back() -> None:
    world = aliased()
    world.claim("cars-1", "champion", "2026-01-01T00:00:00Z")
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1"
    world.claim("cars-2", "champion", "2026-01-02T00:00:00Z")
    world.run(5)
    assert world.status["canary"]["version"] == "cars-2"
    assert world.status["canary"]["weight"] == STEPS[0]["weight"]
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    world.claim("cars-2", "champion", None)
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-1")
    assert world.lost == 0


def test_an_alias_that_is_taken_away_leaves_what_serves() -> None:
    world = aliased()
    world.claim("cars-1", "champion", "2026-01-01T00:00:00Z")
    world.run(10)
    world.claim("cars-1", "champion", None)
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1"
    assert condition(world, "Ready")[:2] == ("True", "AliasNotFound")


def test_a_rejected_version_is_not_served_by_its_alias() -> None:
    world = aliased()
    world.claim("cars-1", "champion", "2026-01-01T00:00:00Z")
    world.reject("cars-1")
    world.run(5)
    assert condition(world, "Ready")[1] == "VersionRejected"
    assert "give the alias champion" in condition(world, "Ready")[2]
