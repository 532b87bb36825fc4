"""Measures the control loop beside its peers: real processes on one real API server with etcd and no kubelet.

Each round starts every loop in turn, alone, in a namespace of its own. Prints Markdown tables; `--write` puts them into
docs/performance.md. Peers are built with Go on first use, which takes minutes; without Go ours is measured alone. Needs no
root. Takes about 14 minutes, `--quick` about 4.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from hack.bench import goals, load, report  # noqa: E402 - after the path
from hack.bench.alone import Alone, Death, Idle  # noqa: E402 - after the path
from hack.bench.light import LightServer  # noqa: E402 - after the path
from hack.bench.loops import LOOPS, Loop  # noqa: E402 - after the path
from hack.bench.machine import Machine  # noqa: E402 - after the path
from hack.bench.results import Measured  # noqa: E402 - after the path
from hack.bench.series import RATE, Bench, measure, memory, say  # noqa: E402 - after the path
from hack.bench.serving.environments import MissingError  # noqa: E402 - after the path
from modelmill.engine.client import Client  # noqa: E402 - after the path
from modelmill.engine.login import login  # noqa: E402 - after the path
from modelmill.kube.resources import DEPLOYMENTS, JOBS  # noqa: E402 - after the path

SETTLE_SECONDS = 15.0
KINDS = ("training", "serving")
KEYS = [one.key for one in LOOPS]
QUICK = {"rounds": 1, "count": 60, "burst": 60, "objects": 0, "rest": 0.0, "restarts": 1, "failovers": 1}


class Run:
    """One run of the benchmark and what it found. left_out: loops that could not be measured, with the reason."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.measured: dict[str, Measured] = {}
        self.left_out: list[str] = []
        self.floors: list[report.Floor] = []
        self.deaths: list[Death] = []
        self.idle: Idle | None = None

    def obtain(self) -> list[Loop]:
        """Return the loops that were asked for and whose programs can be had."""
        found = []
        for loop in (one for one in LOOPS if one.key in self._options.loops):
            try:
                if loop.source:
                    loop.source.folder()
                found.append(loop)
            except MissingError as error:
                self._leave_out(loop, str(error))
        return found

    async def rounds(self, bench: Bench, loops: list[Loop]) -> None:
        """Measure every loop once, then again; then how the peers' memory grows."""
        options = self._options
        for number in range(options.rounds):
            for loop in self._present(loops):
                async with self._leaving_out(loop):
                    measured = self.measured.setdefault(loop.key, Measured(loop.title))
                    measured.rounds.append(await measure(bench, loop, options.count, options.burst))
                    text = (
                        f"{measured.latency(0.5):.1f} / {measured.latency(0.99):.1f} ms, CPU {measured.cpu_ms():.1f} ms"
                    )
                    say(f"round {number + 1}, {measured.name()}: {text}, burst {measured.burst_seconds():.1f} s")
        for loop in self._present(loops):
            if options.objects and loop.source:
                async with self._leaving_out(loop):
                    self._grew(loop, await memory(bench, loop, options.objects))

    def _present(self, loops: list[Loop]) -> list[Loop]:
        return [one for one in loops if not any(text.startswith(one.title) for text in self.left_out)]

    @asynccontextmanager
    async def _leaving_out(self, loop: Loop) -> AsyncIterator[None]:
        """Leave a peer out whose program fails; a failure of ours ends the run."""
        try:
            yield
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            if loop.source is None:
                raise
            self.measured.pop(loop.key, None)
            self._leave_out(loop, str(error))

    def _grew(self, loop: Loop, mib: float) -> None:
        self.measured.setdefault(loop.key, Measured(loop.title)).memory_mib = mib
        say(f"{self._options.objects:,} of {loop.parent.kind}: {mib:.1f} MiB per 1,000")

    async def bare(self, bench: Bench, count: int = 100) -> None:
        """Measure one bare request of each sort at the same pace: what the API server alone takes on this machine."""
        namespace = bench.new_namespace("floor")
        for title, resource, sent in (
            ("POST of a Job", JOBS, bench.client.create),
            ("server-side apply of a Deployment", DEPLOYMENTS, bench.client.apply),
        ):
            bodies = [load.child(resource, namespace, f"floor-{number}") for number in range(count)]
            self.floors.append(report.Floor(title, await load.timed(sent, resource, bodies, RATE)))
            await bench.clean(namespace, resource)

    async def alone(self, bench: Bench, loops: list[Loop]) -> None:
        """Measure what needs no peer: deaths with few objects and with many, ours' memory, rest and restart."""
        options = self._options
        alone = Alone(bench)
        try:
            self.deaths.append(await alone.death(options.restarts, options.failovers))
            say(f"deaths: {self.deaths[-1]}")
            if options.objects:
                for loop in (one for one in loops if one.key in KINDS):
                    self._grew(loop, await alone.memory(loop, options.objects))
                self.idle = alone.idle(options.rest)
                self.deaths.append(await alone.death(min(options.restarts, 1), 0))
                say(f"deaths: {self.deaths[-1]}")
        finally:
            alone.end()

    def goals(self) -> list[goals.Goal]:
        """Return all goals that this run can judge."""
        found = [*goals.against_peers(self.measured), *goals.of_memory(self.measured)]
        if self.idle is not None:
            found += goals.of_rest(self.idle)
        for death in self.deaths:
            found += goals.of_death(death)
        return found

    def _leave_out(self, loop: Loop, reason: str) -> None:
        self.left_out.append(f"{loop.title}: {reason}")
        say(f"left out: {self.left_out[-1]}")


async def run(options: argparse.Namespace) -> str:
    """Measure, and return the text of the section."""
    began = time.monotonic()
    found = Run(options)
    loops = found.obtain()
    server = LightServer.up(options.name)
    machine = Machine(server.admin.parent)
    os.environ["KUBECONFIG"] = str(server.admin)
    client = Client(login())
    try:
        with tempfile.TemporaryDirectory() as folder:
            for manifest in (one for loop in loops if loop.source for one in loop.source.manifest_files()):
                server.kubectl("apply", "--server-side", "-f", str(manifest))
            server.install(Path(folder))
            # For some seconds after a kind was made the API server builds its handlers anew and closes the watches.
            await asyncio.sleep(SETTLE_SECONDS)
            bench = Bench(server, client, Path(folder))
            await found.bare(bench)
            await found.rounds(bench, loops)
            await found.alone(bench, loops)
        others = machine.others_percent()
    finally:
        await client.close()
        server.down()
    took = f"{(time.monotonic() - began) / 60:.0f} minutes"
    return section(found, f"{took} on {os.cpu_count()} cores, of which other processes used {others:.0f} % meanwhile")


def section(found: Run, conditions: str) -> str:
    """Return the text of the section."""
    command = "python hack/bench/control_loop.py" + "".join(f" {one}" for one in sys.argv[1:] if one != "--write")
    measured = list(found.measured.values())
    missing = "".join(f"\n\nNot measured: {text}" for text in found.left_out)
    return f"""## Control loop

`{command}`, {conditions}; Python {platform.python_version()}.

{report.METHOD}

{report.loops_table(measured)}

{report.goals_table(found.goals())}

{report.floors_text(found.floors)}

Writes per object at {RATE:.0f} a second, by resource:

{report.writes_text(measured)}{missing}
"""


def options_from(argv: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="control_loop.py", description=__doc__)
    parser.add_argument(
        "--rounds",
        type=int,
        default=2,
        choices=range(1, 10),
        help="how often every loop is measured (default: %(default)s)",
    )
    parser.add_argument("--count", type=int, default=200, help="objects of a paced series (default: %(default)s)")
    parser.add_argument("--burst", type=int, default=200, help="objects made at once (default: %(default)s)")
    parser.add_argument(
        "--objects", type=int, default=1000, help="objects of each kind for memory, rest and restart; 0: none of these"
    )
    parser.add_argument("--rest", type=float, default=60, help="seconds of rest (default: %(default)s)")
    parser.add_argument("--restarts", type=int, default=3, help="deaths without a standby (default: %(default)s)")
    parser.add_argument("--failovers", type=int, default=1, help="deaths with a standby (default: %(default)s)")
    parser.add_argument("--loops", nargs="*", default=KEYS, choices=KEYS, help="loops to measure (default: all)")
    parser.add_argument("--quick", action="store_true", help="one short round, no memory, no rest")
    parser.add_argument("--name", default="bench", help="name of the API server (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write the section of docs/performance.md")
    chosen = parser.parse_args(argv)
    if chosen.quick:
        vars(chosen).update(QUICK)
    return chosen


if __name__ == "__main__":
    chosen = options_from(sys.argv[1:])
    # SIGTERM ends the run like Ctrl-C does: with everything that it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    text = asyncio.run(run(chosen))
    print(text)
    if chosen.write:
        report.write_page(text)
        say("written to docs/performance.md")
