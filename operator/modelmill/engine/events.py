"""Kubernetes Events about the parents: posted once, in the background, never in the way of a reconciliation."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Any

import structlog

from modelmill.engine import metrics
from modelmill.engine.client import Client
from modelmill.engine.errors import AlreadyExists, ApiError
from modelmill.engine.kinds import EVENTS
from modelmill.engine.plan import Event, Manifest

CONTROLLER = "modelmill.dev/operator"
WAITING = 1000

log = structlog.get_logger(__name__)


class EventRecorder:
    """Posts Events. The name is a hash of object, reason and message: the same Event within its lifetime is one object."""

    def __init__(self, client: Client, instance: str) -> None:
        self._client = client
        self._instance = instance
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)

    def record(self, parent: Manifest, event: Event) -> None:
        """Queue an Event; a full queue drops it, counted."""
        try:
            self._queue.put_nowait(self._body(parent, event))
        except asyncio.QueueFull:
            metrics.EVENTS_DROPPED.inc()

    async def run(self) -> None:
        """Post what is queued, for ever."""
        while True:
            body = await self._queue.get()
            try:
                await self._client.create(EVENTS, body)
            except AlreadyExists:
                continue
            except ApiError as error:
                metrics.EVENTS_DROPPED.inc()
                log.warning("event not posted", reason=body["reason"], error=str(error))

    def _body(self, parent: Manifest, event: Event) -> dict[str, Any]:
        meta = parent["metadata"]
        identity = "\0".join((meta["uid"], event.reason, event.message))
        suffix = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{suffix}", "namespace": meta["namespace"]},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "type": event.type,
            "reason": event.reason,
            "note": event.message[:1024],
            "regarding": {
                "apiVersion": parent["apiVersion"],
                "kind": parent["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
        }
