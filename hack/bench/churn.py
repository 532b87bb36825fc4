"""Objects that come, change and go at a steady rate, and the garbage collector that the light API server lacks."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from hack.bench import load
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.engine.client import Client
from modelmill.engine.errors import NotFound
from modelmill.kube.objects import Resource
from modelmill.kube.resources import CONFIG_MAPS, DEPLOYMENTS, JOBS, POD_DISRUPTION_BUDGETS, SERVICES

LIVING = 30
"""Models that are there at a time."""
PARENTS = (TRAINING_JOBS, INFERENCE_SERVICES, MODEL_VERSIONS)
CHILDREN = (JOBS, DEPLOYMENTS, SERVICES, CONFIG_MAPS, POD_DISRUPTION_BUDGETS)


class Churn:
    """Models in one namespace: each is a TrainingJob, a ModelVersion and an InferenceService, edited and later deleted."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._number = 0

    async def minute(self, rate: float) -> int:
        """Make about `rate` changes per second for a minute, then collect the garbage; return how many there were."""
        began, changes = time.monotonic(), 0
        while time.monotonic() - began < 60:
            for change in (self._make, self._edit, self._delete):
                changes += await change()
                await asyncio.sleep(max(began + changes / rate - time.monotonic(), 0.0))
        await self._collect()
        return changes

    async def _make(self) -> int:
        self._number += 1
        name = f"churn-{self._number}"
        await self._client.create(MODEL_VERSIONS, load.model_version(self._namespace, name))
        await self._client.create(TRAINING_JOBS, load.training_job(self._namespace, name))
        await self._client.create(INFERENCE_SERVICES, load.inference_service(self._namespace, name))
        return 3

    async def _edit(self) -> int:
        name = f"churn-{max(self._number - LIVING // 2, 1)}"
        bodies: list[tuple[Resource, dict[str, Any]]] = [
            (INFERENCE_SERVICES, {"spec": {"replicas": 3}}),
            (TRAINING_JOBS, {"spec": {"train": {"sklearn": {"parameters": {"alpha": "0.7"}}}}}),
        ]
        for resource, body in bodies:
            await self._client.patch(resource, self._namespace, name, body)
        return len(bodies)

    async def _delete(self) -> int:
        if self._number <= LIVING:
            return 0
        name = f"churn-{self._number - LIVING}"
        for resource in PARENTS:
            await self._remove(resource, name + ("-1" if resource == MODEL_VERSIONS else ""))
        return len(PARENTS)

    async def _remove(self, resource: Resource, name: str) -> None:
        try:
            found = await self._client.get(resource, self._namespace, name)
            await self._client.delete(resource, self._namespace, name, found["metadata"]["uid"])
        except NotFound:
            return

    async def _collect(self) -> None:
        """Delete the children whose controller is gone."""
        living = set()
        for resource in PARENTS:
            objects, _ = await self._client.list(resource, self._namespace)
            living |= {one["metadata"]["uid"] for one in objects}
        for resource in CHILDREN:
            objects, _ = await self._client.list(resource, self._namespace)
            for one in objects:
                owners = one["metadata"].get("ownerReferences") or ()
                if owners and not any(owner["uid"] in living for owner in owners):
                    await self._remove(resource, one["metadata"]["name"])
