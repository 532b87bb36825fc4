"""Strategy BlueGreen, and pods without traffic: the preview Service, the switch, the way back."""

from __future__ import annotations

from typing import Any

from tests.unit.serving.simulated import ANALYSIS, World


def world_of(rate: int = 40, **blue_green: Any) -> World:
    world = World(steps=None, strategy="BlueGreen", blueGreen=blue_green, analysis=ANALYSIS)
    world.rate = rate
    return world.serving()


def selected(world: World, name: str) -> str:
    service = next(one for key, one in world.children.items() if key.kind == "Service")[name]
    return str(service["spec"]["selector"]["modelmill.dev/revision"])


def test_all_traffic_is_switched_at_once_when_all_pods_are_ready() -> None:
    world = world_of(postPromotionSeconds=30)
    first = selected(world, "cars")
    world.add("cars-2")
    world.settle()
    candidate = world.status["canary"]["revision"]
    assert selected(world, "cars-preview") == candidate
    assert world.status["canary"]["replicas"] == world.status["stable"]["replicas"] == 4
    world.run(3)
    assert selected(world, "cars") == candidate
    assert world.status["canary"]["actualWeight"] == 100
    assert world.deployments[f"cars-{first}"]["spec"]["replicas"] == 4
    world.run(40)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    assert world.status["previous"]["version"] == "cars-1"
    assert world.deployments[f"cars-{first}"]["spec"]["replicas"] == 4
    world.run(40)
    assert list(world.deployments) == [f"cars-{candidate}"]
    assert "previous" not in world.status
    assert world.lost == 0


def test_bad_version_is_switched_back_within_the_time_after() -> None:
    world = world_of(postPromotionSeconds=60)
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert selected(world, "cars") == world.status["stable"]["revision"]
    assert len(world.deployments) == 1
    assert world.lost == 0


def test_switch_waits_for_a_person() -> None:
    world = world_of(autoPromotion=False, postPromotionSeconds=0, scaleDownDelaySeconds=0)
    world.add("cars-2")
    world.run(100)
    assert (world.status["phase"], world.status["canary"]["weight"]) == ("Paused", 0)
    assert selected(world, "cars") == world.status["stable"]["revision"]
    assert world.status["canary"]["ready"] == 4
    world.say("resume")
    world.run(5)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")


def test_requests_to_the_preview_are_judged_before_the_switch() -> None:
    world = world_of(prePromotionSeconds=20, postPromotionSeconds=0)
    world.add("cars-2")
    world.run(100)
    assert world.status["phase"] == "RollingOut"
    assert world.status["canary"]["analysis"][0]["verdict"] == "Insufficient"
    for pod in world.pods:
        if pod["metadata"]["labels"]["modelmill.dev/model-version"] == "cars-2":
            world.traffic.codes.setdefault(pod["metadata"]["uid"], type(world.writes)())["500"] += 50
    world.run(10)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")


def test_version_that_is_never_ready_never_gets_a_request() -> None:
    world = world_of()
    world.parent["spec"]["rollout"]["progressDeadlineSeconds"] = 30
    world.slow = {"cars-2"}
    first = selected(world, "cars")
    world.add("cars-2")
    for _ in range(60):
        world.run(1)
        assert selected(world, "cars") == first
    assert world.status["phase"] == "RolledBack"


def test_version_that_just_went_is_back_without_new_pods() -> None:
    world = world_of(postPromotionSeconds=5)
    world.parent["spec"]["rollout"]["scaleDownDelaySeconds"] = 600
    before = {pod["metadata"]["uid"] for pod in world.pods}
    world.add("cars-2")
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
    world.say("rollback", "previous")
    world.run(2)
    assert world.status["stable"]["version"] == "cars-1"
    assert before <= {pod["metadata"]["uid"] for pod in world.pods}


def test_pods_without_traffic_stand_before_the_first_weight() -> None:
    world = World(steps=[{"setCanaryReplicas": 2}, {"pause": "Manual"}, {"weight": 50}, {"pauseSeconds": 10}]).serving()
    world.add("cars-2")
    world.run(30)
    status = world.status
    assert (status["phase"], status["canary"]["ready"], status["canary"]["actualWeight"]) == ("Paused", 2, 0)
    assert status["stable"]["ready"] == 4
    assert selected(world, "cars") == status["stable"]["revision"]
    assert selected(world, "cars-preview") == status["canary"]["revision"]
    world.say("resume")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    assert world.lost == 0


def test_history_goes_by_the_switch_and_not_by_the_promotion() -> None:
    world = world_of(postPromotionSeconds=30)
    world.add("cars-2")
    world.run(4)
    switched = world.status["canary"]["wholeTime"]
    world.run(60)
    new, old = world.status["history"][:2]
    assert (new["version"], new["startTime"], old["endTime"]) == ("cars-2", switched, switched)


def test_version_that_was_taken_back_tells_how_much_of_the_traffic_it_had() -> None:
    world = world_of(postPromotionSeconds=60)
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(60)
    assert (world.status["history"][0]["outcome"], world.status["history"][0]["weight"]) == ("RolledBack", 100)
    world = world_of(autoPromotion=False)
    world.add("cars-2")
    world.run(20)
    world.say("abort")
    world.run(10)
    assert (world.status["history"][0]["outcome"], world.status["history"][0]["weight"]) == ("RolledBack", 0)
