"""Collects a ModelVersion's view from the cache and hands it to the plan."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modelmill.api.resources import INFERENCE_SERVICES
from modelmill.engine.plan import Plan, World
from modelmill.kube.objects import Key, Manifest
from modelmill.registry.plan import View, plan


async def reconcile(parent: Manifest, world: World, now: datetime) -> Plan:
    """Return the plan for the ModelVersion; see `engine.plan.Reconciler`."""
    services = world.list(INFERENCE_SERVICES, parent["metadata"]["namespace"])
    return plan(View(parent, services, now))


def keys_of_service(service: Manifest, world: World) -> Iterable[Key]:
    """Return the versions that a service serves or served lately: its change may bind or free them."""
    status = service.get("status") or {}
    tracks = [status.get("stable") or {}, status.get("canary") or {}, *(status.get("history") or ())]
    names = {track["version"] for track in tracks if "version" in track}
    return [Key(service["metadata"]["namespace"], name) for name in sorted(names)]
