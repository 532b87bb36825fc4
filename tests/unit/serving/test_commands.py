"""What persons ask for by annotations: pause, resume, promote, promote-full, abort."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.serving.simulated import World, condition

MANUAL: list[dict[str, Any]] = [{"weight": 25}, {"pause": "Manual"}, {"weight": 50}, {"pauseSeconds": 10}]


def rolling(**settings: Any) -> World:
    world = World(**settings).serving()
    world.add("cars-2")
    world.run(4)
    assert world.status["phase"] in ("RollingOut", "Paused")
    return world


def test_step_waits_for_a_person_and_says_what_to_type() -> None:
    world = rolling(steps=MANUAL)
    world.run(200)
    status = world.status
    assert (status["phase"], status["canary"]["paused"], status["canary"]["weight"]) == ("Paused", "Manual", 25)
    assert condition(world, "Reconciling")[1] == "Paused"
    assert "modelmill.dev/resume" in condition(world, "Reconciling")[2]
    assert condition(world, "Ready")[:2] == ("True", "Paused")
    world.say("resume")
    world.run(2)
    assert (world.status["phase"], world.status["canary"]["weight"]) == ("RollingOut", 50)
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


def test_bad_version_is_taken_back_while_it_is_paused() -> None:
    world = rolling(steps=MANUAL)
    world.run(60)
    assert world.status["phase"] == "Paused"
    world.errors = {"cars-2"}
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")


def test_two_pauses_need_two_words() -> None:
    world = rolling(steps=[{"weight": 25}, {"pause": "Manual"}, {"pause": "Manual"}], analysis=None)
    world.run(10)
    world.say("resume", "first")
    world.run(10)
    assert (world.status["phase"], world.status["canary"]["step"]) == ("Paused", 2)
    world.say("resume", "second")
    world.run(20)
    assert world.status["phase"] == "Stable"


def test_pause_at_the_end_holds_the_promotion() -> None:
    world = rolling(steps=[{"weight": 100}, {"pause": "Manual"}], analysis=None)
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Paused", "cars-1")
    world.say("resume")
    world.run(5)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


def test_person_pauses_and_resumes_anywhere() -> None:
    world = rolling()
    world.say("pause", "lunch")
    world.run(300)
    assert (world.status["phase"], world.status["canary"]["paused"]) == ("Paused", "Person")
    world.restart_operator()
    world.run(100)
    assert world.status["phase"] == "Paused"
    world.say("resume", "back")
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


def test_promote_ends_a_step_and_promote_full_all_of_them() -> None:
    world = rolling(steps=MANUAL)
    world.run(60)
    world.say("promote", "next")
    world.run(1)
    assert (world.status["phase"], world.status["canary"]["weight"]) == ("RollingOut", 50)
    world = rolling(steps=MANUAL, rate=0)
    world.say("promote-full")
    world.run(10)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    assert "promoted by a person" in world.status["history"][0]["message"]


def test_promotion_by_a_person_still_waits_for_pods() -> None:
    world = World(progressDeadlineSeconds=60).serving()
    world.slow = {"cars-2"}
    world.add("cars-2")
    world.run(2)
    world.say("promote-full")
    world.run(30)
    assert world.status["stable"]["version"] == "cars-1"
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")


def test_abort_takes_back_and_is_not_tried_again_until_a_person_asks() -> None:
    world = rolling()
    world.say("abort", "looks odd")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert "looks odd" in world.status["failedMessage"]
    world.say("retry")
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


@pytest.mark.parametrize("name", ["pause", "resume", "promote", "promote-full", "abort"])
def test_word_without_a_rollout_is_told_and_does_not_strike_a_later_one(name: str) -> None:
    world = World().serving()
    world.say(name, "early")
    world.run(2)
    assert any("no rollout is going on" in message for message in world.messages)
    world.add("cars-2")
    world.run(8)
    assert (world.status["phase"], world.status["canary"]["weight"]) == ("RollingOut", 25)


def test_pause_counts_when_two_hands_disagree() -> None:
    world = rolling()
    world.say("promote-full")
    world.say("pause")
    world.run(50)
    assert world.status["phase"] == "Paused"


def test_refused_write_of_the_status_does_not_swallow_a_word() -> None:
    world = rolling(steps=MANUAL)
    world.run(60)
    world.say("resume")
    world.refuse_status = True
    world.reconcile()
    world.refuse_status = False
    world.run(3)
    assert world.status["canary"]["weight"] == 50


def test_abort_and_retry_in_one_breath_abort() -> None:
    world = rolling(steps=MANUAL)
    for word in ("abort", "retry", "pause"):
        world.say(word, "now")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert world.events.count("RolloutStarted") == 1
    assert "modelmill.dev/retry=now: modelmill.dev/abort was set besides, and counts first" in world.messages
    assert "modelmill.dev/pause=now: the rollout of cars-2 has ended" in world.messages


def test_word_that_comes_with_another_version_is_answered() -> None:
    world = rolling(steps=MANUAL)
    world.add("cars-3")
    world.say("pause", "wait")
    world.run(2)
    assert "modelmill.dev/pause=wait: the rollout of cars-2 has ended" in world.messages


def test_version_that_is_aborted_as_another_one_comes_is_taken_back() -> None:
    world = rolling(steps=MANUAL)
    world.add("cars-3")
    world.say("abort", "bad")
    world.reconcile()
    assert world.status["history"][0]["outcome"] == "RolledBack"
    world.run(10)
    assert world.status["canary"]["version"] == "cars-3"


def test_of_two_words_the_first_counts_and_the_other_is_told() -> None:
    world = rolling(steps=MANUAL)
    world.say("pause", "one")
    world.say("promote", "two")
    world.run(2)
    assert world.status["phase"] == "Paused"
    assert "modelmill.dev/promote=two: modelmill.dev/pause was set besides, and counts first" in world.messages
