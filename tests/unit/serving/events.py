"""What happens to a simulated service, by name: for sequences of events in any order."""

from __future__ import annotations

from modelmill.kube.conditions import timestamp
from tests.support import objects as o
from tests.unit.serving.alerting import fire, resolve
from tests.unit.serving.simulated import STEPS, World

EVENTS = (
    "wait", "wait long", "one pod", "new version", "errors", "broken", "slow", "healthy", "reject", "retry", "restart",
    "refuse", "kill a pod", "little room", "delete a deployment", "scale", "quiet", "busy", "edit steps", "pin", "follow",
    "alias", "move the alias", "pause", "resume", "promote", "promote-full", "abort", "rollback", "blue green", "canary",
    "steps that wait", "window", "scale to zero", "suspend", "start", "shadow", "back for alerts", "quality alert",
    "errors alert", "data alert", "alert of no version", "alerts end", "delete a version",
)  # fmt: skip

ALERTS = {
    "quality alert": "Quality",
    "errors alert": "Errors",
    "data alert": "DataQuality",
    "alert of no version": "Quality",
}


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
        world.add(f"cars-{int(newest.removeprefix('cars-')) + 1}")
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
    elif event == "delete a version":
        tracks = [world.status.get(track) or {} for track in ("stable", "canary")]
        served = {newest, *(track.get("version") for track in tracks)}
        world.versions = [one for one in world.versions if one["metadata"]["name"] in served]
    elif event in ALERTS:
        alert(world, event)
    elif event == "delete a deployment" and world.deployments:
        del world.deployments[min(world.deployments)]
    else:
        change_spec(world, event)
    world.reconcile()


def alert(world: World, event: str) -> None:
    """Let an alert fire about the version that serves, if there is one."""
    if world.status.get("stable"):
        version = None if event == "alert of no version" else world.status["stable"]["version"]
        fire(world, ALERTS[event], version)


def change_spec(world: World, event: str) -> None:
    spec = world.parent["spec"]
    if event == "back for alerts":
        spec["monitoring"] = {"engine": "Prometheus", "rollback": {"onErrors": True, "withinSeconds": 600}}
    elif event == "alerts end":
        resolve(world)
    elif event == "scale":
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
