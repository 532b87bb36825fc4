"""A simulated service about which alerts fire, as the intake and the embedded engine record them."""

from __future__ import annotations

from typing import Any

from modelmill.kube.conditions import timestamp
from tests.support import objects as o
from tests.unit.serving.simulated import World


def fire(world: World, kind: str = "Quality", version: str | None = "", began: int | None = None) -> None:
    """Let an alert fire: about the version that serves, unless another one is told, or None. began: seconds of the world."""
    if version == "":
        version = world.status["stable"]["version"]
    since = timestamp(o.later(world.time if began is None else began))
    told: dict[str, Any] = {
        "id": f"{kind} {version} {since}"[:64],
        "name": f"Modelmill{kind}",
        "kind": kind,
        "startsAt": since,
    }
    told |= {"message": "0.31 of the labels are wrong"} | ({"version": version} if version is not None else {})
    others = [one for one in world.status.get("alerts") or () if one["id"] != told["id"]]
    _record(world, [*others, told])


def resolve(world: World, *kinds: str) -> None:
    """Let the alerts of these kinds end; all without a kind."""
    _record(world, [one for one in world.status.get("alerts") or () if kinds and one["kind"] not in kinds])


def _record(world: World, alerts: list[dict[str, Any]]) -> None:
    world.parent = {**world.parent, "status": {**world.status, "alerts": alerts}}
    world._wake = 0
