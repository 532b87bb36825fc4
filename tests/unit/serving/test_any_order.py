"""InferenceService: whatever happens in whatever order, the invariants hold and it converges."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.workloads.pod_status import is_ready
from tests.unit.serving.events import EVENTS, happen
from tests.unit.serving.simulated import World


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.lists(st.sampled_from(EVENTS), max_size=25))
def test_any_order_of_events_keeps_the_invariants_and_converges(replicas: int, events: list[str]) -> None:
    world = World(replicas=replicas)
    for event in events:
        happen(world, event)
    happen(world, "healthy")
    happen(world, "busy")
    happen(world, "follow")
    happen(world, "start")
    if not world.parent["spec"]["replicas"]:
        happen(world, "scale")
    happen(world, "canary")
    world.add("cars-99")
    world.say("promote")
    for _ in range(3):
        world.run(40)
        world.say("resume")
    assert world.status["stable"]["version"] == "cars-99"
    assert world.status["phase"] == "Stable"
    world.run(40)
    assert len(world.deployments) == 1
    assert sum(map(is_ready, world.pods)) == world.parent["spec"]["replicas"]
    writes = dict(world.writes)
    world.restart_operator()
    world.run(3)
    assert world.writes == writes


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.lists(st.sampled_from(("good", "errors", "broken", "slow")), min_size=1, max_size=4))
def test_no_request_is_lost_and_no_bad_version_stays(replicas: int, releases: list[str]) -> None:
    """Versions of every kind are released one after another, the next when the one before has come to an end."""
    world = World(replicas=replicas, progressDeadlineSeconds=60).serving()
    expected = "cars-1"
    for number, kind in enumerate(releases, start=2):
        name = f"cars-{number}"
        if kind == "good":
            expected = name
        else:
            getattr(world, kind).add(name)
        world.add(name)
        world.run(100)
        assert world.status["stable"]["version"] == expected
        assert world.status["phase"] == ("Stable" if kind == "good" else "RolledBack")
    assert world.lost == 0
