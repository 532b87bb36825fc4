"""Kubernetes Events of ours: posted once, in the background, never in the way of a reconciliation."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from modelmill.engine import metrics
from modelmill.engine.errors import AlreadyExists, ApiError
from modelmill.engine.interface import Event, Requests
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import EVENTS
from modelmill.kube.texts import fitted

CONTROLLER = "modelmill.dev/operator"
WAITING = 1000
REPEAT_SECONDS = 600.0
YIELD_SECONDS, LOOK_SECONDS = 2.0, 0.02
"""An Event waits this long at most while objects are worked on, and looks this often."""
BUDGET, BUDGET_SECONDS = 30, 600.0
"""Events of one object at most, in this many seconds."""
MAX_NAME = 253
MAX_NOTE = 1024

log = structlog.get_logger(__name__)


class EventRecorder:
    """Posts Events. The name is a hash of object, reason and message: the same Event within its lifetime is one object.

    What was posted lately is not sent again, so that a refusal that is tried again and again costs one request.

    clock: seconds. others_wait: whether objects wait for the API server, which come before an Event.
    """

    def __init__(self, client: Requests, instance: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._instance = instance
        self._clock = clock
        self.others_wait: Callable[[], bool] = lambda: False
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)
        # When each Event was recorded, and of each object since when and how many: both oldest first.
        self._recorded: dict[str, float] = {}
        self._budgets: dict[str, tuple[float, int]] = {}

    def record(self, parent: Manifest, event: Event) -> None:
        """Queue an Event. One too many, of this object or in all, is dropped and counted."""
        body = self._body(parent, event)
        now = self._clock()
        if self._known(body["metadata"]["namespace"] + "/" + body["metadata"]["name"], now):
            return
        metrics.EVENTS.labels(parent["kind"], event.reason).inc()
        if not self._within_budget(parent["metadata"]["uid"], now):
            metrics.EVENTS_DROPPED.inc()
            return
        try:
            self._queue.put_nowait(body)
        except asyncio.QueueFull:
            metrics.EVENTS_DROPPED.inc()

    def _known(self, name: str, now: float) -> bool:
        """Tell whether this Event was recorded lately; remember it."""
        old = itertools.takewhile(lambda one: now - one[1] > REPEAT_SECONDS, self._recorded.items())
        for expired, _ in list(old):
            del self._recorded[expired]
        if name in self._recorded:
            return True
        self._recorded[name] = now
        return False

    def _within_budget(self, uid: str, now: float) -> bool:
        old = itertools.takewhile(lambda one: now - one[1][0] > BUDGET_SECONDS, self._budgets.items())
        for expired, _ in list(old):
            del self._budgets[expired]
        since, count = self._budgets.get(uid, (now, 0))
        self._budgets[uid] = (since, count + 1)
        return count < BUDGET

    async def run(self) -> None:
        """Post what is queued, for ever."""
        while True:
            body = await self._queue.get()
            await self._let_others_go_first()
            try:
                await self._client.create(EVENTS, body)
            except AlreadyExists:
                continue
            except ApiError as error:
                metrics.EVENTS_DROPPED.inc()
                log.warning("event not posted", reason=body["reason"], error=str(error))

    async def _let_others_go_first(self) -> None:
        """Wait until no object waits for the API server: an Event tells of what was done, and nothing is done because of it.

        Not for long, and not when many Events wait: those that do not fit are dropped.
        """
        for _ in range(round(YIELD_SECONDS / LOOK_SECONDS)):
            if self._queue.qsize() > WAITING // 2 or not self.others_wait():
                break
            await asyncio.sleep(LOOK_SECONDS)

    def _body(self, parent: Manifest, event: Event) -> dict[str, Any]:
        meta = parent["metadata"]
        note = fitted(event.message, MAX_NOTE)
        identity = "\0".join((meta["uid"], event.reason, note))
        suffix = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {"name": f"{meta['name'][: MAX_NAME - 17]}.{suffix}", "namespace": meta["namespace"]},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "type": event.type,
            "reason": event.reason,
            "note": note,
            "regarding": {
                "apiVersion": parent["apiVersion"],
                "kind": parent["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
        }
