"""The server as a process, and a small HTTP client that shows status, headers and body as they came."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
START_SECONDS = 60  # a limit, not an expectation: a busy machine imports scikit-learn slowly


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """One server process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    termination: Path
    host: str = "127.0.0.1"

    @property
    def pid(self) -> int:
        """The process that serves: the child of the one that was started, which supervises it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """Send one request on a connection of its own; a body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, content, headers or {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Answer:
        return self.call("POST", path, body, headers)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of that name with these labels, as a scraper reads them."""
        families = text_string_to_metric_families(self.get("/metrics").body.decode())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def wait_ready(self) -> None:
        """Wait until the server is ready. Fails with the log when the process ends instead."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.get("/v2/health/ready").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        pytest.fail(f"not ready in {START_SECONDS} s:\n{self.log.read_text()}")

    def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@dataclass
class Launcher:
    """Starts servers and ends them."""

    folder: Path
    started: list[Running] = field(default_factory=list)

    def __call__(
        self,
        artifact: Path,
        wait: bool = True,
        modules: Path | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        **environment: str,
    ) -> Running:
        """Start a server on `artifact`; names of `environment` get the prefix MODELMILL_.

        modules: a folder whose modules come before all others, as a sitecustomize. port: left out, a free one.
        """
        number = len(self.started)
        log, termination = self.folder / f"server-{number}.log", self.folder / f"termination-{number}"
        port = port or free_port()
        env = {
            **server_environment(),
            "MODELMILL_TERMINATION_PATH": str(termination),
            "MODELMILL_DRAIN_SECONDS": "0",
            **{f"MODELMILL_{name}": value for name, value in environment.items()},
        }
        if modules is not None:
            env["PYTHONPATH"] = f"{modules}:{env['PYTHONPATH']}"
        command = [sys.executable, "-m", "modelmill_server", "serve", str(artifact)]
        with log.open("wb") as stream:
            process = subprocess.Popen([*command, "--host", host, "--port", str(port)], env=env, stderr=stream)
        running = Running(process, port, log, termination, host)
        self.started.append(running)
        if wait:
            running.wait_ready()
        return running

    def close(self) -> None:
        for running in self.started:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait()


def server_environment() -> dict[str, str]:
    """Return this environment without settings of ours, with the packages on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MODELMILL_", "AWS_"))}
    return {**kept, "PYTHONPATH": f"{ROOT}/operator:{ROOT}/images/server"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Launch = Callable[..., Running]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    """Servers of one test."""
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.close()


@pytest.fixture(scope="module")
def launch_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Servers of one module."""
    launcher = Launcher(tmp_path_factory.mktemp("servers"))
    yield launcher
    launcher.close()


def wait_for_log(server: Running, words: str) -> None:
    deadline = time.monotonic() + 30
    while words not in server.log.read_text():
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.02)


def wait_in_progress(server: Running, count: int) -> None:
    deadline = time.monotonic() + 30
    while server.metric("modelmill_requests_in_progress") != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
