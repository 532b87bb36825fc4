"""A cluster in memory with operators in it: starts them, kills them, lets the time pass, and keeps the books."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from modelmill import app
from modelmill.api.resources import INFERENCE_SERVICES
from modelmill.engine.cache import Cache
from modelmill.engine.events import EventRecorder
from modelmill.engine.executor import Executor
from modelmill.engine.interface import Watch
from modelmill.engine.runtime import ControlLoop
from modelmill.engine.table import Controller
from modelmill.kube.objects import Resource
from modelmill.kube.resources import JOBS
from modelmill.serving.part import serving_part
from modelmill.workloads.containers import Image
from tests.crash.faults import FaultyClient, Strike, Write, selected
from tests.crash.memory_api import MemoryApi, Object
from tests.crash.surroundings import Ending, Surroundings
from tests.support.virtual_time import now as loop_time

ENVIRONMENT = {
    "MODELMILL_TRAINER_IMAGE": "trainer:1",
    "MODELMILL_SERVER_IMAGE": "server:1",
    "MODELMILL_NETWORK_POLICIES": "true",
    "MODELMILL_STORE_PORTS": "9000",
}
CONFIG = app.config_from(ENVIRONMENT)
BEGIN = datetime.fromisoformat("2026-01-02T03:04:05+00:00")
RESTART_SECONDS = 2.0
QUIET_SECONDS = 60
WATCH_SECONDS = 0.02
"""From a write to its watch event."""


class Operator:
    """One process of the operator: its cache, its queues, its memory. `skew`: seconds that its clock is ahead."""

    def __init__(self, world: World, skew: float = 0.0) -> None:
        self._world = world
        self.client = FaultyClient(world.api, world.strike, self.kill, world.count)
        server = Image("server:1", "IfNotPresent")
        table = [_with_pods(row, server, world.surroundings) for row in app.controllers(CONFIG, self.client)]  # type: ignore[arg-type]
        self._watches = {watch.resource: watch for watch in app.watches(table)}
        cache = Cache(
            {watch.resource: watch.index_labels for watch in self._watches.values()},
            loop_time,
            {watch.resource: watch.unread for watch in self._watches.values()},
            {watch.resource: watch.index_fields for watch in self._watches.values()},
            {watch.resource: watch.reduced for watch in self._watches.values()},
        )
        self._events = EventRecorder(self.client, "operator", loop_time)  # type: ignore[arg-type]
        executor = Executor(self.client, cache, self._events, list(self._watches))  # type: ignore[arg-type]
        self._control = ControlLoop(
            self.client,  # type: ignore[arg-type]
            cache,
            executor,
            table,
            list(self._watches.values()),
            (),
            lambda: world.clock() + timedelta(seconds=skew),
        )
        world.api.listeners.append(self._on_change)
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._events.run())]

    @property
    def alive(self) -> bool:
        return not self.client.dead

    def kill(self) -> None:
        """SIGKILL: nothing it had in memory is left, and what it asked for is not answered."""
        self.client.dead = True
        self._world.api.listeners.remove(self._on_change)
        for task in self._tasks:
            task.cancel()

    def failure(self) -> BaseException | None:
        """Return what ended the process, if anything did."""
        return next((task.exception() for task in self._tasks if task.done() and not task.cancelled()), None)

    async def _run(self) -> None:
        await self._control.resync_until_done()
        await self._control.run()

    def _on_change(self, resource: Resource, change: str, obj: Object) -> None:
        watch = self._watches.get(resource)
        if watch is None or not selected(obj, watch.label_selector):
            return
        late = WATCH_SECONDS + self._world.late.get(resource, 0.0)
        asyncio.get_running_loop().call_later(late, self._deliver, watch, change, obj)

    def _deliver(self, watch: Watch, change: str, obj: Object) -> None:
        if self.alive:
            for _ in range(self._world.copies):
                self._control.on_event(watch.resource, change, obj)


class World:
    """The cluster. strike: which writes are struck by what. late: seconds by which the events of a kind come later.

    copies: how often each event is told. skew: seconds that the operator's clock is ahead. quiet: seconds
    without a write that are a rest. endings: how training pods end.
    log: everything that operators wrote, in order. each_second: looks at the world.
    """

    def __init__(self, strike: Strike, endings: Callable[[Object, int], Ending]) -> None:
        self.strike = strike
        self.late: dict[Resource, float] = {}
        self.copies = 1
        self.skew = 0.0
        self.quiet = QUIET_SECONDS
        self.log: list[Write] = []
        self.jobs_made: Counter[str] = Counter()
        self.failures: list[BaseException] = []
        self.each_second: Callable[[World], None] = lambda _: None
        self._times: Counter[tuple[str, str, str]] = Counter()
        self.api = MemoryApi(self.clock)
        self.api.listeners.append(self._note)
        self.surroundings = Surroundings(self.api, self.clock, endings)
        self.operator = Operator(self)

    def clock(self) -> datetime:
        """Return the true time of day."""
        return BEGIN + timedelta(seconds=loop_time() - 1000)

    def count(self, verb: str, resource: Resource, name: str) -> Write:
        """Note a write that an operator begins, and return it."""
        self._times[verb, resource.kind, name] += 1
        self.log.append(Write(verb, resource.kind, name, self._times[verb, resource.kind, name]))
        return self.log[-1]

    def restart(self) -> None:
        """Kill the operator, and start another one at once."""
        if self.operator.alive:
            self.operator.kill()
        self.operator = Operator(self, self.skew)

    async def second(self) -> None:
        """Let a second pass; an operator that died is started again after `RESTART_SECONDS`."""
        await asyncio.sleep(1.0)
        failure = self.operator.failure()
        if failure is not None:
            self.failures.append(failure)
            self.restart()
        self.surroundings.step()
        self.each_second(self)
        if not self.operator.alive:
            await asyncio.sleep(RESTART_SECONDS)
            self.restart()

    async def until(self, condition: Callable[[], Any], what: str, seconds: int = 3600) -> None:
        """Let the time pass until the condition holds. Raises AssertionError when it never does."""
        for _ in range(seconds):
            if condition():
                return
            await self.second()
        raise AssertionError(f"never: {what}; the last writes: {'; '.join(map(str, self.log[-8:]))}")

    async def settle(self, seconds: int = 7200) -> None:
        """Let the time pass until nothing was written, not even in vain, for `quiet` seconds.

        Raises AssertionError when that never comes.
        """
        quiet, before = 0, (0, 0)
        for _ in range(seconds):
            await self.second()
            written = (self.api.version, len(self.log))
            quiet = quiet + 1 if written == before else 0
            before = written
            if quiet >= self.quiet:
                return
        raise AssertionError(f"it never comes to rest; the last writes: {'; '.join(map(str, self.log[-8:]))}")

    def status(self, resource: Resource, name: str) -> Object:
        found = self.api.find(resource, name)
        return dict((found or {}).get("status") or {})

    def _note(self, resource: Resource, change: str, obj: Object) -> None:
        if resource == JOBS and change == "ADDED":
            self.jobs_made[obj["metadata"]["name"]] += 1


def _with_pods(row: Controller, server: Image, pods: Surroundings) -> Controller:
    """Return the row of the operator's table, but the counters of pods are those of the world."""
    if row.resource != INFERENCE_SERVICES:
        return row
    parts = [serving_part(server, pods) if part.name == "serving" else part for part in row.parts]  # type: ignore[arg-type]
    return Controller(row.name, row.resource, parts, row.concerns)
