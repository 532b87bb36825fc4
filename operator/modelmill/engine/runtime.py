"""The control loop: watches fill the cache, changes fill the queues, workers reconcile one key at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from modelmill.engine import metrics
from modelmill.engine.cache import Cache, version_number, version_of
from modelmill.engine.errors import (
    ApiError,
    Conflict,
    EngineError,
    NotFound,
    TooManyRequests,
)
from modelmill.engine.executor import Executor
from modelmill.engine.interface import Event, Requests
from modelmill.engine.known import Known
from modelmill.engine.listing import ABSENT_SECONDS, check_forward
from modelmill.engine.queue import WorkQueue, bounds
from modelmill.engine.refusals import MENDED_BY_A_PERSON, TOLD, refused, unforeseen
from modelmill.engine.table import Concern, Controller
from modelmill.engine.unwatched import Place
from modelmill.kube.objects import Key, Manifest, Resource

WORKERS = 16
LOOK_AGAIN_SECONDS = 600.0
REFUSED_PAUSE = 3.0
"""Seconds that a key rests after what a person must mend: its children's events would else repeat the refused write at once."""

log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """Return the time of day, aware."""
    return datetime.now(UTC)


class ControlLoop:
    """Controllers over one cache. Nothing is reconciled before every kind that its plan looks at is `known`.

    It is told of what is there by `on_event`, `on_listed` and `on_absent`, in the order in which each kind changed.
    clock: the time of day that plans are made with; whole seconds of it count, as in Kubernetes' timestamps.
    """

    def __init__(
        self,
        client: Requests,
        cache: Cache,
        executor: Executor,
        controllers: Sequence[Controller],
        namespaces: Sequence[str],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client = client
        self._cache = cache
        self._clock = clock
        self._executor = executor
        self._controllers = {controller.resource: controller for controller in controllers}
        self._reconcilers = {controller.resource: controller.reconciler() for controller in controllers}
        self._owned = {
            controller.resource: frozenset(child.resource for child in controller.children)
            for controller in controllers
        }
        self._queues: dict[Resource, WorkQueue[Key]] = {
            controller.resource: WorkQueue(controller.name) for controller in controllers
        }
        self.known = Known(controllers, namespaces)
        executor.on_written = self._on_written
        self._owners = {(resource.kind, resource.group): resource for resource in self._controllers}

    def on_event(self, resource: Resource, kind: str | None, obj: Manifest) -> None:
        """Take one watch event (type None: an object of a list)."""
        if kind == "DELETED":
            self._gone(resource, obj)
            return
        if not self._cache.is_news(resource, obj):
            return
        before = self._cached(resource, obj)
        self._cache.put(resource, obj)
        if before is None or _matters(resource, before, obj):
            self._wake(resource, before, obj)

    def _gone(self, resource: Resource, obj: Manifest, version: int = 0) -> None:
        before = self._cached(resource, obj)
        self._cache.drop(resource, obj, version)
        self._executor.forget(resource, obj)
        for gone in (obj,) if before is None else (before, obj):
            self._wake(resource, None, gone)

    def newest(self, resource: Resource) -> int:
        """Return the highest resourceVersion of the kind that is known."""
        return self._cache.newest(resource)

    def on_listed(self, resource: Resource, namespace: str | None, uids: set[str], version: str) -> None:
        """Take the end of a list whose objects have been told: a cached one that it lacks, and that is not younger, is gone."""
        listed_at = version_number(version)
        for gone in self._cache.missing_from(resource, uids, namespace, listed_at):
            self._gone(resource, gone, listed_at)
        if self._cache.set_watched(resource, namespace, watched=True):
            self._look_at_parents(resource, namespace)
        self._know((resource, namespace))

    def on_absent(self, resource: Resource, namespace: str | None, seconds: float) -> None:
        """Take that the kind has not been installed for so long: what the cache has of it is gone when that is certain."""
        if seconds >= ABSENT_SECONDS:
            for gone in self._cache.forget(resource, namespace):
                self._executor.forget(resource, gone)
                self._wake(resource, None, gone)
            if self._cache.set_watched(resource, namespace, watched=False):
                self._look_at_parents(resource, namespace)
        self._know((resource, namespace))

    def _look_at_parents(self, child: Resource, namespace: str | None) -> None:
        """Look at every object that may have such children: whether the kind is installed is something that plans ask."""
        for resource, namespaces in self.known.planned:
            if child in self._owned[resource] and namespaces == namespace:
                self._look_at_all((resource, namespace))

    def _know(self, place: Place) -> None:
        for planned in self.known.add(place):
            self._look_at_all(planned)

    def _look_at_all(self, place: Place) -> None:
        resource, namespace = place
        for one in self._cache.places(resource, namespace):
            self._queues[resource].add(Key(*one))

    async def run(self) -> None:
        """Reconcile for ever, each kind from the moment on when what its plans look at is known."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_again())
            for controller in self._controllers.values():
                metrics.MAX_WORKERS.labels(controller.name).set(WORKERS)
                for _ in range(WORKERS):
                    group.create_task(self._work(controller))

    @property
    def busy(self) -> bool:
        """Whether any object waits to be planned, or is."""
        return any(queue.busy for queue in self._queues.values())

    async def _look_again(self) -> None:
        """Look at every object about every ten minutes: whatever was forgotten is found, though nothing should be."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - jitter
            for place in self.known.planned:
                self._look_at_all(place)

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
        now = self._clock().replace(microsecond=0)
        try:
            plan = await self._reconcilers[controller.resource](parent, self._cache, now)
            aside = await self._executor.execute(controller.resource, parent, plan, now)
            metrics.RECONCILE_ERRORS.labels(controller.name).inc(sum(one.tried for one in aside))
            plan = plan.with_requeue(min((one.seconds for one in aside), default=None))
            queue.forget(key)
            if plan.requeue_after is None:
                queue.cancel_timer(key)
            else:
                result = "requeue_after"
                queue.add_after(key, plan.requeue_after)
        except Conflict as error:
            result = "requeue"
            log.debug("planned on a stale object", controller=controller.name, object=str(key), error=error.message)
            await self._refresh(controller, queue, parent, error)
        except NotFound as error:
            # Mostly the parent has gone meanwhile.
            result = "requeue"
            await self._refresh(controller, queue, parent, error)
        except TooManyRequests as error:
            result = "requeue"
            self._failed(controller, queue, key, error)
        except EngineError as error:
            result = "error"
            await self._tell(controller, parent, error, now)
            self._failed(controller, queue, key, error)
        except Exception as error:
            result = "error"
            log.exception("reconciliation failed", controller=controller.name, object=str(key))
            await self._tell(controller, parent, unforeseen(error), now)
            self._failed(controller, queue, key, error)
        finally:
            metrics.ACTIVE_WORKERS.labels(controller.name).dec()
            metrics.RECONCILES.labels(controller.name, result).inc()
            metrics.RECONCILE_SECONDS.labels(controller.name).observe(time.monotonic() - began)

    async def _tell(self, controller: Controller, parent: Manifest, error: EngineError, now: datetime) -> None:
        """Say on the object what is in its way. Its own key is not woken by that: it is tried again after its backoff."""
        if isinstance(error, MENDED_BY_A_PERSON):
            self._executor.tell(parent, Event("Warning", type(error).__name__, str(error)))
        status = refused(parent, error, now) if isinstance(error, TOLD) else None
        if status is None or status == parent.get("status"):
            return
        try:
            written = await self._client.replace_status(controller.resource, {**parent, "status": status})
        except ApiError as failure:
            # Mostly the object has changed meanwhile, so that its key waits already.
            log.info("refusal not told", controller=controller.name, object=str(_key(parent)), error=str(failure))
            return
        before = self._cached(controller.resource, written)
        if self._cache.put(controller.resource, written):
            self._wake(controller.resource, before, written, but=(controller.resource, _key(parent)))

    async def _refresh(self, controller: Controller, queue: WorkQueue[Key], parent: Manifest, error: ApiError) -> None:
        """Read a parent anew after a refused write, then plan again: at once when it has changed, else after a backoff."""
        key = _key(parent)
        try:
            current = await self._client.get(controller.resource, key.namespace, key.name)
        except NotFound:
            self._gone(controller.resource, parent)
            return
        except ApiError as failure:
            self._failed(controller, queue, key, failure)
            return
        if current["metadata"]["uid"] == parent["metadata"]["uid"]:
            check_forward(controller.resource, version_of(current), version_of(parent))
        before = self._cached(controller.resource, current)
        if self._cache.put(controller.resource, current):
            self._wake(controller.resource, before, current)
        if version_of(current) != version_of(parent):
            queue.add(key)
        else:
            self._failed(controller, queue, key, error)

    def _failed(self, controller: Controller, queue: WorkQueue[Key], key: Key, error: Exception) -> None:
        metrics.RECONCILE_ERRORS.labels(controller.name).inc()
        pause = REFUSED_PAUSE if isinstance(error, MENDED_BY_A_PERSON) else 0.0
        delay = queue.retry(key, *bounds(error), pause)
        words = str(error) if isinstance(error, EngineError) else repr(error)
        log.warning("will try again", controller=controller.name, object=str(key), error=words, seconds=round(delay, 1))

    def _on_written(self, resource: Resource, before: Manifest | None, obj: Manifest, parent: Manifest) -> None:
        """Tell the keys that a write of our own concerns, as a watch event of it would.

        The answer of a write is put into the cache at once, so that the next plan knows it. When the watch event of the same
        write comes, its resourceVersion is no newer than what is there, and it wakes nobody. So whoever is to hear of the write
        hears it here or never.

        One key is left out: the parent whose plan made a child need not look again because of it, since the plan has counted
        on the child, and the child's own life (a pod gets ready, a Job ends) comes as later events. Were the parent woken for
        each of its children, every creation would cost a second reconciliation.

        Another key is not left out: the parent itself after its own status was written. Plans go on step by step from their
        status, and the step after this one may be possible already. That ends by itself: a plan from the new status that
        wants the same status writes nothing, and what is not written wakes nobody. `_tell` is the exception, where the plan
        could not be carried out and the next try must wait for its backoff.

        A write that went through ends the writer's row of failures, though the plan may fail at its next write: it gets on, and
        what it waits for is not what it waited for before. Else an API server that refuses every third write would make an
        object with seven of them wait for minutes, doubling at every step.
        """
        writer = (self._owners[parent["kind"], parent["apiVersion"].partition("/")[0]], _key(parent))
        self._queues[writer[0]].forget(writer[1])
        own = obj["metadata"]["uid"] == parent["metadata"]["uid"]
        self._wake(resource, before, obj, but=None if own else writer)

    def _cached(self, resource: Resource, obj: Manifest) -> Manifest | None:
        return self._cache.get(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

    def _wake(
        self, resource: Resource, before: Manifest | None, obj: Manifest, but: tuple[Resource, Key] | None = None
    ) -> None:
        """Add every key that the change of `obj` concerns and that can be planned, but one.

        before: the same as it was; None for one that came or went.
        """
        if not self.known.planned:
            return
        waiting = self._executor.waiting_for(resource, obj)
        for kind, key in (*self._concerned(resource, before, obj), *waiting):
            if (kind, key) != but and self.known.plans(kind, key):
                self._queues[kind].add(key)

    def _concerned(self, resource: Resource, before: Manifest | None, obj: Manifest) -> Iterator[tuple[Resource, Key]]:
        if resource in self._queues:
            yield resource, _key(obj)
        # An owner whose reference was taken away is concerned by that.
        for one in (obj,) if before is None else (obj, before):
            for owner in one["metadata"].get("ownerReferences") or ():
                kind = self._owners.get((owner["kind"], owner["apiVersion"].partition("/")[0]))
                if owner.get("controller") and kind is not None and resource in self._owned[kind]:
                    yield kind, Key(one["metadata"]["namespace"], owner["name"])
        for controller in self._controllers.values():
            concern = controller.concerns.get(resource)
            if concern is not None:
                for key in self._keys(controller, concern, before, obj):
                    yield controller.resource, key

    def _keys(self, controller: Controller, concern: Concern, before: Manifest | None, obj: Manifest) -> Iterable[Key]:
        """Return whom the change concerns; nobody when that cannot be told, which is no reason to end the loop."""
        try:
            return concern.of_change(before, obj, self._cache)
        except Exception:
            log.exception("change not told", controller=controller.name, object=str(_key(obj)))
            return ()


def _key(obj: Manifest) -> Key:
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


def _matters(resource: Resource, before: Manifest, after: Manifest) -> bool:
    """Tell whether a change is more than a heartbeat: of pods and autoscalers only what a reconciler can see counts."""
    facts = _FACTS.get(resource.kind)
    return facts is None or facts(before) != facts(after)


def _pod_facts(pod: Manifest) -> tuple[Any, ...]:
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return (
        status.get("phase"),
        status.get("podIP"),
        pod["metadata"].get("deletionTimestamp"),
        pod["metadata"].get("ownerReferences"),
        [(c["type"], c["status"], c.get("reason")) for c in status.get("conditions") or ()],
        [(s["name"], s.get("ready"), s.get("restartCount"), s.get("state")) for s in statuses],
    )


def _autoscaler_facts(autoscaler: Manifest) -> tuple[Any, ...]:
    """The metrics in its status are written every 15 s."""
    meta, status = autoscaler["metadata"], autoscaler.get("status") or {}
    ours = [one for one in meta.get("managedFields") or () if one.get("subresource") != "status"]
    read = ("uid", "labels", "annotations", "ownerReferences", "deletionTimestamp")
    return (
        autoscaler.get("spec"),
        ours,
        [meta.get(name) for name in read],
        [
            (c["status"], c.get("reason"), c.get("message"))
            for c in status.get("conditions") or ()
            if c["type"] == _COUNTS
        ],
    )


_COUNTS = "ScalingActive"
_FACTS: Mapping[str, Callable[[Manifest], tuple[Any, ...]]] = {
    "Pod": _pod_facts,
    "HorizontalPodAutoscaler": _autoscaler_facts,
}
