"""Measures the control loop: the real operator process on a real API server with etcd and no kubelet.

Prints a Markdown table beside the budget; `--write` puts it into docs/performance.md. Needs no root; takes about 6 minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from hack.bench import load, report  # noqa: E402 - after the path
from hack.bench.light import AuditLog, LightServer  # noqa: E402 - after the path
from hack.bench.machine import Machine  # noqa: E402
from hack.bench.operator_process import OperatorProcess  # noqa: E402 - after the path
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS  # noqa: E402 - after the path
from modelmill.engine.client import Client  # noqa: E402 - after the path
from modelmill.engine.login import login  # noqa: E402 - after the path
from modelmill.kube.objects import Resource  # noqa: E402 - after the path
from modelmill.kube.resources import DEPLOYMENTS, JOBS  # noqa: E402 - after the path

RATE = 20.0
PATIENCE = 180.0
SETTLE_SECONDS = 15.0
BUDGETS = {
    "TrainingJob → Job": {"p50": 5, "p99": 15, "writes": 3, "burst": 12},
    "InferenceService → Deployment": {"p50": 10, "p99": 40, "writes": 8, "burst": 20},
}


class Bench:
    """One run of the benchmark."""

    def __init__(self, server: LightServer, folder: Path, client: Client, counts: list[int], burst: int) -> None:
        self._server = server
        self._folder = folder
        self._client = client
        self._counts = counts
        self._burst = burst
        self.kubeconfig = server.install(folder)
        # For some seconds after a kind was made the API server builds its handlers anew and closes the watches.
        time.sleep(SETTLE_SECONDS)
        self.operator = self._start()
        self.audit = AuditLog(server.audit_log)
        self.objects = 0

    def _start(self) -> OperatorProcess:
        operator = OperatorProcess(self.kubeconfig, self._folder / "operator.log")
        operator.wait_leading(60)
        return operator

    async def measure(
        self,
        title: str,
        parent: Resource,
        child: Resource,
        make: Callable[[str, str], dict[str, Any]],
        *,
        with_version: bool,
    ) -> report.Kind:
        """Measure one kind: paced series of each count, then all at once."""
        found = report.Kind(title, BUDGETS[title])
        namespace = self._server.new_namespace(f"bench-{parent.plural}-{os.getpid()}")
        series = [("warm", 20), *((f"paced{count}", count) for count in self._counts)]
        for prefix, count in series:
            bodies = await self._prepare(namespace, prefix, count, make, with_version=with_version)
            cpu, memory = self.operator.cpu_seconds(), self.operator.rss_mib()
            with self._observed(namespace, parent, child) as sightings:
                await load.create_paced(self._client, parent, bodies, RATE)
                await self._children(sightings, child, count)
                self._settle()
            used = 1000 * (self.operator.cpu_seconds() - cpu) / count
            latencies = _latencies(sightings, parent, child)
            grown = self.operator.rss_mib() - memory
            one = report.Paced(count, latencies, self.audit.writes(), used, grown, count - len(latencies))
            if prefix != "warm":
                found.paced.append(one)
                median = one.percentile(0.5)
                say(f"{title}, {count} at {RATE:.0f}/s: {median:.1f} ms, {one.writes_per_object():.2f} writes")
        if self._burst:
            await self._measure_burst(found, namespace, parent, child, make, with_version=with_version)
        return found

    async def _measure_burst(
        self,
        found: report.Kind,
        namespace: str,
        parent: Resource,
        child: Resource,
        make: Callable[[str, str], dict[str, Any]],
        *,
        with_version: bool,
    ) -> None:
        bodies = await self._prepare(namespace, "burst", self._burst, make, with_version=with_version)
        with self._observed(namespace, parent, child) as sightings:
            began = time.monotonic()
            await load.create_at_once(self._client, parent, bodies)
            made = time.monotonic() - began
            await self._children(sightings, child, self._burst)
            self._settle()
        first = min(moment for plural, *_, moment in read(sightings) if plural == parent.plural)
        last = max(moment for plural, *_, moment in read(sightings) if plural == child.plural)
        found.burst_count = self._burst
        found.burst_seconds = last - min(first, began)
        found.burst_writes = sum(self.audit.writes().values()) / self._burst
        say(f"{found.title}, {self._burst} at once: {found.burst_seconds:.1f} s, of these {made:.1f} s creating them")

    async def _prepare(
        self, namespace: str, prefix: str, count: int, make: Callable[[str, str], dict[str, Any]], *, with_version: bool
    ) -> list[dict[str, Any]]:
        names = [f"{prefix}-{number}" for number in range(count)]
        if with_version:
            versions = [load.model_version(namespace, name) for name in names]
            await load.create_at_once(self._client, MODEL_VERSIONS, versions)
            self.objects += count
            self._settle()
        self.objects += count
        self.audit.mark()
        return [make(namespace, name) for name in names]

    @contextmanager
    def _observed(self, namespace: str, *resources: Resource) -> Iterator[Path]:
        """Run the observer over these kinds; the file with what it saw is complete while it runs."""
        file = self._folder / f"{resources[0].plural}-{time.monotonic_ns()}"
        kinds_seen = [f"{one.group}/{one.version}/{one.plural}" for one in resources]
        argv = [
            sys.executable,
            str(ROOT / "hack" / "bench" / "observer.py"),
            str(self._server.admin),
            str(file),
            namespace,
        ]
        observer = subprocess.Popen([*argv, *kinds_seen], stdout=subprocess.PIPE, text=True)
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

    async def _children(self, sightings: Path, child: Resource, count: int) -> None:
        limit = time.monotonic() + PATIENCE
        while len({owner for plural, _, owner, _ in read(sightings) if plural == child.plural}) < count:
            if time.monotonic() > limit:
                say(f"not every object has a child after {PATIENCE:.0f} s; {self.operator.tail()}")
                return
            await asyncio.sleep(0.5)

    async def floor(self, count: int) -> list[report.Floor]:
        """Measure one bare request of each sort at the same pace: what the API server alone takes on this machine now."""
        namespace = self._server.new_namespace(f"bench-floor-{os.getpid()}")
        found = []
        for title, resource, sent in (
            ("POST of a Job", JOBS, self._client.create),
            ("server-side apply of a Deployment", DEPLOYMENTS, self._client.apply),
        ):
            bodies = [load.child(resource, namespace, f"floor-{number}") for number in range(count)]
            found.append(report.Floor(title, await load.timed(sent, resource, bodies, RATE)))
        return found

    def _settle(self) -> None:
        """Wait until nothing is reconciled and nothing is written any more: Events come last, in the background."""
        before = -1
        while (now := sum(self.audit.writes().values())) != before:
            before = now
            self.operator.wait_quiet(PATIENCE)

    def idle(self, rest_seconds: float) -> report.Idle:
        """Measure rest and restart with everything that was made."""
        self.audit.mark()
        cpu = self.operator.cpu_seconds()
        time.sleep(rest_seconds)
        rest_writes = self.audit.write_lines()
        rest_cpu = 100 * (self.operator.cpu_seconds() - cpu) / max(rest_seconds, 1)
        self.operator.terminate()
        self.audit.mark()
        self.operator = self._start()
        quiet = self.operator.wait_quiet(PATIENCE, still=5)
        restart_writes = self.audit.write_lines()
        for line in (rest_writes + restart_writes)[:20]:
            say(f"unwanted write: {line}")
        return report.Idle(
            objects=self.objects,
            rest_seconds=rest_seconds,
            rest_writes=len(rest_writes),
            rest_cpu_percent=rest_cpu,
            restart_seconds=quiet - self.operator.started,
            restart_writes=len(restart_writes),
            restart_cpu_seconds=self.operator.cpu_seconds(),
            restart_mib=self.operator.rss_mib(),
        )


def read(sightings: Path) -> list[tuple[str, str, str, float]]:
    """Return what the observer saw: plural, name, owner, moment."""
    lines = [line.split() for line in sightings.read_text().splitlines()]
    return [(one[0], one[1], one[2], float(one[3])) for one in lines if len(one) == 4]


def _latencies(sightings: Path, parent: Resource, child: Resource) -> list[float]:
    """Return ms from the first sight of each parent to the first sight of its child."""
    parents: dict[str, float] = {}
    children: dict[str, float] = {}
    for plural, name, owner, moment in read(sightings):
        if plural == parent.plural:
            parents.setdefault(name, moment)
        elif plural == child.plural:
            children.setdefault(owner, moment)
    return [1000 * (children[name] - moment) for name, moment in parents.items() if name in children]


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


async def run(options: argparse.Namespace) -> str:
    """Measure, and return the text of the section."""
    began = time.monotonic()
    extra = ["--controller-manager"] if options.controller_manager else []
    server = LightServer.up(options.name, *extra)
    machine = Machine(server.admin.parent)
    os.environ["KUBECONFIG"] = str(server.admin)
    client = Client(login())
    measured: list[report.Kind] = []
    floors: list[report.Floor] = []
    idle = None
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(server, Path(folder), client, options.counts, options.burst)
        try:
            floors = await bench.floor(100)
            if "training" in options.kinds:
                measured.append(
                    await bench.measure("TrainingJob → Job", TRAINING_JOBS, JOBS, load.training_job, with_version=False)
                )
            if "serving" in options.kinds:
                title = "InferenceService → Deployment"
                measured.append(
                    await bench.measure(
                        title, INFERENCE_SERVICES, DEPLOYMENTS, load.inference_service, with_version=True
                    )
                )
            if options.rest:
                idle = bench.idle(options.rest)
        finally:
            await client.close()
            bench.operator.terminate()
            others = machine.others_percent()
            server.down()
    took = f"{(time.monotonic() - began) / 60:.0f} minutes"
    conditions = f"{took} on {os.cpu_count()} cores, of which other processes used {others:.0f} % meanwhile"
    return _section(options, report.table(floors, measured, idle), measured, conditions)


def _section(options: argparse.Namespace, table: str, measured: list[report.Kind], conditions: str) -> str:
    command = "python hack/bench/control_loop.py" + "".join(f" {one}" for one in sys.argv[1:] if one != "--write")
    neighbour = "with" if options.controller_manager else "without"
    return "\n".join(
        [
            "## Control loop",
            "",
            f"`{command}`, {conditions}; Python {platform.python_version()}.",
            f"One API server and etcd, {neighbour} a controller manager, no kubelet. First child: from the moment in which a "
            "watch shows the object to the moment in which a watch of the same process shows its child. Writes are counted in "
            "the API server's audit log by the operator's user; renewals of its Lease are left out.",
            "",
            table,
            "",
            "Writes per object by resource:",
            "",
            report.details(measured),
        ]
    )


def options_from(argv: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="control_loop.py", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="*", default=[100, 1000], help="objects of each paced series")
    parser.add_argument("--burst", type=int, default=1000, help="objects made at once; 0 leaves it out")
    parser.add_argument(
        "--rest", type=float, default=60, help="seconds of rest to count writes in; 0: no rest, no restart"
    )
    parser.add_argument("--kinds", nargs="*", default=["training", "serving"], choices=["training", "serving"])
    parser.add_argument("--controller-manager", action="store_true", help="run kube-controller-manager beside it")
    parser.add_argument("--name", default="bench", help="name of the API server (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write the section of docs/performance.md")
    return parser.parse_args(argv)


if __name__ == "__main__":
    chosen = options_from(sys.argv[1:])
    section = asyncio.run(run(chosen))
    print(section)
    if chosen.write:
        say(f"written to {report.write_page(section + chr(10)).relative_to(ROOT)}")
