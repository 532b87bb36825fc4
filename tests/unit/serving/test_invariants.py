"""InferenceService: the invariants of `invariants` over random events, for every strategy and both traffic modes."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.serving.events import ALERTS, EVENTS, happen
from tests.unit.serving.gatewayed import OWN, THEIRS, backends, route
from tests.unit.serving.invariants import Observed, ObservedGateway
from tests.unit.serving.simulated import ANALYSIS, STEPS

EXAMPLES = int(os.environ.get("MODELMILL_INVARIANTS_EXAMPLES", "5"))
SAME = "MODELMILL_INVARIANTS_EXAMPLES" not in os.environ
"""The sample is always the same one; with more examples they are new each time."""
BOUNDS: dict[str, Any] = {"minReplicas": 1, "maxReplicas": 6, "targetCPUUtilizationPercentage": 80}
COMPARING = {**ANALYSIS, "checks": [*ANALYSIS["checks"], {"metric": "Disagreement", "maximum": "0.1"}]}
STRATEGIES: dict[str, dict[str, Any]] = {
    "Canary": {"steps": STEPS},
    "BlueGreen": {
        "steps": None,
        "strategy": "BlueGreen",
        "blueGreen": {"autoPromotion": False, "postPromotionSeconds": 12},
    },
    "Shadow": {"steps": None, "strategy": "Shadow", "shadow": {"seconds": 10, "replicas": 2}, "analysis": COMPARING},
    "Direct": {"steps": None, "strategy": "Direct", "analysis": None},
}
TRAFFIC: dict[str, dict[str, Any] | None] = {"Replicas": None, "GatewayAPI": OWN, "routeRef": THEIRS}
OTHER_STRATEGIES = ("edit steps", "blue green", "canary", "steps that wait", "shadow")
HAPPENS = (
    *(one for one in EVENTS if one not in OTHER_STRATEGIES),
    "restart at rest",
    "autoscaler",
    "disagrees",
    "back",
)
AT_A_GATEWAY = ("lag", "deaf", "quick", "no gateway", "gateway", "refused", "taken")


def made(strategy: str, traffic: str, replicas: int = 3, **more: Any) -> Observed:
    """Return a world in which the strategy is rolled out by the traffic mode."""
    by = TRAFFIC[traffic]
    rollout = {**STRATEGIES[strategy], "progressDeadlineSeconds": 45, **more}
    if by is None:
        return Observed(replicas=replicas, **rollout)
    world = ObservedGateway(by, replicas=replicas, **rollout)
    if traffic == "routeRef":
        world.routes["front"] = route({"name": "theirs", "timeouts": {"request": "9s"}, "backendRefs": backends(7, 3)})
    return world


def befall(world: Observed, event: str) -> None:
    """Let one event happen."""
    if event == "restart at rest":
        world.settle()
        before, status = dict(world.writes), world.status
        world.restart_operator()
        world.settle()
        assert world.status == status, "it had to write anew what it knew before"
        assert world.autoscalers or world.writes == before
    elif event == "autoscaler":
        for name in world.autoscalers:
            deployment = world.deployments[name]
            if deployment["spec"]["replicas"] and "canary" not in world.status:
                deployment["spec"]["replicas"] = world.time % 6 + 1
        world.reconcile()
    elif event == "disagrees":
        world.off = {world.versions[-1]["metadata"]["name"]}
    elif event == "back":
        world.say("rollback", f"previous at {world.time}")
        world.reconcile()
    elif event in AT_A_GATEWAY:
        assert isinstance(world, ObservedGateway)
        if event in ("lag", "deaf", "quick"):
            world.lag = {"lag": 4, "deaf": 10**9, "quick": 0}[event]
        elif event in ("no gateway", "gateway"):
            world.installed = event == "gateway"
        else:
            world.refuses = "no listener" if event == "refused" else ""
        world._wake = world.time
        world.settle()
    else:
        happen(world, event)


def converge(world: Observed) -> None:
    """Let everything be well again: a new version comes to serve everything."""
    if isinstance(world, ObservedGateway):
        for event in ("gateway", "quick", "taken"):
            befall(world, event)
    for event in ("healthy", "busy", "follow", "start"):
        befall(world, event)
    world.off = set()
    if not world.parent["spec"]["replicas"]:
        befall(world, "scale")
    world.add("cars-99")
    for _ in range(3):
        world.run(40)
        world.say("resume")
        world.say("promote", f"go on {world.time}")
    world.run(60)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-99")
    assert "failedRevision" not in world.status
    world.run(60)
    assert len(world.deployments) == 1
    assert world.reached() == {world.status["stable"]["revision"]}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_invariants_hold_whatever_happens(strategy: str, traffic: str) -> None:
    happens = (*HAPPENS, *(AT_A_GATEWAY if traffic != "Replicas" else ()))

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=SAME)
    @given(st.integers(1, 5), st.booleans(), st.lists(st.sampled_from(happens), min_size=4, max_size=20))
    def whatever_happens(replicas: int, autoscaled: bool, events: list[str]) -> None:
        world = made(strategy, traffic, replicas)
        if autoscaled:
            world.parent["spec"]["autoscaling"] = BOUNDS
        world.run(3)
        world.add("cars-2")
        for event in events:
            befall(world, event)
        converge(world)

    whatever_happens()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("traffic", ["Replicas", "GatewayAPI"])
def test_pause_disarms_nothing(strategy: str, traffic: str) -> None:
    """Direct measures nothing: of it only the deadline is armed."""
    kinds = ("slow", "broken") if strategy == "Direct" else ("slow", "broken", "errors")

    @settings(max_examples=max(3, EXAMPLES // 2), deadline=None, derandomize=SAME)
    @given(st.integers(0, 9), st.sampled_from(kinds))
    def paused_after(seconds: int, kind: str) -> None:
        more = {"blueGreen": {"postPromotionSeconds": 60}} if strategy == "BlueGreen" else {}
        world = made(strategy, traffic, **more)
        world.serving()
        getattr(world, kind).add("cars-2")
        world.add("cars-2")
        world.run(seconds)
        world.say("pause")
        world.run(120)
        if kind == "errors" and "canary" in world.status:
            # Paused before it had any requests.
            assert world.status["canary"]["actualWeight"] == 0
            world.say("resume")
            world.run(60)
        assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
        assert world.lost == 0

    paused_after()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_for_alerts_that_fire_at_any_time_each_version_is_left_once(strategy: str) -> None:
    """Versions come and go while alerts fire and end: what is gone back to can serve, and no pair of versions flaps."""
    happens = (
        *ALERTS,
        *ALERTS,
        "alerts end",
        "new version",
        "wait long",
        "wait",
        "retry",
        "back",
        "abort",
        "reject",
        "slow",
    )
    more = (
        "healthy",
        "promote-full",
        "delete a version",
        "restart",
        "follow",
        "pin",
        "suspend",
        "start",
        "pause",
        "resume",
    )

    @settings(max_examples=2 * EXAMPLES, deadline=None, derandomize=SAME)
    @given(st.lists(st.sampled_from((*happens, *more)), min_size=8, max_size=20))
    def whatever_fires(events: list[str]) -> None:
        world = made(strategy, "Replicas")
        befall(world, "back for alerts")
        world.run(3)
        for event in ("new version", "wait long", "wait long", "promote-full", "wait long", "quality alert", *events):
            befall(world, event)
        befall(world, "alerts end")
        converge(world)

    whatever_fires()
