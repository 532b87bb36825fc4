"""modelmill.dev/rollback and spec.rollout.rollbackWindow: back by one word, also while the newest version is followed."""

from __future__ import annotations

from typing import Any

from tests.unit.serving.simulated import World, condition


def third(**settings: Any) -> World:
    """Return a world in which cars-3 serves, after cars-2 and cars-1."""
    world = World(**settings).serving()
    for name in ("cars-2", "cars-3"):
        world.add(name)
        world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-3")
    return world


def test_previous_serves_at_once_and_what_was_left_is_skipped() -> None:
    world = third(rate=0, analysis=None)
    world.say("rollback", "previous")
    world.run(5)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    assert world.status["rollback"]["left"] == ["cars-3"]
    assert "cars-3 skipped" in condition(world, "Ready")[2]
    world.restart_operator()
    world.run(50)
    assert world.status["stable"]["version"] == "cars-2"
    world.add("cars-4")
    world.run(60)
    assert (world.status["stable"]["version"], world.status.get("rollback")) == ("cars-4", None)


def test_previous_twice_goes_two_versions_back() -> None:
    world = third()
    world.say("rollback", "previous")
    world.run(10)
    world.say("rollback", "previous once more")
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1"
    assert world.status["rollback"]["left"] == ["cars-3", "cars-2"]


def test_text_that_was_removed_acts_again() -> None:
    world = third()
    world.say("rollback", "previous")
    world.run(10)
    del world.parent["metadata"]["annotations"]["modelmill.dev/rollback"]
    world.reconcile()
    world.say("rollback", "previous")
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1"


def test_the_same_text_acts_once() -> None:
    world = third()
    world.say("rollback", "previous")
    world.run(300)
    assert world.status["stable"]["version"] == "cars-2"


def test_a_person_asks_for_the_newest_again() -> None:
    world = third()
    world.say("rollback", "cars-1")
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1"
    world.say("retry")
    world.run(100)
    assert (world.status["stable"]["version"], world.status.get("rollback")) == ("cars-3", None)


def test_rollback_to_what_the_spec_says_ends_the_rollback() -> None:
    world = third()
    world.say("rollback", "cars-1")
    world.run(10)
    world.say("rollback", "cars-3")
    world.run(10)
    assert (world.status["stable"]["version"], world.status.get("rollback")) == ("cars-3", None)


def test_rollback_during_a_rollout_takes_the_candidate_away() -> None:
    world = third()
    world.add("cars-4")
    world.run(5)
    assert world.status["canary"]["version"] == "cars-4"
    world.say("rollback", "previous")
    world.run(20)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-3")
    assert world.status["rollback"]["left"] == ["cars-4"]


def test_version_that_never_served_takes_its_steps() -> None:
    world = World(versions=("cars-0", "cars-1")).serving()
    world.say("rollback", "cars-0")
    world.run(8)
    assert (world.status["phase"], world.status["canary"]["weight"]) == ("RollingOut", 25)


def test_pinned_service_goes_back_until_the_pin_changes() -> None:
    world = third()
    world.parent["spec"]["model"] = {"name": "cars", "version": "cars-3"}
    world.run(3)
    world.say("rollback", "previous")
    world.run(10)
    assert world.status["stable"]["version"] == "cars-2"
    world.parent["spec"]["model"]["version"] = "cars-1"
    world.say("pause")
    world.run(100)
    assert (world.status["stable"]["version"], world.status.get("rollback")) == ("cars-1", None)


def test_what_cannot_be_is_told_and_changes_nothing() -> None:
    world = World().serving()
    for text, told in (("previous", "name one"), ("cars-9", "cars-9, which is not in this namespace")):
        world.say("rollback", text)
        world.run(3)
        assert world.events[-1] == "RollbackImpossible"
        assert told in world.messages[-1]
        assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-1")
        assert "rollback" not in world.status


def test_rejected_version_is_not_gone_back_to() -> None:
    world = third()
    world.reject("cars-2")
    world.say("rollback", "previous")
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1"


def test_bad_version_is_left_for_good_after_a_rollback_by_hand() -> None:
    world = World().serving()
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(60)
    assert world.status["phase"] == "RolledBack"
    world.say("rollback", "cars-1")
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-1")


def test_window_skips_the_steps_of_what_served_before() -> None:
    world = third(rollbackWindow={"revisions": 1})
    world.parent["spec"]["model"] = {"name": "cars", "version": "cars-2"}
    world.say("pause", "only to be looked at")
    world.run(5)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    assert "rollbackWindow" in world.status["history"][0]["message"]
    world.parent["spec"]["model"]["version"] = "cars-1"
    world.say("pause", "once more")
    world.run(8)
    assert world.status["phase"] == "RollingOut"


def test_going_back_counts_before_trying_again() -> None:
    world = third()
    world.add("cars-4")
    world.run(5)
    world.say("rollback", "previous")
    world.say("retry")
    world.say("pause")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-3")
    assert world.status["rollback"]["left"] == ["cars-4"]
    assert any("counts first" in message for message in world.messages)


def test_aborted_way_back_leaves_the_version_that_serves() -> None:
    world = third()
    world.slow = {"cars-1"}
    world.say("rollback", "cars-1")
    world.run(3)
    assert world.status["canary"]["version"] == "cars-1"
    world.say("abort", "wrong one")
    world.run(20)
    assert world.status["stable"]["version"] == "cars-3"
    assert "rollback" not in world.status, "what serves is what the spec says"


def test_a_persons_words_are_in_the_history() -> None:
    world = third()
    world.say("rollback", "previous mae is worse")
    world.run(10)
    new, old = world.status["history"][:2]
    assert (old["version"], old["outcome"]) == ("cars-3", "Replaced")
    assert old["message"].endswith("previous mae is worse")
    assert new["message"].endswith("previous mae is worse")
