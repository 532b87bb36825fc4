"""What goes wrong at a write, and the client between the operator and the API server at which it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from modelmill.engine.errors import ApiError, Unreachable, api_error
from modelmill.kube.objects import Resource
from modelmill.kube.resources import CORE_EVENTS, EVENTS
from tests.crash.memory_api import MemoryApi, Object

LATENCY = 0.004
"""Seconds that a request takes; two requests that are under way together may come in between each other's effects."""

KILLED_BEFORE, KILLED_AFTER, REPLY_LOST = "killed before", "killed after", "reply lost"
STOPPED, SUSPENDED = "stopped for 20 s before", "suspended for 20 s after"
"""SIGSTOP between the last look at the lease and the sending; and a machine that sleeps, alarms with it, after the answer."""
SLEEP_SECONDS = 20.0
GONE_BEFORE_ANSWER = "deleted by another before its answer comes"
ANSWER_SECONDS = 5.0
"""How late such an answer is: the watch has told of the deletion by then."""
REASONS = {403: "Forbidden", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError"}
ONCE = (KILLED_BEFORE, KILLED_AFTER, REPLY_LOST, *map(str, REASONS))
"""Modes of a fault that strikes one write: a way to die, a lost answer, or the status that the API server answers with."""


@dataclass(frozen=True, slots=True, order=True)
class Write:
    """A write as it is known again in another run of the same scenario: what is done to which object, for which time."""

    verb: str
    kind: str
    name: str
    time: int

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.name} #{self.time}"


Strike = Callable[[Write], str | None]
"""Returns the mode of the fault that strikes this write, or None."""


class FaultyClient:
    """The methods of `engine.client.Client` that the engine calls, on the API server in memory.

    strike: asked before each write but those of Events. kill: ends the operator whose client this is; nothing that it asked
    for is answered then. behind: resourceVersion of the lists that are answered; None for those of now.
    """

    def __init__(
        self, api: MemoryApi, strike: Strike, kill: Callable[[], None], count: Callable[[str, Resource, str], Write]
    ) -> None:
        self._api = api
        self._strike = strike
        self._kill = kill
        self._count = count
        self.behind: int | None = None
        self.dead = False
        self.awake_at = 0.0
        self.on_sleep: Callable[[str], None] = lambda _mode: None
        self.on_done: Callable[[Write], None] = lambda _: None

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        await self.way()
        return self._api.get(resource, namespace, name)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
    ) -> tuple[list[Object], str]:
        await self.way()
        there = self._api.of(resource) if self.behind is None else self._api.before(resource, self.behind)
        objects = [obj for obj in there if selected(obj, label_selector)]
        return objects, str(self._api.version if self.behind is None else self.behind)

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        if resource in (EVENTS, CORE_EVENTS):
            await self.way()
            return self._api.create(resource, body)
        return await self._write("create", resource, body["metadata"]["name"], lambda: self._api.create(resource, body))

    async def apply(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        return await self._write("apply", resource, body["metadata"]["name"], lambda: self._api.apply(resource, body))

    async def replace_status(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        return await self._write(
            "status", resource, body["metadata"]["name"], lambda: self._api.replace_status(resource, body)
        )

    async def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Object:
        return await self._write("patch", resource, name, lambda: self._api.patch(resource, namespace, name, body))

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "") -> bool:
        do = partial(self._api.delete, resource, namespace, name, uid, version)
        return bool(await self._write("delete", resource, name, do))

    async def _write(self, verb: str, resource: Resource, name: str, do: Callable[[], Any]) -> Any:
        await self.way()
        write = self._count(verb, resource, name)
        mode = self._strike(write)
        if mode == KILLED_BEFORE:
            await self._die()
        elif mode is not None and mode.isdigit():
            status = int(mode)
            raise api_error(status, REASONS[status], f"fault at {write}")
        elif mode == STOPPED:
            return await self._late(write, do)
        self.on_done(write)
        done = do()
        if mode == SUSPENDED:
            self._sleep(SUSPENDED)
        if mode == KILLED_AFTER:
            await self._die()
        if mode == GONE_BEFORE_ANSWER:
            self._api.delete(resource, done["metadata"]["namespace"], name)
            await asyncio.sleep(ANSWER_SECONDS)
        await self.way()
        if mode == REPLY_LOST:
            raise Unreachable(0, "ServerDisconnectedError", f"fault at {write}")
        return done

    def _sleep(self, mode: str) -> None:
        self.awake_at = asyncio.get_running_loop().time() + SLEEP_SECONDS
        self.on_sleep(mode)

    async def _late(self, write: Write, do: Callable[[], Any]) -> Any:
        """Send what was about to be sent as soon as the process runs on, whatever has been given up meanwhile."""
        loop = asyncio.get_running_loop()
        self._sleep(STOPPED)
        answer: asyncio.Future[Any] = loop.create_future()
        # Nobody may be left to hear of it.
        answer.add_done_callback(lambda done: done.exception())

        def send() -> None:
            if self.dead:
                return
            self.on_done(write)
            try:
                answer.set_result(do())
            except ApiError as error:
                answer.set_exception(error)

        loop.call_at(self.awake_at, send)
        return await asyncio.shield(answer)

    async def _die(self) -> None:
        self._kill()
        await self.way()

    async def way(self) -> None:
        """Take the time of a way to or from the API server; a dead process hears no answer."""
        loop = asyncio.get_running_loop()
        if self.dead:
            await loop.create_future()
        await asyncio.sleep(max(LATENCY, self.awake_at - loop.time()))
        if self.dead:
            await asyncio.get_running_loop().create_future()


def selected(obj: Mapping[str, Any], label_selector: str | None) -> bool:
    """Tell whether an object has the labels of a selector `name=value,…`; every one has those of none."""
    wanted = [part.partition("=")[::2] for part in (label_selector or "").split(",") if part]
    have = obj["metadata"].get("labels") or {}
    return all(have.get(name) == value for name, value in wanted)
