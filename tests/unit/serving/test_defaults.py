"""What is done when spec.rollout says nothing, and that it is told."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.api.rollout import Rollout
from modelmill.kube.conditions import find
from modelmill.serving.rollout.strategies import STRATEGIES, effective
from tests.unit.serving.simulated import ANALYSIS, World


def careful(rate: int = 40, **more: Any) -> World:
    world = World(steps=None, analysis=None, **more)
    world.parent["spec"].pop("rollout")
    world.rate = rate
    return world.serving()


def test_rollout_left_out_is_a_measured_canary_and_is_told() -> None:
    world = careful()
    told = world.status["effective"]
    assert told["strategy"] == "Canary"
    assert [step.get("weight") or -step["pauseSeconds"] for step in told["steps"]] == [10, -60, 50, -60, 100]
    assert [check["metric"] for check in told["analysis"]["checks"]] == ["ErrorRatio", "LatencyP95Seconds"]
    world.add("cars-2")
    world.run(100)
    assert (world.status["phase"], world.status["canary"]["weight"]) == ("RollingOut", 50)
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    assert "message" not in world.status["history"][0]
    assert world.lost == 0


def test_bad_version_is_taken_back_without_a_word_in_the_spec() -> None:
    world = careful()
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(130)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert "ErrorRatio 1 > 0.01" in world.status["failedMessage"]


@pytest.mark.parametrize("silent", [True, False])
def test_quiet_service_does_not_wait_for_ever_and_says_so(silent: bool) -> None:
    world = careful(rate=0)
    world.traffic.silent = silent
    world.add("cars-2")
    world.run(100)
    reconciling = find(world.status, "Reconciling")
    assert reconciling is not None
    assert "at least 20 requests that passes if there are as many" in reconciling["message"]
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    ready = find(world.status, "Ready")
    assert ready is not None
    why = "no figures from 2 of 2 pods at /metrics" if silent else "0 of 20 requests needed"
    assert ready["message"].endswith(f"; not judged by requests: {why}")
    assert "not judged by requests" in world.messages[-1]


def test_one_pod_has_half_of_the_traffic_at_the_first_weight() -> None:
    world = careful(replicas=1)
    world.add("cars-2")
    world.run(3)
    assert world.status["weight"] == "50/10"


@pytest.mark.parametrize(
    ("rollout", "weights", "measured"),
    [
        ({}, [10, 50, 100], True),
        ({"progressDeadlineSeconds": 60}, [10, 50, 100], True),
        ({"analysis": ANALYSIS}, [10, 50, 100], True),
        ({"steps": [{"weight": 20}]}, [20, 100], False),
        ({"steps": [{"weight": 20}, {"weight": 100}, {"pauseSeconds": 5}]}, [20, 100], False),
        ({"strategy": "Direct"}, [100], False),
    ],
)
def test_effective_steps(rollout: dict[str, Any], weights: list[int], measured: bool) -> None:
    found = effective(Rollout.model_validate(rollout))
    assert [step.weight for step in found.steps if step.weight is not None] == weights
    assert (found.analysis is not None) is measured
    if "analysis" in rollout:
        assert found.analysis is not None
        assert found.analysis.min_requests == ANALYSIS["minRequests"]


def test_every_strategy_of_the_schema_is_in_the_table() -> None:
    schema = Rollout.model_json_schema()["properties"]["strategy"]
    assert set(schema["enum"]) == set(STRATEGIES)
