"""InferenceService: whatever happens in whatever order, the invariants hold and it converges."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.kube.conditions import timestamp
from modelmill.workloads.pod_status import is_ready
from tests.support import objects as o
from tests.unit.serving.simulated import STEPS, World

EVENTS = (
    "wait", "wait long", "one pod", "new version", "errors", "broken", "slow", "healthy", "reject", "retry", "restart",
    "refuse", "kill a pod", "little room", "delete a deployment", "scale", "quiet", "busy", "edit steps", "pin", "follow",
    "alias", "move the alias", "pause", "resume", "promote", "promote-full", "abort", "rollback", "blue green", "canary",
    "steps that wait", "window", "scale to zero", "suspend", "start", "shadow",
)  # fmt: skip


def happen(world: World, event: str) -> None:
    world.time += 1  # objects that are made again are told from those before by their second
    newest = world.versions[-1]["metadata"]["name"]
    if event == "wait":
        world.run(2)
    elif event == "wait long":
        world.run(33)
    elif event == "one pod":
        world.kubelet(1)
    elif event == "new version" and len(world.versions) < 7:
        world.add(f"cars-{len(world.versions) + 1}")
    elif event == "errors":
        world.errors = {newest}
    elif event == "broken":
        world.broken = {newest}
    elif event == "slow":
        world.slow = {newest}
    elif event == "healthy":
        world.errors, world.broken, world.slow, world.room = set(), set(), set(), 99
    elif event == "reject":
        world.reject(newest)
    elif event in ("retry", "pause", "resume", "promote", "promote-full", "abort"):
        world.say(event)
    elif event == "rollback":
        world.say("rollback", "previous" if world.time % 2 else newest)
    elif event == "restart":
        world.restart_operator()
    elif event == "refuse":
        world.refuse_status = True
        world.reconcile()
        world.refuse_status = False
    elif event == "kill a pod":
        world.pods = world.pods[1:]
    elif event == "little room":
        world.room = 3
    elif event == "delete a deployment" and world.deployments:
        del world.deployments[min(world.deployments)]
    else:
        change_spec(world, event)
    world.reconcile()


def change_spec(world: World, event: str) -> None:
    spec = world.parent["spec"]
    if event == "scale":
        spec["replicas"] = spec["replicas"] % 5 + 1
    elif event == "scale to zero":
        spec["replicas"] = 0
    elif event in ("suspend", "start"):
        spec["suspend"] = event == "suspend"
    elif event in ("quiet", "busy"):
        world.rate = 0 if event == "quiet" else 40
    elif event == "edit steps":
        spec["rollout"] |= {"steps": [{"pauseSeconds": 1}, {"weight": 50}], "strategy": "Canary"}
    elif event == "steps that wait":
        spec["rollout"] |= {
            "steps": [{"setCanaryReplicas": 1}, {"pause": "Manual"}, {"weight": 50}],
            "strategy": "Canary",
        }
    elif event == "window":
        spec["rollout"]["rollbackWindow"] = {"revisions": 2}
    elif event == "blue green":
        spec["rollout"].pop("steps", None)
        spec["rollout"] |= {"strategy": "BlueGreen", "blueGreen": {"prePromotionSeconds": 2, "postPromotionSeconds": 9}}
    elif event == "shadow":
        for name in ("steps", "blueGreen"):
            spec["rollout"].pop(name, None)
        spec["rollout"] |= {"strategy": "Shadow", "shadow": {"seconds": 6, "replicas": 2}}
    elif event == "canary":
        for name in ("blueGreen", "shadow"):
            spec["rollout"].pop(name, None)
        spec["rollout"] |= {"strategy": "Canary", "steps": STEPS}
    elif event == "pin":
        spec["model"] = {"name": "cars", "version": "cars-1"}
    elif event == "alias":
        spec["model"] = {"name": "cars", "alias": "champion"}
    elif event == "move the alias":
        name = world.versions[world.time % len(world.versions)]["metadata"]["name"]
        world.claim(name, "champion", timestamp(o.later(world.time)))
    elif event == "follow":
        spec["model"] = {"name": "cars", "follow": "Approved"}


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
