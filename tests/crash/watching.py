"""The watch streams between the API server in memory and one operator: late, doubled, overwritten, cut, or from long ago."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from modelmill.engine.interface import Watch
from modelmill.kube.objects import Manifest, Resource
from tests.crash.faults import FaultyClient, selected
from tests.crash.memory_api import MemoryApi, Object

WATCH_SECONDS = 0.02
"""From a write to its watch event."""
STALE_SECONDS = 10.0
"""How long a stream from long ago tells nothing; then it catches up."""


class Listener(Protocol):
    """Who is told: `engine.runtime.ControlLoop`."""

    def on_event(self, resource: Resource, kind: str | None, obj: Manifest) -> None: ...

    def on_listed(self, resource: Resource, namespace: str | None, uids: set[str], version: str) -> None: ...


@dataclass(frozen=True)
class Delivery:
    """How events come.

    late: seconds by which those of a kind are late. late_changes: seconds by which those of a change (ADDED, MODIFIED,
    DELETED) are, so that they come after younger ones. copies: how often each is told at once. again: seconds after which
    each is told once more; 0 for never. merged: seconds in which a MODIFIED waits to be overwritten by the next, as for one
    who lists now and then; 0 for not at all.
    """

    late: Mapping[Resource, float] = field(default_factory=dict)
    late_changes: Mapping[str, float] = field(default_factory=dict)
    copies: int = 1
    again: float = 0.0
    merged: float = 0.0


class Streams:
    """The streams of one operator. since: resourceVersion from which they tell; now when None."""

    def __init__(
        self, api: MemoryApi, watches: Iterable[Watch], listener: Listener, delivery: Delivery, since: int | None
    ) -> None:
        self._api = api
        self._watches = {watch.resource: watch for watch in watches}
        self._listener = listener
        self._delivery = delivery
        self._told = {obj["metadata"]["uid"] for watch in self._watches.values() for obj in self._listed(watch, since)}
        self._waiting: dict[str, Object] = {}
        self._cut: set[Resource] = set()
        self._closed = False
        self._begins = asyncio.get_running_loop().time() + (STALE_SECONDS if since is not None else 0.0)
        self._events = 0
        for version, resource, change, obj in api.history if since is not None else ():
            if since is not None and version > since:
                self._changed(resource, change, obj)
        api.listeners.append(self._changed)

    def close(self) -> None:
        """Tell nothing any more."""
        self._closed = True
        self._api.listeners.remove(self._changed)

    def hold(self, until: float) -> None:
        """Tell nothing before a moment of the event loop's clock; then catch up."""
        self._begins = until

    def cut(self, resource: Resource, seconds: float) -> None:
        """Lose the events of a kind for a while. Then the kind is listed anew."""
        self._cut.add(resource)
        asyncio.get_running_loop().call_later(seconds, self._list_anew, resource)

    async def list_all(self, client: FaultyClient) -> None:
        """List every kind once, as at a start."""
        for watch in self._watches.values():
            self._tell_list(watch.resource, *await client.list(watch.resource, None, watch.label_selector))

    def _tell_list(self, resource: Resource, objects: list[Object], version: str) -> None:
        for obj in objects:
            self._listener.on_event(resource, None, obj)
        self._listener.on_listed(resource, None, {obj["metadata"]["uid"] for obj in objects}, version)

    def _list_anew(self, resource: Resource) -> None:
        self._cut.discard(resource)
        if self._closed:
            return
        watch = self._watches[resource]
        objects = self._listed(watch, None)
        self._told.update(obj["metadata"]["uid"] for obj in objects)
        self._tell_list(resource, objects, str(self._api.version))

    def _listed(self, watch: Watch, at: int | None) -> list[Object]:
        objects = self._api.of(watch.resource) if at is None else self._api.before(watch.resource, at)
        return [obj for obj in objects if selected(obj, watch.label_selector)]

    def _changed(self, resource: Resource, change: str, obj: Object) -> None:
        watch = self._watches.get(resource)
        if watch is None:
            return
        uid = obj["metadata"]["uid"]
        told, ours = uid in self._told, change != "DELETED" and selected(obj, watch.label_selector)
        if not told and not ours:
            return
        # An object that loses what is selected by is deleted, and one that gets it is added, as far as the stream tells.
        change = "DELETED" if not ours else "MODIFIED" if told else "ADDED"
        (self._told.add if ours else self._told.discard)(uid)
        if resource in self._cut:
            return
        delivery = self._delivery
        late = WATCH_SECONDS + delivery.late.get(resource, 0.0) + delivery.late_changes.get(change, 0.0)
        if delivery.merged and change == "MODIFIED":
            waits = uid in self._waiting
            self._waiting[uid] = obj
            if not waits:
                self._later(late + delivery.merged, resource, change, obj)
            return
        self._waiting.pop(uid, None)
        self._later(late, resource, change, obj)
        if delivery.again:
            self._later(late + delivery.again, resource, change, obj)

    def _later(self, seconds: float, resource: Resource, change: str, obj: Object) -> None:
        loop = asyncio.get_running_loop()
        # Timers of the same moment have no order; events have one.
        self._events += 1
        loop.call_at(max(loop.time() + seconds, self._begins) + self._events * 1e-9, self._tell, resource, change, obj)

    def _tell(self, resource: Resource, change: str, obj: Object) -> None:
        if self._closed:
            return
        if self._delivery.merged and change == "MODIFIED":
            last = self._waiting.pop(obj["metadata"]["uid"], None)
            if last is None:
                return
            obj = last
        for _ in range(self._delivery.copies):
            self._listener.on_event(resource, change, obj)
