"""Services without pods: suspended, scaled to zero, and what is asked of them meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.serving.simulated import World, condition, revision_of

STOPS: list[tuple[dict[str, Any], str]] = [({"suspend": True}, "Suspended"), ({"replicas": 0}, "ScaledToZero")]


def change(world: World, **spec: Any) -> None:
    world.parent["spec"] |= spec
    world.reconcile()


def start(world: World) -> None:
    change(world, suspend=False, replicas=4)


@pytest.mark.parametrize(("spec", "phase"), STOPS)
def test_a_stopped_service_keeps_everything_but_its_pods_and_comes_back(spec: dict[str, Any], phase: str) -> None:
    world = World().serving()
    before = world.status
    change(world, **spec)
    world.run(5)
    assert not world.pods
    assert (world.status["phase"], world.status["readyReplicas"]) == (phase, "0/0")
    assert world.status["stable"] == before["stable"] | {"replicas": 0, "ready": 0}
    assert world.status["url"] == before["url"]
    assert world.service
    assert not world.budgets
    assert condition(world, "Ready")[:2] == ("True", phase)
    assert condition(world, "Available")[:2] == ("False", phase)
    assert condition(world, "Reconciling")[0] == condition(world, "Stalled")[0] == "False"
    writes = dict(world.writes)
    world.restart_operator()
    world.run(60)
    assert world.writes == writes
    start(world)
    assert world.status["phase"] == "Resuming"
    assert condition(world, "Reconciling")[:2] == ("True", "Resuming")
    world.run(5)
    assert world.status["phase"] == "Stable"
    assert (world.status["stable"], world.status["history"]) == (before["stable"], before["history"])
    assert len(world.pods) == 4


@pytest.mark.parametrize(("spec", "phase"), STOPS)
def test_a_version_that_comes_meanwhile_is_rolled_out_when_the_pods_are_back(spec: dict[str, Any], phase: str) -> None:
    world = World().serving()
    change(world, **spec)
    world.run(5)
    world.add("cars-2")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == (phase, "cars-1")
    assert len(world.deployments) == 1
    start(world)
    world.kubelet(1)
    world.reconcile()
    assert "canary" not in world.status, "a candidate would be the only one that answers"
    world.run(2)
    assert world.status["canary"]["version"] == "cars-2"
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


@pytest.mark.parametrize(("spec", "phase"), STOPS)
def test_a_rollout_ends_with_the_pods_and_begins_anew(spec: dict[str, Any], phase: str) -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(5)
    assert world.status["canary"]["version"] == "cars-2"
    change(world, **spec)
    world.run(3)
    assert world.status["phase"] == phase
    assert not world.pods
    assert len(world.deployments) == 1
    ended = world.status["history"][0]
    assert (ended["version"], ended["outcome"]) == ("cars-2", "Superseded")
    assert "failedRevision" not in world.status
    start(world)
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


@pytest.mark.parametrize(("spec", "phase"), STOPS)
def test_a_new_service_may_begin_without_pods(spec: dict[str, Any], phase: str) -> None:
    world = World()
    world.parent["spec"] |= spec
    world.run(5)
    assert (world.status["phase"], world.status["stable"]["version"]) == (phase, "cars-1")
    assert not world.status.get("history")
    world.add("cars-2")
    world.run(5)
    assert world.status["stable"]["version"] == "cars-2", "what never served makes way"
    start(world)
    world.run(5)
    latest = world.status["history"][0]
    assert (latest["version"], latest["outcome"]) == ("cars-2", "Serving")
    assert len(world.deployments) == 1


def test_a_rollback_is_remembered_while_stopped() -> None:
    world = World().serving()
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(60)
    failed = world.status["failedRevision"]
    change(world, suspend=True)
    world.run(5)
    assert (world.status["phase"], world.status["failedRevision"]) == ("Suspended", failed)
    start(world)
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")


def test_pods_that_cannot_come_back_make_way_for_a_version_that_can() -> None:
    world = World().serving()
    change(world, suspend=True)
    world.run(5)
    world.broken = {"cars-1"}
    start(world)
    world.run(5)
    assert condition(world, "Ready")[:2] == ("False", "GoldenMismatch")
    world.add("cars-2")
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff"}, "lastState": {"exitCode": 1}}, "CrashLoop"),
        ({"waiting": {"reason": "ErrImagePull"}}, "ImagePullFailed"),
    ],
)
def test_pods_in_trouble_that_may_pass_are_not_back(state: dict[str, Any], reason: str) -> None:
    world = World().serving()
    change(world, suspend=True)
    world.run(5)
    world.slow = {"cars-1"}
    start(world)
    world.kubelet()
    told = {"name": "server", "restartCount": 1, "state": {"waiting": state["waiting"]}}
    if "lastState" in state:
        told["lastState"] = {"terminated": state["lastState"]}
    for pod in world.pods:
        pod["status"]["containerStatuses"] = [told]
    world.reconcile()
    assert (world.status["phase"], world.status["readyReplicas"]) == ("Resuming", "0/4")
    assert condition(world, "Ready")[:2] == ("False", reason)
    world.slow = set()
    world.run(3)
    assert world.status["phase"] == "Stable"


def test_a_version_that_may_come_back_is_not_replaced_by_one_that_nobody_judged() -> None:
    world = World().serving()
    change(world, suspend=True)
    world.run(5)
    world.add("cars-2")
    world.slow = {"cars-1"}
    start(world)
    world.run(20)
    assert (world.status["phase"], len(world.deployments)) == ("Resuming", 1)
    world.slow = set()
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


def test_pods_that_do_not_come_back_in_time_make_way_for_another_version() -> None:
    world = World(progressDeadlineSeconds=60).serving()
    change(world, suspend=True)
    world.run(5)
    world.slow = {"cars-1"}
    start(world)
    world.run(200)
    assert world.status["phase"] == "Resuming", "there is no other"
    world.add("cars-2")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


def test_pods_that_never_come_back_are_told() -> None:
    world = World().serving()
    change(world, suspend=True)
    world.run(5)
    world.broken = {"cars-1"}
    start(world)
    world.run(5)
    assert (world.status["phase"], world.status["readyReplicas"]) == ("Resuming", "0/4")
    assert condition(world, "Stalled")[:2] == ("True", "GoldenMismatch")


def test_pods_without_room_are_waited_for() -> None:
    world = World().serving()
    change(world, suspend=True)
    world.run(5)
    world.add("cars-2")
    world.room = 2
    start(world)
    world.run(20)
    assert (world.status["phase"], len(world.deployments)) == ("Resuming", 1)
    assert condition(world, "Ready")[:2] == ("False", "Unschedulable")
    world.room = 99
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


def test_deletion_of_a_failing_deployment_while_stopped_loses_nothing() -> None:
    world = World().serving()
    change(world, replicas=0)
    world.run(3)
    world.deployments.clear()
    world.reconcile()
    assert len(world.deployments) == 1
    assert not world.pods


@pytest.mark.parametrize(("spec", "phase"), STOPS)
def test_a_service_that_is_stopped_in_a_rollout_never_sends_to_the_version_that_goes(
    spec: dict[str, Any], phase: str
) -> None:
    """The pods of the stable version may be gone before those of the one that was being rolled out."""
    world = World(steps=[{"weight": 50}, {"pauseSeconds": 100}], analysis=None).serving()
    stable = world.status["stable"]["revision"]
    world.add("cars-2")
    world.run(5)
    world.parent["spec"] |= spec
    for _ in range(4):
        world.pods = [pod for pod in world.pods if revision_of(pod) != stable]
        world.reconcile()
        assert world.service["spec"]["selector"].get("modelmill.dev/revision") == stable
    assert world.status["phase"] == phase


def test_a_version_that_is_aborted_as_the_service_is_stopped_is_not_rolled_out_again() -> None:
    world = World(steps=[{"weight": 50}, {"pauseSeconds": 100}], analysis=None).serving()
    world.add("cars-2")
    world.run(5)
    world.say("abort", "it is bad")
    change(world, suspend=True)
    world.run(5)
    assert (world.status["phase"], world.status["history"][0]["outcome"]) == ("Suspended", "RolledBack")
    start(world)
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert world.events.count("RolloutStarted") == 1
