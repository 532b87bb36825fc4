"""Services whose pods an autoscaler counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.serving.simulated import World, condition, revision_of

BOUNDS: dict[str, Any] = {"minReplicas": 2, "maxReplicas": 8, "targetCPUUtilizationPercentage": 80}


def autoscaled(**rollout: Any) -> World:
    world = World(replicas=4, **rollout)
    world.parent["spec"]["autoscaling"] = BOUNDS
    return world.serving()


def bounds(world: World) -> dict[str, tuple[int, int]]:
    return {
        revision_of(one): (one["spec"]["minReplicas"], one["spec"]["maxReplicas"]) for one in world.autoscalers.values()
    }


def counted(world: World, replicas: int, track: str = "stable") -> None:
    """Let the autoscaler of a track set its number of pods."""
    deployment = world.deployments[f"cars-{world.status[track]['revision']}"]
    deployment["spec"]["replicas"] = replicas
    world.reconcile()
    world.run(3)


def test_each_pod_is_counted_by_the_autoscaler_and_ready_means_the_fewest() -> None:
    world = autoscaled()
    revision = world.status["stable"]["revision"]
    assert bounds(world) == {revision: (2, 8)}
    assert len(world.pods) == 4, "spec.replicas is what it begins with"
    (made,) = world.autoscalers.values()
    assert made["spec"]["scaleTargetRef"]["name"] == f"cars-{revision}"
    counted(world, 7)
    assert (len(world.pods), world.status["readyReplicas"]) == (7, "7/7")
    world.deployments[f"cars-{revision}"]["spec"]["replicas"] = 8
    world.kubelet(0)
    world.reconcile()
    assert condition(world, "Ready")[:2] == ("True", "Stable"), "more pods may be on their way"
    assert world.status["readyReplicas"] == "7/8"
    counted(world, 2)
    assert (len(world.pods), world.status["readyReplicas"]) == (2, "2/2")
    assert len(world.budgets) == 1


def test_a_rollout_divides_the_number_that_there_was() -> None:
    world = autoscaled(analysis=None)
    counted(world, 8)
    world.add("cars-2")
    world.run(5)
    stable, canary = world.status["stable"]["revision"], world.status["canary"]["revision"]
    assert world.status["canary"]["size"] == 8
    assert bounds(world) == {stable: (6, 8), canary: (2, 2)}
    assert world.status["stable"]["replicas"] == 8, "the autoscaler of the stable track has not taken its pods yet"
    counted(world, 6)
    assert world.status["canary"]["actualWeight"] == 25
    assert bounds(world) == {stable: (6, 8), canary: (2, 2)}, "the share stays as it was"
    world.run(10)
    assert bounds(world) == {stable: (6, 8), canary: (4, 4)}
    counted(world, 4, "canary")
    world.run(15)
    assert bounds(world) == {stable: (6, 8), canary: (8, 8)}
    counted(world, 8, "canary")
    assert world.status["stable"]["version"] == "cars-2"
    assert bounds(world) == {canary: (2, 8)}
    assert world.lost == 0


def test_more_load_in_a_rollout_is_more_of_both() -> None:
    world = autoscaled(steps=[{"weight": 50}, {"pauseSeconds": 600}], analysis=None)
    world.add("cars-2")
    world.run(5)
    canary = world.status["canary"]["revision"]
    assert bounds(world)[canary] == (2, 2)
    counted(world, 8)
    assert bounds(world)[canary] == (4, 4)
    assert world.status["canary"]["size"] == 8


def test_a_candidate_that_is_taken_back_leaves_the_stable_track_whole() -> None:
    world = autoscaled()
    counted(world, 8)
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(5)
    stable = world.status["stable"]["revision"]
    counted(world, 6)
    while world.status["phase"] == "RollingOut":
        world.run(1)
    if world.status["phase"] == "RollingBack":
        assert bounds(world)[stable] == (8, 8), "it gets back what the candidate had"
    world.run(60)
    assert world.status["phase"] == "RolledBack"
    assert bounds(world) == {stable: (2, 8)}


def test_zero_and_suspend_stop_an_autoscaled_service_and_start_it_again() -> None:
    world = autoscaled()
    for change in ({"suspend": True}, {"suspend": False, "replicas": 0}):
        world.parent["spec"] |= change
        world.reconcile()
        world.run(3)
        assert (len(world.pods), world.autoscalers) == (0, {})
        world.parent["spec"] |= {"suspend": False, "replicas": 4}
        world.reconcile()
        world.run(3)
        assert len(world.pods) == 4
        assert list(bounds(world).values()) == [(2, 8)]


def test_pods_are_not_counted_against_an_autoscaler_that_is_still_there() -> None:
    """Its deletion may be refused for long: both would set the number by turns, and pods be made and deleted."""
    world = autoscaled()
    counted(world, 7)
    del world.parent["spec"]["autoscaling"]
    world.reconcile()
    assert [one["spec"].get("replicas") for one in world.deployments.values()] == [7]
    assert not world.autoscalers
    world.run(5)
    assert [one["spec"].get("replicas") for one in world.deployments.values()] == [4]


def test_without_autoscaling_the_spec_counts_again() -> None:
    world = autoscaled()
    counted(world, 7)
    del world.parent["spec"]["autoscaling"]
    world.reconcile()
    world.run(3)
    assert (len(world.pods), world.autoscalers) == (4, {})
    assert "ScalingActive" not in {one["type"] for one in world.status["conditions"]}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (None, ("Unknown", "Pending")),
        ({"status": "True", "reason": "ValidMetricFound"}, ("True", "ValidMetricFound")),
        (
            {"status": "False", "reason": "FailedGetContainerResourceMetric", "message": "no metrics known"},
            ("False", "FailedGetContainerResourceMetric"),
        ),
    ],
)
def test_whether_the_autoscaler_can_count_is_told(status: dict[str, str] | None, told: tuple[str, str]) -> None:
    world = autoscaled()
    (made,) = world.autoscalers.values()
    made["status"] = {"conditions": [{"type": "ScalingActive", **status}]} if status else {}
    world.reconcile()
    assert condition(world, "ScalingActive")[:2] == told
    if told[0] == "False":
        assert "no metrics known" in condition(world, "ScalingActive")[2]


def test_all_targets_are_metrics_of_the_autoscaler() -> None:
    world = World()
    behavior = {
        "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
    }
    world.parent["spec"]["autoscaling"] = BOUNDS | {
        "targetRequestsPerSecond": 50,
        "targetConcurrency": 3,
        "behavior": behavior,
    }
    world.run(3)
    (made,) = world.autoscalers.values()
    assert made["spec"]["metrics"] == [
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "cpu",
                "container": "server",
                "target": {"type": "Utilization", "averageUtilization": 80},
            },
        },
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": "modelmill_requests_per_second"},
                "target": {"type": "AverageValue", "averageValue": "50"},
            },
        },
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": "modelmill_requests_in_progress"},
                "target": {"type": "AverageValue", "averageValue": "3"},
            },
        },
    ]
    assert made["spec"]["behavior"] == behavior
