"""Measures a search of 1,000 instant trials: the real operator on a real API server without nodes; a stub ends its Jobs.

The stub makes the pod of each Job with the result that its last container would leave, and completes the Job: three writes by
another process, which are not counted. Prints a Markdown table; `--write` puts it into docs/performance.md. Needs no root.
Takes about 6 minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

import msgspec  # noqa: E402 - after the path

from hack.bench import load, report  # noqa: E402 - after the path
from hack.bench.audit import AuditLog, Tally  # noqa: E402 - after the path
from hack.bench.light import USER, LightServer  # noqa: E402 - after the path
from hack.bench.loops import start_ours  # noqa: E402 - after the path
from hack.bench.machine import Machine  # noqa: E402 - after the path
from modelmill.api.resources import TRAINING_JOBS  # noqa: E402 - after the path
from modelmill.contracts import names, result  # noqa: E402 - after the path
from modelmill.engine.client import Client  # noqa: E402 - after the path
from modelmill.engine.login import login  # noqa: E402 - after the path
from modelmill.kube import labels  # noqa: E402 - after the path
from modelmill.kube.conditions import timestamp  # noqa: E402 - after the path
from modelmill.kube.objects import Manifest  # noqa: E402 - after the path
from modelmill.kube.resources import JOBS, PODS  # noqa: E402 - after the path
from modelmill.training.builders.search_jobs import DATA, TRIAL  # noqa: E402 - after the path

SETTLE_SECONDS = 15.0
PATIENCE = 1200.0
FACTS = result.DataFacts("sha256:" + "d" * 64, 1000, 200, copied=True)
NAME = "search"

METHOD = """One API server and etcd, no nodes: a stub in another process ends each trial's Job as soon as it sees it, with a \
pod that tells a random score (three writes a trial, which are not counted as ours). CPU and memory are of the operator and \
the process in which Optuna runs. Writes are counted in the audit log, Leases left out.

Katib is not beside it: Go does not give its module v0.19.0, for which the checksum database has no entry (November 2026), and \
its suggestion service is a Python image of its own."""


@dataclass(frozen=True)
class Found:
    """What one search took. memory_mib: growth of the operator with its sampler; status_bytes: the largest one seen."""

    algorithm: str
    trials: int
    parallel: int
    seconds: float
    cpu_seconds: float
    tally: Tally
    memory_mib: float
    status_bytes: int


class Stub:
    """Ends every Job of a namespace as soon as a watch shows it, as kubelet and Job controller would."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._draw = random.Random(0)

    async def run(self) -> None:
        """End Jobs until the process is ended."""
        _, version = await self._client.list(JOBS, self._namespace)
        tasks: set[asyncio.Task[None]] = set()
        print("ready", flush=True)
        while True:
            async for event in self._events(version):
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] == "ADDED":
                    task = asyncio.create_task(self._end(event["object"]))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)

    async def _events(self, version: str) -> AsyncIterator[Any]:
        async with self._client.watch(JOBS, self._namespace, version, seconds=600, silent_seconds=700) as stream:
            buffer = b""
            async for chunk in stream:
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    yield msgspec.json.decode(line)

    async def _end(self, job: Manifest) -> None:
        ending = self._ending(job["metadata"]["labels"].get(labels.STEP_LABEL))
        if ending is None:
            return
        container, text = ending
        now = timestamp(datetime.now(UTC))
        pod = await self._client.create(PODS, self._pod(job))
        ended = {"exitCode": 0, "reason": "Completed", "message": text, "startedAt": now, "finishedAt": now}
        status = {"name": container, "image": "x", "imageID": "", "ready": False, "restartCount": 0}
        pod["status"] = {"phase": "Succeeded", "containerStatuses": [{**status, "state": {"terminated": ended}}]}
        await self._client.replace_status(PODS, pod)
        conditions = [
            {"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        over = {"startTime": now, "completionTime": now, "succeeded": 1, "ready": 0, "terminating": 0}
        await self._client.replace_status(
            JOBS, {**job, "status": {**over, "conditions": conditions, "uncountedTerminatedPods": {}}}
        )

    def _ending(self, step: str | None) -> tuple[str, str] | None:
        """Return which container ends last, and what it tells; None for the Job that publishes, where the search is over."""
        if step == DATA:
            return names.STAGE_FETCH, result.encode_data(FACTS)
        if step == TRIAL:
            metrics = {"r2": self._draw.random(), "mae": self._draw.random()}
            return names.STAGE_SCORE, result.encode(result.StageResult(result.SCORED, data=FACTS, metrics=metrics))
        return None

    def _pod(self, job: Manifest) -> Manifest:
        meta = job["metadata"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
        return {
            "metadata": {
                "name": f"{meta['name']}-x",
                "namespace": self._namespace,
                "labels": job["spec"]["template"]["metadata"]["labels"],
                "ownerReferences": [owner],
            },
            "spec": job["spec"]["template"]["spec"],
        }


def stub_process(kubeconfig: str, namespace: str) -> None:
    """Run the stub in a process of its own."""

    async def main() -> None:
        await Stub(Client(login()), namespace).run()

    os.environ["KUBECONFIG"] = kubeconfig
    asyncio.run(main())


def searching(namespace: str, algorithm: str, trials: int, parallel: int) -> Manifest:
    """Return a TrainingJob with a search of two numbers and a choice."""
    body = load.training_job(namespace, NAME)
    body["spec"]["tuning"] = {
        "parameters": [
            {"name": "alpha", "float": {"low": "0.00001", "high": "10", "log": True}},
            {"name": "max_iter", "int": {"low": 10, "high": 10_000}},
            {"name": "solver", "categorical": {"choices": ["svd", "cholesky", "lsqr", "sag"]}},
        ],
        "algorithm": {"name": algorithm},
        "maxTrials": trials,
        "parallelTrials": parallel,
    }
    return body


async def measure(
    server: LightServer, client: Client, folder: Path, algorithm: str, trials: int, parallel: int
) -> Found:
    """Run one search with a new operator. Raises TimeoutError when it does not end, RuntimeError when the operator ends."""
    namespace = server.new_namespace(f"trials-{algorithm.lower()}-{int(time.time())}")
    operator = start_ours(server, folder)
    stub = multiprocessing.get_context("spawn").Process(target=stub_process, args=(str(server.admin), namespace))
    stub.start()
    try:
        await asyncio.sleep(5)
        audit, cpu, before = AuditLog(server.audit_log, USER), operator.cpu_seconds(), operator.rss_mib()
        began = time.monotonic()
        await client.create(TRAINING_JOBS, searching(namespace, algorithm, trials, parallel))
        largest, most, ended = 0, before, False
        while not ended:
            if time.monotonic() - began > PATIENCE or not operator.alive():
                raise TimeoutError(f"the search of {trials} trials has not ended; {operator.tail()}")
            await asyncio.sleep(0.5)
            status = (await client.get(TRAINING_JOBS, namespace, NAME)).get("status") or {}
            largest = max(largest, len(msgspec.json.encode(status)))
            most = max(most, operator.rss_mib())
            ended = bool(((status.get("currentRun") or {}).get("trials") or {}).get("end"))
        seconds = time.monotonic() - began
        return Found(
            algorithm, trials, parallel, seconds, operator.cpu_seconds() - cpu, audit.tally(), most - before, largest
        )
    finally:
        stub.kill()
        stub.join()
        operator.terminate()


def table(found: list[Found]) -> str:
    """Return the table, and which writes there were for a trial."""
    rows = [
        "| | trials a second | CPU per trial | writes + Events per trial | refused per trial | memory | largest status |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in found:
        cells = (
            f"{one.algorithm}: {one.trials:,} trials, {one.parallel} at a time",
            f"{one.trials / one.seconds:.1f}",
            f"{1000 * one.cpu_seconds / one.trials:.1f} ms",
            f"{one.tally.writes() / one.trials:.2f} + {one.tally.events() / one.trials:.2f}",
            f"{one.tally.refusals() / one.trials:.2f}",
            f"{one.memory_mib:.0f} MiB",
            f"{one.status_bytes / 1000:.1f} kB",
        )
        rows.append(f"| {' | '.join(cells)} |")
    first = found[0]
    writes = ", ".join(f"{name} {count / first.trials:.2f}" for name, count in sorted(first.tally.taken.items()))
    return "\n".join(rows) + f"\n\nWrites per trial, {first.algorithm}: {writes}."


async def run(options: argparse.Namespace) -> str:
    """Measure, and return the text of the section."""
    server = LightServer.up(options.name)
    machine = Machine(server.admin.parent)
    os.environ["KUBECONFIG"] = str(server.admin)
    client = Client(login())
    found = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            server.install(Path(folder))
            await asyncio.sleep(SETTLE_SECONDS)
            for algorithm in options.algorithms:
                found.append(await measure(server, client, Path(folder), algorithm, options.trials, options.parallel))
                print(f"bench: {found[-1]}", file=sys.stderr, flush=True)
        others = machine.others_percent()
    finally:
        await client.close()
        server.down()
    command = "python hack/bench/trials.py" + "".join(f" {one}" for one in sys.argv[1:] if one != "--write")
    others_used = f"of which other processes used {others:.0f} % meanwhile"
    return f"""## Trials of a search

`{command}`, {os.cpu_count()} cores, {others_used}; Python {platform.python_version()}.

{METHOD}

{table(found)}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="trials.py", description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="trials of each search (default: %(default)s)")
    parser.add_argument("--parallel", type=int, default=20, help="trials at a time (default: %(default)s)")
    parser.add_argument("--algorithms", nargs="*", default=["Random", "TPE"], choices=["Random", "TPE"])
    parser.add_argument("--name", default="bench", help="name of the API server (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write the section of docs/performance.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    text = asyncio.run(run(options))
    print(text)
    if options.write:
        report.write_page(text, section="trials")


if __name__ == "__main__":
    main()
