"""The control loop: watches fill the cache, changes fill the queues, workers reconcile one key at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from modelmill.engine import metrics
from modelmill.engine.cache import Cache, version_number
from modelmill.engine.client import Client
from modelmill.engine.errors import ApiError, Conflict, EngineError, NotFound, TooManyRequests
from modelmill.engine.executor import Executor
from modelmill.engine.plan import Controller, Key, Manifest, Resource, Watch
from modelmill.engine.queue import WorkQueue

WORKERS = 16
RESYNC_SECONDS = 600.0

log = structlog.get_logger(__name__)


class ControlLoop:
    """Controllers over one cache. Nothing is reconciled before every watched kind was listed."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        executor: Executor,
        controllers: Sequence[Controller],
        watches: Sequence[Watch],
        namespaces: Sequence[str],
    ) -> None:
        self._client = client
        self._cache = cache
        self._executor = executor
        self._controllers = {one.resource: one for one in controllers}
        self._watches = {one.resource: one for one in watches}
        self._namespaces = tuple(namespaces)
        self._queues: dict[Resource, WorkQueue[Key]] = {one.resource: WorkQueue(one.name) for one in controllers}
        self._listed = False
        executor.on_written = self._on_written
        self._owners = {(one.resource.kind, one.resource.group): one.resource for one in controllers}

    def on_event(self, resource: Resource, kind: str | None, obj: Manifest) -> None:
        """Take one watch event (type None: from kopf's own listing)."""
        if kind == "DELETED":
            self._gone(resource, obj)
            return
        before = self._cache.get(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if self._cache.put(resource, obj) and (before is None or _matters(resource, before, obj)):
            self._wake(resource, obj)

    def _gone(self, resource: Resource, obj: Manifest, version: int = 0) -> None:
        self._cache.drop(resource, obj, version)
        self._executor.forget(resource, obj)
        self._wake(resource, obj)

    async def resync(self) -> None:
        """List every kind, forget what is gone, and look at every object again: watches may miss deletions."""
        for resource, watch in self._watches.items():
            for namespace in self._namespaces or (None,):
                await self._list_anew(resource, namespace, watch.label_selector)
        self._listed = True
        for resource, queue in self._queues.items():
            for obj in self._cache.list(resource):
                queue.add(_key(obj))

    async def _list_anew(self, resource: Resource, namespace: str | None, selector: str | None) -> None:
        objects, listed_at = await self._client.list(resource, namespace, selector)
        version = version_number(listed_at)
        uids = {obj["metadata"]["uid"] for obj in objects}
        for gone in self._cache.missing_from(resource, uids, namespace, version):
            self._gone(resource, gone, version)
        for obj in objects:
            self._cache.put(resource, obj)

    async def run(self) -> None:
        """Reconcile for ever; `resync` must have been awaited once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._resync_forever())
            for controller in self._controllers.values():
                for _ in range(WORKERS):
                    group.create_task(self._work(controller))

    async def _resync_forever(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - jitter
            try:
                await self.resync()
            except ApiError as error:
                log.warning("resync failed", error=str(error))

    async def _work(self, controller: Controller) -> None:
        queue = self._queues[controller.resource]
        while True:
            key = await queue.get()
            try:
                await self._reconcile(controller, queue, key)
            finally:
                queue.done(key)
            # A reconciliation that writes nothing never waits; a thousand in a row would keep the event loop from the lease.
            await asyncio.sleep(0)

    async def _reconcile(self, controller: Controller, queue: WorkQueue[Key], key: Key) -> None:
        parent = self._cache.get(controller.resource, key.namespace, key.name)
        if parent is None:
            queue.cancel_timer(key)
            queue.forget(key)
            return
        began = time.monotonic()
        metrics.ACTIVE_WORKERS.labels(controller.name).inc()
        result = "success"
        try:
            now = datetime.now(UTC).replace(microsecond=0)
            plan = await controller.reconcile(parent, self._cache, now)
            await self._executor.execute(controller.resource, parent, plan)
            queue.forget(key)
            if plan.requeue_after is None:
                queue.cancel_timer(key)
            else:
                result = "requeue_after"
                queue.add_after(key, plan.requeue_after)
        except Conflict as error:
            result = "requeue"
            log.debug("planned on a stale object", controller=controller.name, object=str(key), error=error.message)
            await self._refresh(controller.resource, key, queue)
        except TooManyRequests as error:
            result = "requeue"
            queue.retry(key, at_least=error.retry_after or 0.0)
        except EngineError as error:
            result = "error"
            self._failed(controller, queue, key, str(error))
        except Exception as error:
            result = "error"
            log.exception("reconciliation failed", controller=controller.name, object=str(key))
            self._failed(controller, queue, key, repr(error))
        finally:
            metrics.ACTIVE_WORKERS.labels(controller.name).dec()
            metrics.RECONCILES.labels(controller.name, result).inc()
            metrics.RECONCILE_SECONDS.labels(controller.name).observe(time.monotonic() - began)

    async def _refresh(self, resource: Resource, key: Key, queue: WorkQueue[Key]) -> None:
        """Read a parent anew after a refused write, then plan again."""
        try:
            current = await self._client.get(resource, key.namespace, key.name)
        except NotFound:
            return
        except ApiError:
            queue.retry(key)
            return
        if self._cache.put(resource, current):
            self._wake(resource, current)
        queue.add(key)

    def _failed(self, controller: Controller, queue: WorkQueue[Key], key: Key, error: str) -> None:
        metrics.RECONCILE_ERRORS.labels(controller.name).inc()
        delay = queue.retry(key)
        log.warning("will try again", controller=controller.name, object=str(key), error=error, seconds=round(delay, 1))

    def _on_written(self, resource: Resource, obj: Manifest, parent: Manifest) -> None:
        """Take a write of our own: it concerns the same keys as a watch event, but not the one that wrote."""
        writer = (parent["kind"], _key(parent))
        for kind, key in self._concerned(resource, obj):
            if (kind.kind, key) != writer:
                self._queues[kind].add(key)

    def _wake(self, resource: Resource, obj: Manifest) -> None:
        """Add every key that the change of `obj` concerns."""
        if self._listed:
            for kind, key in self._concerned(resource, obj):
                self._queues[kind].add(key)

    def _concerned(self, resource: Resource, obj: Manifest) -> Iterator[tuple[Resource, Key]]:
        if resource in self._queues:
            yield resource, _key(obj)
        for owner in obj["metadata"].get("ownerReferences") or ():
            kind = self._owners.get((owner["kind"], owner["apiVersion"].partition("/")[0]))
            if owner.get("controller") and kind is not None and resource in self._controllers[kind].owns:
                yield kind, Key(obj["metadata"]["namespace"], owner["name"])
        for controller in self._controllers.values():
            keys = controller.maps.get(resource)
            if keys is not None:
                for key in keys(obj, self._cache):
                    yield controller.resource, key


def _key(obj: Manifest) -> Key:
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


def _matters(resource: Resource, before: Manifest, after: Manifest) -> bool:
    """Tell whether a change is more than a heartbeat: of pods only what a reconciler can see counts."""
    if resource.kind != "Pod":
        return True
    return _pod_facts(before) != _pod_facts(after)


def _pod_facts(pod: Manifest) -> tuple[Any, ...]:
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return (
        status.get("phase"),
        status.get("podIP"),
        pod["metadata"].get("deletionTimestamp"),
        [(c["type"], c["status"], c.get("reason")) for c in status.get("conditions") or ()],
        [(s["name"], s.get("ready"), s.get("restartCount"), s.get("state")) for s in statuses],
    )
