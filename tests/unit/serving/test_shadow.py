"""Strategy Shadow: compared by what the stable pods mirror, then promoted or taken back, unseen by clients."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelmill.contracts import shadow as contract
from modelmill.kube.conditions import find
from modelmill.serving.network import network_part
from modelmill.workloads.network import Network
from modelmill_server.settings import from_environment
from tests.support import objects as o
from tests.unit.serving.simulated import KINDS, STEPS, World, condition

CHECKS = [{"metric": "ErrorRatio", "maximum": "0.01"}, {"metric": "Disagreement", "maximum": "0.1"}]
ANALYSIS = {"intervalSeconds": 5, "minRequests": 20, "checks": CHECKS, "failureLimit": 0}


def world_of(analysis: dict[str, Any] | None = None, **shadow: Any) -> World:
    settings = {"seconds": 20, **shadow}
    return World(steps=None, strategy="Shadow", shadow=settings, analysis=analysis or ANALYSIS).serving()


def told(world: World) -> contract.Shadow | None:
    found = world.children[KINDS["ConfigMap"]].get("cars-shadow")
    return None if found is None else contract.decode(found["data"]["shadow.json"])


def pods_of(world: World, revision: str) -> set[str]:
    return {
        pod["metadata"]["uid"] for pod in world.pods if pod["metadata"]["labels"]["modelmill.dev/revision"] == revision
    }


def test_version_that_agrees_is_promoted_and_no_client_saw_it_before() -> None:
    world = world_of(replicas=2, sampleRatio="0.25", tolerance={"relative": "0.01", "absolute": "2"})
    first = world.status["stable"]["revision"]
    before = pods_of(world, first)
    world.add("cars-2")
    world.run(15)
    canary = world.status["canary"]
    assert (canary["version"], canary["weight"], canary["actualWeight"], canary["ready"]) == ("cars-2", 0, 0, 2)
    assert told(world) == contract.Shadow("cars-2", canary["revision"], 0.25, 0.01, 2.0)
    assert {pod["metadata"]["uid"] for pod in world.selected()} == before
    assert canary["analysis"][0]["verdict"] == "Pass"
    assert "Disagreement 0 <= 0.1" in canary["analysis"][0]["message"]
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    assert told(world) is None
    assert world.lost == 0


@pytest.mark.parametrize(
    ("fault", "words"), [("off", "Disagreement 1 > 0.1"), ("errors", "ErrorRatio 1"), ("hung", "ErrorRatio 1")]
)
def test_version_that_is_worse_is_taken_back(fault: str, words: str) -> None:
    world = world_of()
    setattr(world, fault, {"cars-2"})
    first = world.status["stable"]["revision"]
    before = pods_of(world, first)
    world.add("cars-2")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert words in condition(world, "RolledBack")[2]
    assert told(world) is None
    assert pods_of(world, first) == before
    assert list(world.deployments) == [f"cars-{first}"]
    answered = {code for uid in before for code in world.traffic.codes[uid]}
    assert answered == {"200"}
    world.run(60)
    assert world.status["phase"] == "RolledBack"


def test_verdict_that_never_reached_the_status_is_given_again_at_once() -> None:
    """The end of a rollout leaves no measurement on record: its requests are counted until the status says the end."""
    world = world_of()
    world.off = {"cars-2"}
    world.add("cars-2")
    world.run(5)
    world.refuse_status = True
    while "failedRevision" not in (world.reconcile().status or {}):
        world.kubelet()
        world.time += 1
        world._serve()
    world.refuse_status = False
    world.reconcile()
    assert world.status["phase"] == "RolledBack"


def test_shadow_that_is_never_ready_is_taken_back_and_nothing_is_mirrored() -> None:
    world = world_of()
    world.parent["spec"]["rollout"]["progressDeadlineSeconds"] = 20
    world.slow = {"cars-2"}
    world.add("cars-2")
    for _ in range(40):
        world.run(1)
        assert told(world) is None
    assert world.status["phase"] == "RolledBack"


def test_quiet_service_holds() -> None:
    world = world_of()
    world.rate = 0
    world.add("cars-2")
    world.run(200)
    assert (world.status["phase"], world.status["canary"]["weight"]) == ("RollingOut", 0)
    assert world.status["canary"]["analysis"][0]["verdict"] == "Insufficient"
    world.rate = 40
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


def test_default_analysis_compares() -> None:
    world = World(steps=None, analysis=None, strategy="Shadow").serving()
    world.off = {"cars-2"}
    world.add("cars-2")
    world.run(200)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    steps = world.status["effective"]["steps"]
    assert steps == [{"setCanaryReplicas": 1}, {"pauseSeconds": 600}, {"weight": 100}]


def test_pods_that_cannot_mirror_are_replaced_before_a_version_is_compared() -> None:
    """The strategy and the version change at once: nothing is promoted that was not compared."""
    world = World().serving()
    world.parent["spec"]["rollout"] = {"strategy": "Shadow", "shadow": {"seconds": 20}, "analysis": ANALYSIS}
    world.off = {"cars-2"}
    world.add("cars-2")
    world.run(80)
    rolled_out = [one for one in world.messages if one.startswith("rolling out")]
    assert [one.split()[2] for one in rolled_out] == ["cars-1", "cars-2"]
    assert any("pods that can mirror" in one for one in world.messages)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert "Disagreement 1 > 0.1" in condition(world, "RolledBack")[2]
    assert world.lost == 0


def test_another_strategy_does_not_change_the_pods_of_a_service_that_never_mirrored() -> None:
    world = World().serving()
    (deployment,) = world.deployments.values()
    spec = deployment["spec"]["template"]["spec"]
    assert "shadow" not in [one["name"] for one in spec["volumes"]]
    (server,) = spec["containers"]
    assert not [one for one in server["env"] if "SHADOW" in one["name"]]


def test_pod_mirrors_to_the_preview_when_the_config_map_says_so() -> None:
    world = world_of()
    (deployment,) = world.deployments.values()
    spec = deployment["spec"]["template"]["spec"]
    (server,) = spec["containers"]
    settings = from_environment({one["name"]: one.get("value", "") for one in server["env"]}, "/a", "::", 8080)
    assert settings.shadow_url == "http://cars-preview"
    assert settings.shadow_file is not None
    (mount,) = [one for one in server["volumeMounts"] if one["mountPath"] == str(settings.shadow_file.parent)]
    (volume,) = [one for one in spec["volumes"] if one["name"] == mount["name"]]
    assert volume["projected"] == {"sources": [{"configMap": {"name": "cars-shadow", "optional": True}}]}
    assert mount["readOnly"] is True
    assert "cars-preview" in world.children[KINDS["Service"]]
    world.add("cars-2")
    world.run(10)
    assert settings.shadow_file.name in world.children[KINDS["ConfigMap"]]["cars-shadow"]["data"]


@pytest.mark.parametrize("strategy", ["Canary", "Shadow"])
def test_only_pods_that_mirror_may_reach_others_of_their_service(strategy: str) -> None:
    parent = o.inference_service(rollout={"strategy": strategy})
    part = network_part(Network())
    (policy,) = asyncio.run(part.contribute(parent, World(), o.NOW)).apply or ()
    to = [rule["to"] for rule in policy["spec"]["egress"] if "to" in rule]
    own = [{"podSelector": {"matchLabels": {"modelmill.dev/inference-service": "cars"}}}]
    assert (own in to) == (strategy == "Shadow")


def test_failed_replacement_of_pods_keeps_no_version_from_its_turn() -> None:
    world = World().serving()
    world.parent["spec"]["rollout"] = {
        "strategy": "Shadow", "shadow": {"seconds": 5}, "analysis": ANALYSIS, "progressDeadlineSeconds": 10,
    }  # fmt: skip
    world.room = 4
    world.add("cars-2")
    world.run(60)
    assert world.status["stable"]["version"] == "cars-1"
    assert find(world.status, "Available")["status"] == "True"  # type: ignore[index]
    seen = len(world.events)
    world.run(300)
    assert world.events[seen:].count("RolloutStarted") <= 1
    world.room = 99
    world.say("retry")
    world.run(120)
    assert world.status["stable"]["version"] == "cars-2"


def test_person_who_goes_back_does_not_wait_for_pods_that_mirror() -> None:
    world = World(versions=("cars-1",)).serving()
    world.add("cars-2")
    world.run(80)
    assert world.status["stable"]["version"] == "cars-2"
    world.parent["spec"]["rollout"] = {"strategy": "Shadow"}
    world.say("rollback", "previous")
    seen = len(world.messages)
    world.run(30)
    assert world.status["stable"]["version"] == "cars-1"
    assert [one.split()[2] for one in world.messages[seen:] if one.startswith("rolling out")] == ["cars-1"]


def test_steps_are_as_before_when_the_strategy_is_left() -> None:
    world = world_of()
    world.parent["spec"]["rollout"] = {"strategy": "Canary", "steps": STEPS}
    world.add("cars-2")
    world.run(100)
    assert world.status["stable"]["version"] == "cars-2"
    assert "cars-preview" not in world.children[KINDS["Service"]]
