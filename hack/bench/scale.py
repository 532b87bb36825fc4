"""How far one operator goes: start, memory, rest and churn with many objects of each kind on a real API server.

TrainingJobs, ModelVersions and InferenceServices, `--count` of each with the children that the operator makes; there is no
kubelet and no controller but the operator, so that no pods are there. What was made stays until the end of a run that went
through: one that was interrupted goes on where it was. Prints a Markdown table; `--write` puts it into the page about scale.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from hack.bench import churn, load, report  # noqa: E402 - after the path
from hack.bench.audit import AuditLog, Tally  # noqa: E402 - after the path
from hack.bench.light import USER, LightServer  # noqa: E402 - after the path
from hack.bench.machine import Machine  # noqa: E402 - after the path
from hack.bench.operator_process import OperatorProcess  # noqa: E402 - after the path
from hack.bench.probes import Probes  # noqa: E402 - after the path
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS  # noqa: E402 - after the path
from modelmill.engine.client import Client  # noqa: E402 - after the path
from modelmill.engine.login import login  # noqa: E402 - after the path
from modelmill.kube.objects import Resource  # noqa: E402 - after the path
from modelmill.kube.resources import JOBS  # noqa: E402 - after the path

NAMESPACES = 10
AT_A_TIME = 500
PATIENCE = 6 * 3600.0
LOOK_AGAIN_SECONDS = 60
PAGE = ROOT / "docs" / "operations" / "scale.md"
KINDS: list[tuple[Resource, Callable[[str, str], dict[str, Any]]]] = [
    (MODEL_VERSIONS, load.model_version),
    (TRAINING_JOBS, load.training_job),
    (INFERENCE_SERVICES, load.inference_service),
]


class Scale:
    """One run. rows: what was found, each a title and a text."""

    def __init__(self, server: LightServer, folder: Path, client: Client, count: int) -> None:
        self._server = server
        self._folder = folder
        self._client = client
        self._count = count
        self._kubeconfig = server.install(folder)
        self._audit = AuditLog(server.audit_log, USER)
        self._namespaces = [server.new_namespace(f"scale-{number}") for number in range(NAMESPACES)]
        self._quiet = server.new_namespace("scale-empty")
        self.rows: list[tuple[str, str]] = []
        self.operator: OperatorProcess | None = None

    def _start(self, **settings: str) -> OperatorProcess:
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}", **settings}
        log = self._folder / "operator.log"
        self.operator = OperatorProcess(self._kubeconfig, log, settings=environment, module="hack.bench.slim_operator")
        return self.operator

    def _row(self, title: str, text: str) -> None:
        self.rows.append((title, text))
        say(f"{title}: {text}")

    def empty(self) -> float:
        """Return the memory of an operator without objects: one that looks after an empty namespace."""
        operator = self._start(MODELMILL_NAMESPACES=self._quiet)
        operator.wait_leading(120)
        time.sleep(10)
        memory = operator.rss_mib()
        operator.terminate()
        self._row("memory without objects", f"{memory:.0f} MiB")
        return memory

    async def fill(self) -> None:
        """Make what is missing, and wait until the operator has done its part."""
        operator = self._start()
        operator.wait_leading(600)
        made, ends, began, cpu = 0, 0, time.monotonic(), operator.cpu_seconds()
        self._audit.mark()
        for resource, make in KINDS:
            missing = await self._missing(resource)
            for first in range(0, len(missing), AT_A_TIME):
                part = missing[first : first + AT_A_TIME]
                await load.create_at_once(self._client, resource, [make(where, name) for where, name in part])
                made += len(part)
                say(f"{resource.plural}: {first + len(part):,} of {len(missing):,} made")
                # On a machine with too much to do the lease may be lost; then the kubelet would start the process again.
                while not await asyncio.to_thread(_rests, operator):
                    ends += 1
                    cpu = 0.0
                    operator = self._start()
        took, used = time.monotonic() - began, operator.cpu_seconds() - cpu
        if ends:
            self._row("leases lost meanwhile; the CPU is that of the last process", str(ends))
        tally = self._audit.tally()
        if made:
            self._row(f"{made:,} objects made, until all was done", f"{took:.0f} s, CPU {used:.0f} s, {_told(tally)}")
        self._row("memory then", f"{operator.rss_mib():.0f} MiB")
        operator.terminate(120)

    async def _missing(self, resource: Resource) -> list[tuple[str, str]]:
        wanted = [(self._namespaces[number % NAMESPACES], f"model-{number}") for number in range(self._count)]
        there = set()
        for namespace in self._namespaces:
            objects, _ = await self._client.list(resource, namespace)
            there |= {(namespace, one["metadata"]["name"]) for one in objects}
        suffix = "-1" if resource == MODEL_VERSIONS else ""
        return [(where, name) for where, name in wanted if (where, name + suffix) not in there]

    async def start(self, empty: float) -> None:
        """Start with everything in place, by a process that was killed: it takes its own lease, and works on a new object."""
        before = self._start()
        before.wait_leading(600)
        before.kill()
        self._audit.mark()
        operator = self._start(BENCH_LOOK_AGAIN_SECONDS=str(LOOK_AGAIN_SECONDS))
        probes = Probes(operator.port)
        namespace = self._server.new_namespace(f"scale-new-{os.getpid()}")
        await self._client.create(TRAINING_JOBS, load.training_job(namespace, "new"))
        await self._first_job(namespace)
        first = time.monotonic() - operator.started
        self._row("kill -9 and start anew, until the first child of a new object", f"{first:.1f} s")
        quiet = await asyncio.to_thread(operator.wait_quiet, PATIENCE) - operator.started
        self._row("until every object was looked at", f"{quiet:.1f} s, CPU {operator.cpu_seconds():.1f} s")
        self._row("writes meanwhile, those for the new object among them", _told(self._audit.tally()))
        memory = operator.rss_mib()
        grown = (memory - empty) / self._count * 1000
        self._row("memory; per 1,000 of each kind", f"{memory:.0f} MiB; {grown:.1f} MiB")
        self._row("probes meanwhile, median / p99 / longest", await asyncio.to_thread(probes.stop))

    async def _first_job(self, namespace: str) -> None:
        for _ in range(round(PATIENCE / 0.05)):
            if (await self._client.list(JOBS, namespace))[0]:
                return
            await asyncio.sleep(0.05)
        raise TimeoutError("the new object never had a Job")

    async def rest(self, seconds: float) -> None:
        """Measure rest with a look at every object once a minute, ten times as often as otherwise."""
        operator = self.operator
        assert operator is not None
        self._audit.mark()
        cpu, looked = operator.cpu_seconds(), operator.reconciles()
        probes = Probes(operator.port)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(operator.wait_quiet, PATIENCE, 1.0)
        looks = round((operator.reconciles() - looked) / (3 * self._count), 1)
        used = operator.cpu_seconds() - cpu
        each = f"{used / looks:.1f} s each" if looks >= 1 else "none went through"
        self._row("looks at every object; their CPU", f"{looks:g}; {each}")
        self._row("writes of these looks", _told(self._audit.tally()))
        self._row("probes meanwhile, median / p99 / longest", await asyncio.to_thread(probes.stop))
        self._row("memory after them", f"{operator.rss_mib():.0f} MiB")

    async def churn(self, minutes: int, rate: float) -> None:
        """Create, edit and delete at a steady rate, and tell the memory each minute."""
        operator = self.operator
        assert operator is not None
        probes = Probes(operator.port)
        memory = [operator.rss_mib()]
        work = churn.Churn(self._client, self._server.new_namespace(f"scale-churn-{os.getpid()}"))
        changes = 0
        for _ in range(minutes):
            changes += await work.minute(rate)
            memory.append(operator.rss_mib())
            say(f"churn: {memory[-1]:.0f} MiB")
        steps = memory if len(memory) <= 13 else [*memory[:: max(len(memory) // 12, 1)], memory[-1]]
        text = ", ".join(f"{one:.0f}" for one in steps)
        self._row(f"memory in {minutes} minutes of churn, {changes:,} changes", f"{text} MiB")
        self._row("probes meanwhile, median / p99 / longest", await asyncio.to_thread(probes.stop))


def _rests(operator: OperatorProcess) -> bool:
    """Wait until it is quiet; return False when it has ended. Raises TimeoutError when it never rests."""
    try:
        operator.wait_quiet(PATIENCE)
    except TimeoutError:
        if operator.alive():
            raise
        return False
    return True


def _told(tally: Tally) -> str:
    return f"{tally.writes():,} and {tally.events():,} Events, {tally.refusals():,} refused"


def say(text: str) -> None:
    """Tell on standard error."""
    print(text, file=sys.stderr, flush=True)


async def run(options: argparse.Namespace) -> str:
    """Return the Markdown text of what was measured."""
    began = time.monotonic()
    server = LightServer.up(options.name)
    os.environ["KUBECONFIG"] = str(server.admin)
    machine = Machine(server.audit_log.parent.parent)
    client = Client(login())
    with tempfile.TemporaryDirectory() as folder:
        scale = Scale(server, Path(folder), client, options.count)
        try:
            empty = scale.empty()
            await scale.fill()
            await scale.start(empty)
            await scale.rest(options.rest)
            if options.churn:
                await scale.churn(options.churn, options.rate)
        finally:
            if scale.operator is not None:
                scale.operator.kill()
            others = machine.others_percent()
            await client.close()
    if not options.keep:
        LightServer(server.name, server.admin, server.audit_log, started_here=True).down()
    took = f"{(time.monotonic() - began) / 60:.0f} minutes on {os.cpu_count()} cores"
    took += f", of which other processes used {others:.0f} %"
    command = "python hack/bench/scale.py" + "".join(f" {one}" for one in sys.argv[1:] if one != "--write")
    head = [
        f"`{command}`: {options.count:,} objects of each of the three kinds; {took} meanwhile.",
        "",
        "| | measured |",
        "|---|---|",
    ]
    return "\n".join([*head, *(f"| {title} | {text} |" for title, text in scale.rows)])


def options_from(argv: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="scale.py", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="objects of each kind (default: %(default)s)")
    parser.add_argument("--rest", type=float, default=150, help="seconds of rest (default: %(default)s)")
    parser.add_argument("--churn", type=int, default=0, metavar="MINUTES", help="create, edit and delete for so long")
    parser.add_argument("--rate", type=float, default=3, help="changes of churn per second (default: %(default)s)")
    parser.add_argument("--name", default="scale", help="name of the API server (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the API server with its objects for another run")
    parser.add_argument("--write", action="store_true", help="write the table of docs/operations/scale.md")
    return parser.parse_args(argv)


if __name__ == "__main__":
    chosen = options_from(sys.argv[1:])
    found = asyncio.run(run(chosen))
    print(found)
    if chosen.write:
        say(f"written to {report.write_page(found, PAGE, 'scale').relative_to(ROOT)}")
