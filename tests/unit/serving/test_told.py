"""What a person sees: pods that are refused, versions that were superseded, objects that cannot be read."""

from __future__ import annotations

from typing import Any

from modelmill.kube.conditions import find
from tests.support import objects as o
from tests.support.made_aside import applied
from tests.unit.serving.simulated import STEPS, World, condition

QUOTA = 'pods "cars-1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4'


def refuse(world: World, revision: str) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}
    deployment = world.deployments[f"cars-{revision}"]
    deployment["status"] = {"conditions": [*(deployment["status"].get("conditions") or []), failure]}


def test_first_pods_that_are_refused_are_told_with_the_words_of_the_quota() -> None:
    world = World()
    world.reconcile()
    refuse(world, world.status["stable"]["revision"])
    world.reconcile()
    for kind, status in (("Ready", "False"), ("Stalled", "True")):
        assert condition(world, kind)[:2] == (status, "PodsRefused")
        assert "exceeded quota: small" in condition(world, kind)[2]
    assert "raise the quota" in condition(world, "Stalled")[2]
    world.deployments[f"cars-{world.status['stable']['revision']}"]["status"] = {}
    world.run(3)
    assert condition(world, "Stalled")[0] == "False"


def test_candidate_whose_pods_are_refused_is_told_and_taken_back_at_its_deadline() -> None:
    world = World(progressDeadlineSeconds=60).serving()
    world.slow = {"cars-2"}
    world.add("cars-2")
    world.run(2)
    refuse(world, world.status["canary"]["revision"])
    world.reconcile()
    assert world.status["phase"] == "RollingOut"
    assert condition(world, "Stalled")[:2] == ("True", "PodsRefused")
    assert condition(world, "Ready")[0] == "True"
    assert "exceeded quota" in condition(world, "Reconciling")[2]
    world.run(70)
    assert world.status["phase"] == "RolledBack"
    assert "exceeded quota" in world.status["failedMessage"]


def test_candidate_that_is_superseded_is_in_the_history_so_that_its_version_hears_of_it() -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(3)
    world.reject("cars-2")
    world.run(3)
    newest = world.status["history"][0]
    assert (newest["version"], newest["outcome"]) == ("cars-2", "Superseded")
    assert newest["endTime"] >= newest["startTime"]


def test_candidate_that_failed_is_in_the_history_once() -> None:
    world = World().serving()
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(30)
    assert [one["outcome"] for one in world.status["history"]] == ["RolledBack", "Serving"]


def test_first_version_that_never_served_is_in_the_history_too() -> None:
    world = World()
    world.broken = {"cars-1"}
    world.run(3)
    world.add("cars-2")
    world.run(3)
    told = [(one["version"], one["outcome"]) for one in world.status["history"]]
    assert told == [("cars-2", "Serving"), ("cars-1", "Superseded")]


def test_first_version_that_cannot_load_is_an_event_with_the_reason_once() -> None:
    world = World()
    world.broken = {"cars-1"}
    world.run(5)
    assert world.events == ["Deploying", "GoldenMismatch"]
    assert world.messages[1] == "cars-1: container server exited with code 3: row 3 differs"
    world.add("cars-2")
    world.run(3)
    assert world.events[2:] == ["Deploying", "Serving"]


def test_first_version_whose_pods_are_refused_is_an_event() -> None:
    world = World()
    world.reconcile()
    refuse(world, world.status["stable"]["revision"])
    world.reconcile()
    world.reconcile()
    assert world.events == ["Deploying", "PodsRefused"]


def test_history_of_a_first_version_that_could_not_load_says_why() -> None:
    world = World()
    world.broken = {"cars-1"}
    world.run(3)
    world.add("cars-2")
    world.run(3)
    why = world.status["history"][1]["message"]
    assert why == "GoldenMismatch: container server exited with code 3: row 3 differs; cars-2 is deployed instead"


def test_service_that_took_a_version_back_says_which_and_why() -> None:
    world = World().serving()
    world.broken = {"cars-2"}
    world.add("cars-2")
    world.run(5)
    assert condition(world, "Ready") == (
        "True",
        "RolledBack",
        "cars-1 serves with 4 of 4 pods ready; cars-2 was taken back: "
        "GoldenMismatch: container server exited with code 3: row 3 differs",
    )


def test_object_that_another_schema_let_through_is_told_and_left_as_it_is() -> None:
    world = World().serving()
    children = str(world.children)
    world.parent["spec"] |= {"runtime": {"warmupRequests": "many"}}
    world.reconcile()
    world.run(20)
    for kind, status in (("Ready", "False"), ("Stalled", "True")):
        assert condition(world, kind)[:2] == (status, "SpecInvalid")
        assert "spec.runtime.warmupRequests" in condition(world, kind)[2]
    assert world.status["stable"]["version"] == "cars-1"
    assert str(world.children) == children
    world.parent["spec"] |= {"runtime": {}}
    world.reconcile()
    world.run(3)
    assert condition(world, "Ready")[:2] == ("True", "Stable")


def test_newest_version_that_cannot_be_read_is_passed_over() -> None:
    world = World().serving()
    world.add("cars-2")
    world.versions[-1]["spec"]["artifact"] = "lost"
    world.run(5)
    assert world.status["stable"]["version"] == "cars-1"
    assert world.status["phase"] == "Stable"


def test_object_that_is_being_deleted_is_left_alone() -> None:
    world = World().serving()
    world.add("cars-2")
    world.parent["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    made = world.reconcile()
    assert (list(applied(made)), list(made.delete)) == ([], [])
    assert world.status["phase"] == "Stable"


def test_service_of_whose_status_nothing_is_left_removes_nothing_while_nothing_is_approved() -> None:
    world = World().serving()
    world.reject("cars-1")
    del world.parent["status"]
    made = world.reconcile()
    assert list(made.delete) == []
    assert world.status["phase"] == "Pending"
    assert len(world.selected()) == 4


def test_foreign_deployments_with_our_owner_are_removed() -> None:
    world = World().serving()
    stray: dict[str, Any] = {
        "kind": "Deployment",
        "metadata": {"name": "stray", "namespace": "ml", "uid": "s", "labels": {}},
    }
    world.deployments["stray"] = {
        **stray,
        "spec": {"replicas": 0, "template": {"metadata": {"labels": {}}}},
        "status": {},
    }
    made = world.reconcile()
    assert [gone.name for gone in made.delete] == ["stray"]


def test_alerts_of_another_version_are_gone_with_the_plan_that_promotes() -> None:
    world = World(steps=STEPS, analysis=None)
    world.parent["spec"]["monitoring"] = {"drift": {}}
    world.serving()
    world.parent["status"]["alerts"] = [o.alert(version="cars-1", feature="Weight", value="2.0")]
    world.add("cars-2")
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
    assert "alerts" not in world.status
    assert find(world.status, "MonitoringReady") is not None
