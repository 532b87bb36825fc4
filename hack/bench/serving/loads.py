"""The load generators, on a core of their own: wrk and, for gRPC, `grpc_load` in a closed loop, `open_loop` in an open one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.bench.serving.dialects import Request
from hack.bench.serving.environments import HERE
from hack.bench.serving.running import Running, WrongAnswerError

WARM_SECONDS = 1


@dataclass(frozen=True)
class Sample:
    """One round. rate: answers a second; cpu: µs of the server's process tree per answer; p50, p99: µs."""

    rate: float
    cpu: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Generators:
    """wrk, open_loop: the programs; core: where they run; folder: for the files with bodies."""

    wrk: str
    open_loop: Path
    core: int
    folder: Path

    def closed(self, running: Running, request: Request, connections: int, seconds: int) -> Sample:
        """Send the request again as soon as it is answered, on each connection, and return what that cost.

        Raises WrongAnswerError when an answer is not a 2xx or a connection breaks.
        """
        load = self._grpc if request.grpc else self._wrk
        load(running, request, connections, WARM_SECONDS)
        before = running.tree.cpu_seconds()
        found = load(running, request, connections, seconds)
        cpu = running.tree.cpu_seconds() - before
        return Sample(
            rate=found["requests"] / found["seconds"],
            cpu=1e6 * cpu / max(found["requests"], 1),
            p50=found["p50"],
            p99=found["p99"],
        )

    def open(self, running: Running, request: Request, rate: float, connections: int, seconds: int) -> dict[str, Any]:
        """Send requests at this mean rate whatever the answers do, and return what `open_loop` prints."""
        headers = [part for name, value in request.headers.items() for part in ("--header", f"{name}: {value}")]
        where = ["--address", f"127.0.0.1:{running.port}", "--path", request.path, "--body", self._body(request)]
        load = ["--rate", f"{rate:.3f}", "--seconds", str(seconds), "--connections", str(connections)]
        return self._run([str(self.open_loop), *where, *load, *headers])

    def _wrk(self, running: Running, request: Request, connections: int, seconds: int) -> dict[str, Any]:
        headers = [f"{name}: {value}" for name, value in request.headers.items()]
        options = [
            "--latency",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "30s",
            "-s",
            str(HERE / "post.lua"),
        ]
        address = f"http://127.0.0.1:{running.port}{request.path}"
        return self._checked(running, [self.wrk, *options, address, "--", self._body(request), *headers])

    def _grpc(self, running: Running, request: Request, connections: int, seconds: int) -> dict[str, Any]:
        where = ["--address", f"127.0.0.1:{running.grpc_port}", "--path", request.path, "--body", self._body(request)]
        load = ["--connections", str(connections), "--seconds", str(seconds)]
        return self._checked(running, [sys.executable, str(HERE / "grpc_load.py"), *where, *load])

    def _checked(self, running: Running, command: list[str]) -> dict[str, Any]:
        found = self._run(command)
        if found["not_2xx"] or found["broken"]:
            raise WrongAnswerError(
                f"{running.peer.title}: {found['not_2xx']} answers not 2xx, {found['broken']} broken"
            )
        return found

    def _body(self, request: Request) -> str:
        path = self.folder / "body"
        path.write_bytes(request.body)
        return str(path)

    def _run(self, command: list[str]) -> dict[str, Any]:
        done = subprocess.run(
            ["taskset", "-c", str(self.core), *command], capture_output=True, text=True, check=False, cwd=self.folder
        )
        if done.returncode:
            raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return result
