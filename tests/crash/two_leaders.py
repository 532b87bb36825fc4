"""A leader that is stopped at a write, wakes up when another one leads, and must not write any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from modelmill.engine.election import Election
from modelmill.engine.fence import Fenced
from modelmill.engine.interface import Requests
from modelmill.kube.objects import Manifest, Resource
from modelmill.kube.resources import LEASES
from tests.crash.faults import SUSPENDED, FaultyClient, Write
from tests.crash.memory_api import MemoryApi, Object
from tests.crash.oracles import Outcome, compared, play
from tests.crash.scenarios import Scenario
from tests.crash.world import Operator, World
from tests.support.virtual_time import now as loop_time

NAMESPACE, NAME = "modelmill", "operator"
BUSY_SECONDS = 0.5
"""After it was stopped, how long a process is at other things before the election's overdue timers have their turn."""


class Candidate(Operator):
    """A process that works while it holds the lease. leases: where that is, apart from what the scenario is about."""

    def __init__(self, leases: MemoryApi, identity: str, world: World, since: int | None = None) -> None:
        self._leases = leases
        self._identity = identity
        self._world = world
        self._timer: asyncio.TimerHandle | None = None
        client: Any = _LeaseClient(self, leases)
        self._election = Election(
            client, NAMESPACE, NAME, identity, clock=loop_time, leave=self._leave, alarm=self._set_alarm
        )
        super().__init__(world, since)
        self.client.on_sleep = self._sleep
        self.client.on_done = self._check

    def fenced(self, client: FaultyClient) -> Requests:
        fenced = Fenced(client, self._election.fence)
        self._election.on_renewed = fenced.extend
        return fenced

    async def lead(self) -> None:
        await self._election.acquire()
        self.background(self._election.keep())

    def _sleep(self, mode: str) -> None:
        self.streams.hold(self.client.awake_at)
        if mode == SUSPENDED:
            # Timers of the kernel stand still with the machine.
            self._set_alarm(0.0)

    def _check(self, write: Write) -> None:
        """Note a write that is done while another process holds the lease."""
        holder = self._leases.get(LEASES, NAMESPACE, NAME)["spec"]["holderIdentity"]
        if holder != self._identity:
            self._world.failures.append(RuntimeError(f"{self._identity} does {write} while {holder} leads"))

    def _set_alarm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end) if seconds else None

    def _end(self) -> None:
        if self.alive:
            self.kill()

    def _leave(self, _code: int) -> NoReturn:
        """End the process; one that is stopped comes to that when it has woken up and done what was at hand."""
        asleep = self.client.awake_at - loop_time()
        if asleep > 0:
            asyncio.get_running_loop().call_later(asleep + BUSY_SECONDS, self._end)
        else:
            self._end()
        raise asyncio.CancelledError


class _LeaseClient:
    """What the election asks of the API server."""

    def __init__(self, candidate: Candidate, leases: MemoryApi) -> None:
        self._candidate = candidate
        self._leases = leases

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        await self._candidate.client.way()
        return self._leases.get(resource, namespace, name)

    async def create(self, resource: Resource, body: Manifest) -> Object:
        await self._candidate.client.way()
        return self._leases.create(resource, body)

    async def replace(self, resource: Resource, body: Manifest) -> Object:
        await self._candidate.client.way()
        return self._leases.replace(resource, body)


class _Both:
    """The two processes of one world: the world's own, and one that stands by. Either is started again when it has ended."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._leases = MemoryApi(world.clock)
        self._standby: Candidate | None = None
        self._alone = False

    def first(self, since: int | None) -> Candidate:
        return Candidate(self._leases, "one", self._world, since)

    def each_second(self) -> None:
        if not self._alone and (self._standby is None or not self._standby.alive):
            self._standby = Candidate(self._leases, "two", self._world)

    def end_the_second(self) -> None:
        """Let the first one lead again, and alone."""
        self._alone = True
        if self._standby is not None and self._standby.alive:
            self._standby.kill()


@dataclass(frozen=True)
class TwoLeaders:
    """The leader is stopped or suspended for 20 s at a write; another one takes over meanwhile, and the first wakes up.

    clean: the undisturbed run of the scenario.
    """

    scenario: Scenario
    write: Write
    mode: str
    clean: Outcome
    fault: str = "F11"

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.write}: the leader is {self.mode}"

    def problems(self) -> list[str]:
        """Carry it out and return what is wrong; nothing when all is well."""
        struck: list[Write] = []
        both: dict[World, _Both] = {}

        def make(world: World, since: int | None) -> Operator:
            return both.setdefault(world, _Both(world)).first(since)

        def strike(_world: World, write: Write) -> str | None:
            if write != self.write or struck:
                return None
            struck.append(write)
            return self.mode

        outcome = play(
            self.scenario,
            strike,
            may_stop=self.scenario.hasty,
            at_rest=lambda world: both[world].end_the_second(),
            each_second=lambda world: both[world].each_second(),
            make_operator=make,
        )
        left = [problem for problem in outcome.problems if "leadership lost" not in problem]
        problems = left if self.scenario.hasty else compared(self.clean, replace(outcome, problems=left))
        if not struck:
            problems.append("the write never came")
        return problems
