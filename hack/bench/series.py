"""One round of one control loop: its own process, its own namespace, a paced series and a burst."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.bench import load
from hack.bench.audit import AuditLog
from hack.bench.light import ROOT, LightServer
from hack.bench.loops import Loop
from hack.bench.program import Program
from hack.bench.results import Outcome, Round
from hack.bench.sightings import Sightings
from modelmill.api.resources import MODEL_VERSIONS
from modelmill.engine.client import Client
from modelmill.kube.objects import Resource

RATE = 20.0
WARM = 20
PATIENCE = 120.0
PATIENCE_PER_OBJECT = 0.2
QUIET_SECONDS = 2.0
QUIET_CPU = 0.03


def say(text: str) -> None:
    """Print progress."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Bench:
    """What the measurements share: an API server, a client of its administrator and a folder for files."""

    def __init__(self, server: LightServer, client: Client, folder: Path) -> None:
        self.server = server
        self.client = client
        self.folder = folder
        self._namespaces = 0

    def new_namespace(self, title: str) -> str:
        """Make a namespace that nothing has used."""
        self._namespaces += 1
        return self.server.new_namespace(f"bench-{title}-{time.time_ns() // 1_000_000_000}-{self._namespaces}")

    @contextmanager
    def observed(self, namespace: str, parent: Resource, child: Resource) -> Iterator[Path]:
        """Run the observer over these kinds; the file with what it saw is complete while it runs."""
        file = self.folder / f"{parent.plural}-{time.monotonic_ns()}"
        kinds = [f"{one.group}/{one.version}/{one.plural}" for one in (parent, child)]
        argv = [sys.executable, str(ROOT / "hack" / "bench" / "observer.py"), str(self.server.admin), str(file)]
        observer = subprocess.Popen([*argv, namespace, *kinds], stdout=subprocess.PIPE, text=True)
        try:
            assert observer.stdout is not None
            if observer.stdout.readline().strip() != "ready":
                raise RuntimeError("the observer did not start")
            yield file
            if observer.poll() is not None:
                raise RuntimeError("the observer ended before the end of the series")
        finally:
            observer.kill()
            observer.wait()

    async def clean(self, namespace: str, *resources: Resource) -> None:
        """Delete all objects of these kinds; there is no garbage collector here."""
        for resource in resources:
            url = self.client.server + resource.path(namespace)
            options = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
            async with self.client.session.delete(url, json=options) as answer:
                answer.raise_for_status()


class Series:
    """Series of objects of one loop in one namespace, while its program runs."""

    def __init__(self, bench: Bench, loop: Loop, program: Program) -> None:
        self._bench = bench
        self._loop = loop
        self._program = program
        self.audit = AuditLog(bench.server.audit_log, loop.user)
        self.namespace = bench.new_namespace(loop.key)
        self._needs: set[str] = set()

    async def prepare(self, prefix: str, count: int) -> list[dict[str, Any]]:
        """Make what `count` objects of this prefix need, wait until it is dealt with, and return the objects."""
        names = [f"{prefix}-{number}" for number in range(count)]
        needs = [one for one in self._loop.needs(self.namespace, names) if one["metadata"]["name"] not in self._needs]
        self._needs |= {one["metadata"]["name"] for one in needs}
        await load.create_at_once(self._bench.client, MODEL_VERSIONS, needs)
        await self.settle()
        return [self._loop.body(self.namespace, name) for name in names]

    async def run(self, prefix: str, count: int, rate: float | None) -> Outcome:
        """Create objects at a rate, or all at once, and wait until all have a child and a status, or patience is over."""
        bodies = await self.prepare(prefix, count)
        self.audit.mark()
        cpu = self._program.cpu_seconds()
        loop = self._loop
        with self._bench.observed(self.namespace, loop.parent, loop.child) as file:
            if rate:
                await load.create_paced(self._bench.client, loop.parent, bodies, rate)
            else:
                await load.create_at_once(self._bench.client, loop.parent, bodies)
            limit = time.monotonic() + PATIENCE + count * PATIENCE_PER_OBJECT
            while (found := self._read(file)).complete() < count and time.monotonic() < limit:
                if not self._program.alive():
                    raise RuntimeError(f"it ended by itself; {self._program.tail()}")
                await asyncio.sleep(0.5)
            await self.settle()
        return Outcome(count, found, self._program.cpu_seconds() - cpu, self.audit.tally())

    async def grow(self, count: int) -> float:
        """Make `count` objects with what they need at once; return the growth in MiB per 1,000, NaN when it was late."""
        await self.run("warm", WARM, RATE)
        before = self._program.rss_mib()
        found = await self.run("many", count, None)
        if found.sightings.complete() < count:
            say(f"{self._loop.key}: {count - found.sightings.complete()} of {count} had no child or status in time")
            return float("nan")
        return 1000 * (self._program.rss_mib() - before) / count

    async def clean(self) -> None:
        """Delete all objects of the namespace while the program runs, which may have its own to tidy up."""
        loop = self._loop
        await self._bench.clean(self.namespace, loop.parent, loop.child, *loop.leftovers)
        await self.settle()

    def _read(self, file: Path) -> Sightings:
        with file.open() as lines:
            return Sightings.read(lines, self._loop.parent.plural, self._loop.child.plural)

    async def settle(self) -> None:
        """Wait until the program neither writes nor works any more: Events and second statuses come last."""
        limit = time.monotonic() + PATIENCE
        before = (-1, 0.0)
        while time.monotonic() < limit:
            now = (self.audit.tally().total(), self._program.cpu_seconds())
            if now[0] == before[0] and now[1] - before[1] <= QUIET_CPU * QUIET_SECONDS:
                return
            before = now
            await asyncio.sleep(QUIET_SECONDS)
        raise TimeoutError(f"it worked on for more than {PATIENCE:.0f} s; {self._program.tail()}")


@contextmanager
def running(bench: Bench, loop: Loop) -> Iterator[Series]:
    """Run the loop's program."""
    program = loop.start(bench.server, bench.folder)
    try:
        yield Series(bench, loop, program)
    finally:
        program.terminate()


async def measure(bench: Bench, loop: Loop, count: int, burst: int) -> Round:
    """Measure one round. Raises OSError, RuntimeError or subprocess.SubprocessError when the program fails."""
    with running(bench, loop) as series:
        await series.run("warm", WARM, RATE)
        paced = await series.run("paced", count, RATE)
        at_once = await series.run("burst", burst, None)
        await series.clean()
    return Round(paced, at_once)


async def memory(bench: Bench, loop: Loop, count: int) -> float:
    """Return by how many MiB the loop's program grows for 1,000 objects. Raises like `measure`."""
    with running(bench, loop) as series:
        grown = await series.grow(count)
        await series.clean()
    return grown
