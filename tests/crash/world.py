"""A cluster in memory with operators in it: starts them, kills them, lets the time pass, and keeps the books."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from modelmill import app
from modelmill.api.resources import INFERENCE_SERVICES
from modelmill.engine.cache import Cache
from modelmill.engine.events import EventRecorder
from modelmill.engine.executor import Executor
from modelmill.engine.interface import Requests
from modelmill.engine.parts import Part
from modelmill.engine.runtime import ControlLoop
from modelmill.engine.table import Controller
from modelmill.kube import labels
from modelmill.kube.conditions import is_true
from modelmill.kube.objects import Resource
from modelmill.kube.resources import JOBS
from modelmill.measuring.prometheus import Prometheus, Server
from modelmill.monitoring.part import monitoring_part
from modelmill.serving.part import serving_part
from modelmill.serving.upgrade import Upgrades
from modelmill.tuning.reports import Reports
from modelmill.tuning.sampler import InProcess
from modelmill.workloads.containers import Image
from tests.crash.faults import FaultyClient, Strike, Write
from tests.crash.memory_api import MemoryApi, Object
from tests.crash.surroundings import Ending, Surroundings
from tests.crash.watching import Delivery, Streams
from tests.support.virtual_time import now as loop_time

ENVIRONMENT = {
    "MODELMILL_TRAINER_IMAGE": "trainer:1",
    "MODELMILL_SERVER_IMAGE": "server:1",
    "MODELMILL_NETWORK_POLICIES": "true",
    "MODELMILL_STORE_PORTS": "9000",
}
CONFIG = app.config_from(ENVIRONMENT)
RUN_TIME = re.compile(r"(?<=-)\d{8}t\d{6}z")
BEGIN = datetime.fromisoformat("2026-01-02T03:04:05+00:00")
RESTART_SECONDS = 2.0
QUIET_SECONDS = 60
PATIENCE_SECONDS = 3600
MOST_WRITES = 10_000
"""Writes, tries included, after which a world is given up: no plan has a tenth of them."""


class Operator:
    """One process of the operator: its cache, its queues, its memory.

    since: resourceVersion of its first lists and watches, from an API server that is behind; None for one that is not.
    """

    def __init__(self, world: World, since: int | None = None) -> None:
        self.client = FaultyClient(world.api, world.strike, self.kill, world.count)
        self.client.behind = since
        client = self.fenced(self.client)
        config = replace(CONFIG, server_image=world.server_image, max_concurrent_rollouts=world.most_upgrades)
        server = Image(config.server_image, "IfNotPresent")
        self.reports = Reports(CONFIG.report_url, loop_time)
        rows = app.controllers(config, self.client, InProcess(), self.reports)
        upgrades = Upgrades(server.name, world.most_upgrades)
        serving = serving_part(server, world.surroundings, Prometheus(Server()), upgrades=upgrades)  # type: ignore[arg-type]
        monitoring = monitoring_part(world.surroundings.values)
        table = [_with(row, serving, monitoring) for row in rows]
        watches = app.watches(table)
        cache = Cache(
            {watch.resource: watch.index_labels for watch in watches},
            loop_time,
            {watch.resource: watch.unread for watch in watches},
            {watch.resource: watch.indexes for watch in watches},
            {watch.resource: watch.reduced for watch in watches},
        )
        events = EventRecorder(client, "operator", loop_time)
        executor = Executor(client, cache, events, [watch.resource for watch in watches])
        self._control = ControlLoop(
            client,
            cache,
            executor,
            table,
            (),
            lambda: world.clock() + timedelta(seconds=world.skew),
        )
        self.streams = Streams(world.api, watches, self._control, world.delivery, since)
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(events.run())]

    def fenced(self, client: FaultyClient) -> Requests:
        """Return what the control loop uses: the client itself, where nobody else leads."""
        return client

    async def lead(self) -> None:
        """Wait until this process leads; at once, where nobody else does."""

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the control loop; it ends with the process."""
        self._tasks.append(asyncio.create_task(work))

    @property
    def alive(self) -> bool:
        return not self.client.dead

    def kill(self) -> None:
        """SIGKILL: nothing it had in memory is left, and what it asked for is not answered."""
        self.client.dead = True
        self.streams.close()
        for task in self._tasks:
            task.cancel()

    def failure(self) -> BaseException | None:
        """Return what ended the process, if anything did."""
        return next((task.exception() for task in self._tasks if task.done() and not task.cancelled()), None)

    async def _run(self) -> None:
        await self.lead()
        await self.streams.list_all(self.client)
        self.client.behind = None
        await self._control.run()


class World:
    """The cluster. strike: which writes are struck by what. endings: how training pods end.

    delivery: how watch events come. skew: seconds that the operator's clock is ahead. server_image, most_upgrades: the
    release that an operator is of, from its next start on. quiet: seconds without a write that
    are a rest. patience: seconds after which a person waits no longer. behind: seconds by which an operator that starts after
    a death sees the world of before. make_operator: starts a process. log: everything that operators wrote, in order.
    jobs_made: how many Jobs, by `made_for`; those of a search that somebody deletes are made again, and not counted.
    completed: how many Jobs of searches ended well, likewise. each_second: looks at the world.
    """

    def __init__(self, strike: Strike, endings: Callable[[Object, int], Ending]) -> None:
        self.strike = strike
        self.delivery = Delivery()
        self.skew = 0.0
        self.server_image, self.most_upgrades = "server:1", 1
        self.quiet = QUIET_SECONDS
        self.patience = PATIENCE_SECONDS
        self.behind: float | None = None
        self.make_operator: Callable[[World, int | None], Operator] = Operator
        self.log: list[Write] = []
        self.jobs_made: Counter[tuple[str, str]] = Counter()
        self.completed: Counter[tuple[str, str]] = Counter()
        self._complete: dict[str, tuple[str, str]] = {}
        self.failures: list[BaseException] = []
        self.each_second: Callable[[World], None] = lambda _: None
        self._versions: list[tuple[float, int]] = []
        self._to_make: list[tuple[Resource, Object]] = []
        self._times: Counter[tuple[str, str, str]] = Counter()
        self.api = MemoryApi(self.clock)
        self.api.listeners.append(self._note)
        self.surroundings = Surroundings(self.api, self.clock, endings)
        self.operator = Operator(self)

    def clock(self) -> datetime:
        """Return the true time of day."""
        return BEGIN + timedelta(seconds=loop_time() - 1000)

    def count(self, verb: str, resource: Resource, name: str) -> Write:
        """Note a write that an operator begins, and return it. Names of batch runs have the second in which they began."""
        name = RUN_TIME.sub("at", name)
        self._times[verb, resource.kind, name] += 1
        self.log.append(Write(verb, resource.kind, name, self._times[verb, resource.kind, name]))
        return self.log[-1]

    def restart(self) -> None:
        """Kill the operator, and start another one at once."""
        if self.operator.alive:
            self.operator.kill()
        first = not self._versions
        since = None if self.behind is None or first else self._version_before(self.behind)
        self.operator = self.make_operator(self, since)

    def _version_before(self, seconds: float) -> int:
        """Return the resourceVersion that was the last one so many seconds ago."""
        return next((version for moment, version in reversed(self._versions) if moment <= loop_time() - seconds), 0)

    async def second(self) -> None:
        """Let a second pass; an operator that died is started again after `RESTART_SECONDS`.

        Raises AssertionError when the operator writes without end.
        """
        await asyncio.sleep(1.0)
        if len(self.log) > MOST_WRITES:
            raise AssertionError(f"it writes without end: {'; '.join(map(str, self.log[-4:]))}")
        failure = self.operator.failure()
        if failure is not None:
            self.failures.append(failure)
            self.restart()
        self.surroundings.step()
        self._make()
        self._versions.append((loop_time(), self.api.version))
        self.each_second(self)
        if not self.operator.alive:
            await asyncio.sleep(RESTART_SECONDS)
            self.restart()

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Let the time pass until the condition holds. Raises AssertionError when it never does."""
        for _ in range(self.patience):
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

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Let something happen in so many seconds."""
        asyncio.get_running_loop().call_later(seconds, do)

    def resource(self, obj: Object) -> Resource:
        """Return the kind of an object that is or was there."""
        return next(
            resource
            for resource in self.api.objects
            if (resource.api_version, resource.kind) == (obj["apiVersion"], obj["kind"])
        )

    def when_free(self, resource: Resource, body: Object) -> None:
        """Make an object as soon as there is none of its name."""
        self._to_make.append((resource, body))
        self._make()

    def _make(self) -> None:
        waiting, self._to_make = self._to_make, []
        for resource, body in waiting:
            if self.api.find(resource, body["metadata"]["name"], body["metadata"]["namespace"]) is None:
                self.api.create(resource, body)
            else:
                self._to_make.append((resource, body))

    def status(self, resource: Resource, name: str) -> Object:
        found = self.api.find(resource, name)
        return dict((found or {}).get("status") or {})

    def _note(self, resource: Resource, change: str, obj: Object) -> None:
        if resource == JOBS and change == "ADDED" and labels.RUN_LABEL in obj["metadata"]["labels"]:
            self.jobs_made[made_for(obj)] += 1
        if resource == JOBS and change == "MODIFIED" and is_true(obj.get("status") or {}, "Complete"):
            self._complete.setdefault(obj["metadata"]["uid"], made_for(obj))
            self.completed = Counter(self._complete.values())

    def excuse(self, job: Object) -> None:
        """Count a Job of a search no more, since somebody deletes it: what it did is done again."""
        if labels.STEP_LABEL in (job["metadata"].get("labels") or {}):
            self.jobs_made[made_for(job)] -= 1
            self._complete.pop(job["metadata"]["uid"], None)


def made_for(job: Object) -> tuple[str, str]:
    """Return what a Job is made for, of which there is to be one Job: its owner's uid and its run, or the step of a search."""
    owner = next((owner["uid"] for owner in job["metadata"].get("ownerReferences") or ()), "nobody")
    said = job["metadata"]["labels"]
    return owner, job["metadata"]["name"] if labels.STEP_LABEL in said else said.get(
        labels.RUN_LABEL, job["metadata"]["name"]
    )


def _with(row: Controller, *others: Part) -> Controller:
    """Return the row of the operator's table, but the counters of pods are those of the world."""
    if row.resource != INFERENCE_SERVICES:
        return row
    named = {part.name: part for part in others}
    parts = [named.get(part.name, part) for part in row.parts]
    return Controller(row.name, row.resource, parts, row.concerns)
