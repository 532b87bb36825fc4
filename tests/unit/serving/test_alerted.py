"""spec.monitoring.rollback: the version before comes back for an alert, once, and not when that would be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.kube.conditions import parse_timestamp
from tests.support import objects as o
from tests.unit.serving.alerting import fire, resolve
from tests.unit.serving.simulated import World, condition


def second(rollback: dict[str, Any] | None = None, **settings: Any) -> World:
    """Return a world in which cars-2 has served for a while, after cars-1."""
    world = World(**settings)
    monitoring: dict[str, Any] = {"engine": "Prometheus"}
    if rollback is not None:
        monitoring["rollback"] = rollback
    world.parent["spec"]["monitoring"] = monitoring
    world.serving()
    promote(world, "cars-2")
    return world


def promote(world: World, version: str) -> None:
    world.add(version)
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", version)


def stays(world: World, version: str, why: str) -> None:
    """The version goes on serving, and it is told once why the one before does not come back."""
    world.run(60)
    assert world.status["stable"]["version"] == version
    assert "canary" not in world.status
    status, reason, message = condition(world, "RolledBack")
    assert (status, reason) == ("False", "RollbackHeld")
    assert why in message
    assert len([one for one in world.messages if why in one]) == 1, "an Event, once"


def test_alert_of_quality_brings_the_version_before_back() -> None:
    world = second({})
    fire(world)
    world.run(10)
    status = world.status
    assert (status["phase"], status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert (status["rollback"]["version"], status["rollback"]["left"]) == ("cars-1", ["cars-2"])
    assert status["failedRevision"] == status["rollback"]["revision"] != status["stable"]["revision"]
    new, old = status["history"][:2]
    assert (old["version"], old["outcome"], old.get("weight")) == ("cars-2", "RolledBack", None)
    assert (new["version"], new["outcome"], new["skipsSteps"]) == ("cars-1", "Serving", "Rollback")
    words = "AlertFired: ModelmillQuality (Quality) since "
    assert old["message"].startswith(words)
    assert words in new["message"]
    assert world.events.count("RolledBack") == 1
    told = world.messages[world.events.index("RolledBack")]
    assert told.startswith(f"cars-2 is taken back, cars-1 is to serve again: {words}")
    assert "0.31 of the labels are wrong" in told
    for kind in ("RolledBack", "Stalled"):
        found, reason, message = condition(world, kind)
        assert (found, reason) == ("True", "RolledBack")
        assert "cars-2 skipped until another version is approved" in message
    ready = condition(world, "Ready")
    assert ready[:2] == ("True", "RolledBack")
    assert "cars-2 was taken back: AlertFired" in ready[2]
    assert world.lost == 0


def test_it_comes_back_without_steps_to_pods_that_are_kept() -> None:
    world = second({}, scaleDownDelaySeconds=600)
    kept = world.status["previous"]["revision"]
    fire(world)
    world.run(1)
    assert (world.status["stable"]["version"], world.status["stable"]["revision"]) == ("cars-1", kept)
    assert world.status["previous"]["version"] == "cars-2"


def test_what_was_taken_back_is_skipped_until_another_version_comes() -> None:
    world = second({})
    fire(world)
    world.run(10)
    world.restart_operator()
    world.run(100)
    world.parent["spec"]["runtime"] = {"env": [{"name": "LEVEL", "value": "1"}], "image": "a/b:1"}
    world.say("pause", "only to be looked at")
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert world.status["failedRevision"] == world.status["rollback"]["revision"]
    assert [one["outcome"] for one in world.status["history"]] == ["Serving", "Replaced", "RolledBack", "Replaced"]
    promote(world, "cars-3")
    assert not world.status.keys() & {"rollback", "failedRevision"}


def test_a_person_brings_it_again_by_its_steps_and_it_is_not_taken_back_twice() -> None:
    world = second({})
    fire(world)
    world.run(10)
    world.say("retry", "the labels were wrong")
    world.run(3)
    assert world.status["canary"]["version"] == "cars-2"
    assert world.status["canary"].get("skipsSteps") is None
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    fire(world)
    stays(world, "cars-2", "cars-2 was taken back once, and serves again since a person wants it to")


def test_what_came_back_is_not_taken_back_itself() -> None:
    world = second({})
    promote(world, "cars-3")
    fire(world)
    world.run(10)
    assert world.status["stable"]["version"] == "cars-2"
    fire(world)
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
    assert world.events.count("RolledBack") == 1
    assert "cars-2 is itself what was gone back to" in condition(world, "RolledBack")[2]


def test_nor_after_the_next_version_failed() -> None:
    world = second({})
    fire(world)
    world.run(10)
    world.errors = {"cars-3"}
    world.add("cars-3")
    world.run(100)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert "rollback" not in world.status
    fire(world)
    world.run(60)
    assert world.status["stable"]["version"] == "cars-1"
    assert "cars-1 is itself what was gone back to" in condition(world, "RolledBack")[2]


def test_a_later_version_is_taken_back_for_its_own_alert() -> None:
    world = second({})
    fire(world)
    world.run(10)
    promote(world, "cars-3")
    fire(world)
    world.run(10)
    assert (world.status["stable"]["version"], world.status["rollback"]["left"]) == ("cars-1", ["cars-3"])


def test_without_the_block_an_alert_is_only_shown() -> None:
    for monitoring in (None, {"engine": "Prometheus"}):
        world = second()
        world.parent["spec"]["monitoring"] = monitoring
        fire(world)
        world.run(30)
        assert world.status["stable"]["version"] == "cars-2"
        assert "RollbackHeld" not in world.events


@pytest.mark.parametrize(
    ("rollback", "kind", "serves"),
    [
        ({}, "Errors", "cars-2"),
        ({"onErrors": True}, "Errors", "cars-1"),
        ({"onErrors": True}, "Quality", "cars-1"),
        ({"onErrors": True, "onQuality": False}, "Quality", "cars-2"),
        ({"onErrors": True}, "Drift", "cars-2"),
        ({"onErrors": True}, "Skew", "cars-2"),
        ({"onErrors": True}, "Staleness", "cars-2"),
        ({"onErrors": True}, "DataQuality", "cars-2"),
    ],
)
def test_only_the_kinds_that_are_asked_for(rollback: dict[str, Any], kind: str, serves: str) -> None:
    world = second(rollback)
    fire(world, kind)
    world.run(30)
    assert world.status["stable"]["version"] == serves


def test_only_for_an_alert_that_began_in_time() -> None:
    world = second({"withinSeconds": 60})
    promoted = world.time - 60
    world.run(60)
    fire(world)
    stays(world, "cars-2", "cars-2 was promoted more than 60 s (withinSeconds) before the alert")
    fire(world, began=promoted + 10)
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1", "it began in time, and was told late"


def test_not_for_an_alert_that_is_older_than_the_promotion() -> None:
    world = second({})
    fire(world, began=1)
    stays(world, "cars-2", "the alert is older than the promotion of cars-2")


def test_for_one_that_began_with_the_promotion() -> None:
    """Who is bad from the first request on is found by the first reading, which may be in the second of the promotion."""
    world = second({})
    promoted = parse_timestamp(world.status["history"][0]["startTime"])
    fire(world, began=int((promoted - o.later(0)).total_seconds()))
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1"


def test_not_for_an_alert_about_another_version() -> None:
    world = second({})
    fire(world, version="cars-1")
    world.run(30)
    assert world.status["stable"]["version"] == "cars-2"
    fire(world, version=None)
    stays(world, "cars-2", "the alert does not name its version")


def test_while_the_data_are_wrong_nothing_is_taken_back() -> None:
    world = second({})
    fire(world, "DataQuality")
    fire(world)
    stays(world, "cars-2", "an alert of kind DataQuality fires")
    resolve(world, "DataQuality")
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1"


def test_not_while_a_rollout_is_in_progress_even_a_paused_one() -> None:
    world = second({})
    world.add("cars-3")
    world.run(3)
    world.say("pause")
    world.run(2)
    fire(world)
    world.run(60)
    assert (world.status["phase"], world.status["canary"]["version"]) == ("Paused", "cars-3")
    assert "a rollout is in progress" in condition(world, "RolledBack")[2]
    world.say("abort", "no")
    world.run(30)
    assert world.status["stable"]["version"] == "cars-1"
    assert world.status["rollback"]["left"] == ["cars-3", "cars-2"]


def test_a_version_that_is_about_to_be_rolled_out_is() -> None:
    world = second({})
    world.add("cars-3")
    fire(world)
    world.run(100)
    assert world.status["stable"]["version"] == "cars-3"
    assert "rollback" not in world.status


def test_not_while_it_is_stopped() -> None:
    world = second({})
    world.parent["spec"]["suspend"] = True
    fire(world)
    stays(world, "cars-2", "the service is stopped")
    world.parent["spec"]["suspend"] = False
    world.reconcile()
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1"


def test_not_to_a_version_that_is_gone_or_rejected_or_another_one() -> None:
    def gone(world: World) -> None:
        world.versions = world.versions[1:]

    def deleted(world: World) -> None:
        world.versions[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    def made_anew(world: World) -> None:
        world.versions[0]["spec"]["artifact"]["digest"] = "sha256:" + "9" * 64

    def rejected(world: World) -> None:
        world.reject("cars-1")

    whys = {
        gone: "not in this namespace",
        deleted: "is being deleted",
        made_anew: "other bytes",
        rejected: "is rejected",
    }
    for what, why in whys.items():
        world = second({})
        what(world)
        fire(world)
        stays(world, "cars-2", why)


def test_not_to_one_before_the_one_before() -> None:
    world = second({})
    promote(world, "cars-3")
    world.reject("cars-2")
    fire(world)
    stays(world, "cars-3", "cars-2 is rejected")


def test_not_to_a_version_that_was_taken_back_itself() -> None:
    world = second({})
    fire(world)
    world.run(10)
    world.say("retry")
    world.run(100)
    promote(world, "cars-3")
    fire(world)
    stays(world, "cars-3", "cars-2 was taken back itself")


def test_the_first_version_has_none_before_it() -> None:
    world = World()
    world.parent["spec"]["monitoring"] = {"engine": "Prometheus", "rollback": {}}
    world.serving()
    world.run(5)
    fire(world)
    stays(world, "cars-1", "no version is known that served before")


def test_what_a_person_went_back_to_is_not_left() -> None:
    world = second({})
    promote(world, "cars-3")
    world.say("rollback", "previous")
    world.run(10)
    fire(world)
    stays(world, "cars-2", "cars-2 is itself what was gone back to")
    world.errors = {"cars-4"}
    world.add("cars-4")
    world.run(100)
    fire(world)
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2", "cars-3 was left by a person"


def test_not_what_a_person_promoted_in_spite_of_the_alert() -> None:
    """New pods of the version are rolled out while the alert fires, and a person who sees it promotes them."""
    world = second({})
    world.parent["spec"]["runtime"] = {"timeouts": {"requestSeconds": 7}}
    world.say("pause", "only to be looked at")
    world.run(3)
    fire(world)
    world.run(2)
    world.say("promote-full", "the labels are wrong")
    world.run(100)
    stays(world, "cars-2", "a person promoted cars-2 after the alert had begun")
    fire(world)
    world.run(10)
    assert world.status["stable"]["version"] == "cars-1", "another alert counts"


@pytest.mark.parametrize(
    ("model", "named"), [({"version": "cars-2"}, "spec.model.version"), ({"alias": "champion"}, "spec.model.alias")]
)
def test_of_a_pin_and_an_alias_it_is_only_told(model: dict[str, str], named: str) -> None:
    world = second({})
    world.claim("cars-2", "champion", "2026-01-01T00:00:00Z")
    world.parent["spec"]["model"] = {"name": "cars", **model}
    fire(world)
    stays(world, "cars-2", f"cars-1 does not come back: it would, but {named} says what serves")


def test_a_way_back_that_fails_is_not_gone_again() -> None:
    world = second({}, progressDeadlineSeconds=20)
    world.slow = {"cars-1"}
    fire(world)
    world.run(3)
    assert world.status["canary"]["version"] == "cars-1"
    world.run(100)
    stays(world, "cars-2", "cars-1 was to come back already, and did not")
    assert world.status["phase"] == "Stable"
    assert "failedRevision" not in world.status


def test_a_way_back_that_a_person_ends_is_not_gone_again() -> None:
    for word in ("abort", "retry"):
        world = second({})
        world.slow = {"cars-1"}
        fire(world)
        world.run(3)
        world.say(word, "it is good enough")
        world.run(40)
        stays(world, "cars-2", "cars-1 was to come back already, and did not")


def test_a_persons_word_counts_first() -> None:
    world = second({})
    promote(world, "cars-3")
    fire(world)
    world.say("rollback", "cars-1 is what I trust")
    world.run(20)
    assert world.status["stable"]["version"] == "cars-1"
    assert "alert" not in world.status["rollback"]


def test_an_old_word_that_nothing_came_of_does_not_end_it() -> None:
    world = second({})
    world.say("retry", "there is nothing to try")
    world.run(5)
    fire(world)
    world.run(60)
    assert world.status["stable"]["version"] == "cars-1"


def test_an_image_of_the_server_that_was_exchanged_is_no_promotion() -> None:
    world = second({})
    world.parent["spec"]["runtime"] = {"timeouts": {"requestSeconds": 7}}
    world.say("pause", "only to be looked at")
    world.run(100)
    assert [one["version"] for one in world.status["history"]] == ["cars-2", "cars-2", "cars-1"]
    fire(world)
    world.run(20)
    assert world.status["stable"]["version"] == "cars-1"


def held(world: World) -> list[str]:
    """Return the kinds of the alerts of which it is settled that nothing comes back for them."""
    ids = world.status.get("rollbackHeld", [])
    return [one["kind"] for one in world.status.get("alerts") or () if one["id"] in ids]


def test_that_nothing_comes_back_is_settled_when_nothing_but_time_could_change_it() -> None:
    world = second({})
    fire(world)
    world.run(10)
    assert held(world) == [], "cars-1 came back"
    resolve(world)
    fire(world)
    world.run(5)
    assert held(world) == ["Quality"], "and is not left"
    resolve(world)
    world.run(5)
    assert "rollbackHeld" not in world.status


def test_what_passes_settles_nothing() -> None:
    world = second({})
    fire(world, "DataQuality")
    fire(world)
    world.run(5)
    assert held(world) == []
    resolve(world)
    world.add("cars-3")
    world.run(3)
    world.say("pause")
    world.run(2)
    fire(world)
    world.run(20)
    assert (world.status["phase"], held(world)) == ("Paused", [])


def test_of_a_first_version_and_a_stopped_one_it_is_settled() -> None:
    world = World()
    world.parent["spec"]["monitoring"] = {"engine": "Prometheus", "rollback": {}}
    world.serving()
    fire(world)
    world.run(5)
    assert held(world) == ["Quality"]
    world = second({})
    world.parent["spec"]["suspend"] = True
    world.run(10)
    fire(world)
    world.run(5)
    assert held(world) == ["Quality"]
