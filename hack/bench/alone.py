"""What is measured of our operator alone: memory, rest, a restart, and a death with and without a standby."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from hack.bench.audit import AuditLog
from hack.bench.light import USER
from hack.bench.loops import LOOPS, Loop, start_ours
from hack.bench.operator_process import OperatorProcess
from hack.bench.series import PATIENCE, WARM, Bench, Series, say
from hack.bench.sightings import Sightings

STANDBY_SECONDS = 5.0
TRAINING = next(one for one in LOOPS if one.key == "training")


@dataclass
class Death:
    """Seconds from SIGKILL to the child of an object created right after it, with so many objects in place."""

    objects: int
    restarted: list[float] = field(default_factory=list)
    failed_over: list[float] = field(default_factory=list)


@dataclass
class Idle:
    """The operator with everything in place. Writes without renewals of the lease."""

    objects: int
    rest_seconds: float
    rest_writes: int
    rest_cpu_percent: float
    restart_seconds: float
    restart_writes: int
    restart_cpu_seconds: float
    restart_mib: float


class Alone:
    """Our operator without peers beside it; objects stay in place from one measurement to the next."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._audit = AuditLog(bench.server.audit_log, USER)
        self._standby: OperatorProcess | None = None
        self._deaths = 0
        self._objects = 0
        self.operator = start_ours(bench.server, bench.folder)

    async def memory(self, loop: Loop, count: int) -> float:
        """Make `count` objects with what they need, to stay; return the growth in MiB per 1,000."""
        series = Series(self._bench, loop, self.operator)
        grown = await series.grow(count)
        names = [str(number) for number in range(WARM + count)]
        self._objects += len(names) + len(loop.needs(series.namespace, names))
        return grown

    def idle(self, rest_seconds: float) -> Idle:
        """Measure rest and restart with everything that was made."""
        self._audit.mark()
        cpu = self.operator.cpu_seconds()
        time.sleep(rest_seconds)
        rest_writes = self._audit.write_lines()
        rest_cpu = 100 * (self.operator.cpu_seconds() - cpu) / max(rest_seconds, 1)
        self.operator.terminate()
        self._audit.mark()
        self.operator = start_ours(self._bench.server, self._bench.folder)
        quiet = self.operator.wait_quiet(PATIENCE, still=5)
        restart_writes = self._audit.write_lines()
        for line in (rest_writes + restart_writes)[:20]:
            say(f"unwanted write: {line}")
        return Idle(
            objects=self._objects,
            rest_seconds=rest_seconds,
            rest_writes=len(rest_writes),
            rest_cpu_percent=rest_cpu,
            restart_seconds=quiet - self.operator.started,
            restart_writes=len(restart_writes),
            restart_cpu_seconds=self.operator.cpu_seconds(),
            restart_mib=self.operator.rss_mib(),
        )

    async def death(self, restarts: int, failovers: int) -> Death:
        """Kill the leader: `restarts` times with itself started again at once, `failovers` times with a standby there."""
        found = Death(self._objects)
        for _ in range(restarts):
            found.restarted.append(await self._kill(None))
        for _ in range(failovers):
            standby = self._standby = self._start(f"standby-{self._deaths}")
            standby.wait_answering(60)
            # What a standby waits for counts from the renewal that it saw last: it has to have seen one.
            await asyncio.sleep(STANDBY_SECONDS)
            found.failed_over.append(await self._kill(standby))
        return found

    async def _kill(self, successor: OperatorProcess | None) -> float:
        """Kill the leader, start its successor unless one is there, and return the seconds to the child of a new object."""
        self._deaths += 1
        namespace = self._bench.new_namespace("death")
        with self._bench.observed(namespace, TRAINING.parent, TRAINING.child) as file:
            died = time.monotonic()
            self.operator.kill()
            self.operator = successor or self._start(self.operator.identity)
            await self._bench.client.create(TRAINING.parent, TRAINING.body(namespace, "after"))
            while not (seen := _sightings(file)).children:
                if time.monotonic() - died > PATIENCE:
                    raise TimeoutError(f"no child {PATIENCE:.0f} s after the death; {self.operator.tail()}")
                await asyncio.sleep(0.1)
        self.operator.wait_quiet(PATIENCE)
        return seen.children["after"] - died

    def _start(self, identity: str) -> OperatorProcess:
        folder = self._bench.folder
        return OperatorProcess(folder / "operator.kubeconfig", folder / f"{identity}.log", identity)

    def end(self) -> None:
        """End the processes."""
        for one in (self.operator, self._standby):
            if one is not None and one.alive():
                one.terminate()


def _sightings(file: Path) -> Sightings:
    with file.open() as lines:
        return Sightings.read(lines, TRAINING.parent.plural, TRAINING.child.plural)
