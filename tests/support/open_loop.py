"""Open-loop load: requests are sent when they are due, whatever became of those before, and each one is accounted for.

Three arms: each request over a new connection; over kept-alive ones; and such as take three seconds, since their body comes in
pieces. Run as a program it prints one JSON line with the counts when it gets SIGTERM or has sent all:

    python -m tests.support.open_loop --host H --port P --model M --rate 500 --requests 100000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.lines import TOLERANCE, inputs, truth

TIMEOUT = 15.0
SLOW_SECONDS = 3.0
SHARES = {"kept": 0.8, "new": 0.195, "slow": 0.005}
"""Of all requests, those of each arm."""
TOLD = 40


class Bad(Exception):
    """An answer that is not 200, or not the right value."""


@dataclass
class Account:
    """sent, failed: requests by arm. versions: answers by version. failures: the first TOLD, with their second. reopened: kept
    connections that the server had closed between two requests. answers: when each was asked for and came, s since 1970, and
    its version, where they are kept.
    """

    began: float = field(default_factory=time.monotonic)
    sent: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    reopened: int = 0
    seconds: list[float] = field(default_factory=list)
    answers: list[tuple[float, float, str]] | None = None

    def fail(self, arm: str, error: BaseException) -> None:
        self.failed[arm] += 1
        if len(self.failures) < TOLD:
            self.failures.append(f"{time.time():.3f} {arm}: {type(error).__name__} {error}")

    def told(self) -> dict[str, Any]:
        ranked = sorted(self.seconds)
        return {
            "sent": dict(self.sent),
            "failed": dict(self.failed),
            "versions": dict(self.versions),
            "failures": self.failures,
            "reopened": self.reopened,
            "p50": ranked[len(ranked) // 2] if ranked else None,
            "p99": ranked[len(ranked) * 99 // 100] if ranked else None,
            "seconds": time.monotonic() - self.began,
            "answers": self.answers,
        }


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Load:
    """Sends the requests of one model to one address. name: what they say the host is. each: whether to keep each answer."""

    def __init__(self, host: str, port: int, model: str, name: str = "", *, each: bool = False) -> None:
        self.account = Account(answers=[] if each else None)
        self._address = (host, port)
        self._free: deque[Connection] = deque()
        self._chance = random.Random(11)
        self._rows = [self._row(model, name or host) for _ in range(50)]

    def _row(self, model: str, host: str) -> tuple[bytes, bytes, float]:
        chance = self._chance
        x, z, colour = chance.uniform(0, 10), chance.uniform(0, 10), chance.choice(["red", "green", "blue"])
        body = json.dumps({"inputs": inputs(x, z, colour)}).encode()
        head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
        return head.encode(), body, truth(x, z, colour)

    async def run(self, rate: float, requests: int, stop: asyncio.Event) -> None:
        """Send `requests` at `rate` a second, then wait for the last answers."""
        tasks: set[asyncio.Task[None]] = set()
        began = time.monotonic()
        arms, shares = list(SHARES), list(SHARES.values())
        for number in range(requests):
            wait = began + number / rate - time.monotonic()
            if wait > 0.002:
                await asyncio.sleep(wait)
            if stop.is_set():
                break
            (arm,) = self._chance.choices(arms, shares)
            task = asyncio.create_task(self._one(arm))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks, timeout=TIMEOUT + 5)

    async def _one(self, arm: str) -> None:
        self.account.sent[arm] += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                await (self._kept() if arm == "kept" else self._alone(slow=arm == "slow"))
        except (OSError, Bad, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            self.account.fail(arm, error)
            return
        if arm != "slow":
            self.account.seconds.append(time.monotonic() - began)

    async def _kept(self) -> None:
        """Ask over a free connection, or a new one. One that the server closed while it was idle is not used (RFC 9112 9.3)."""
        connection: Connection | None = None
        while self._free and connection is None:
            connection = self._free.popleft()
            if connection[0].at_eof() or connection[1].is_closing():
                self.account.reopened += 1
                connection[1].close()
                connection = None
        connection = connection or await asyncio.open_connection(*self._address)
        try:
            if await self._exchange(connection, b"", 0.0):
                self._free.append(connection)
            else:
                connection[1].close()
        except BaseException:
            connection[1].close()
            raise

    async def _alone(self, *, slow: bool) -> None:
        connection = await asyncio.open_connection(*self._address)
        try:
            await self._exchange(connection, b"Connection: close\r\n", SLOW_SECONDS if slow else 0.0)
        finally:
            connection[1].close()

    async def _exchange(self, connection: Connection, header: bytes, seconds: float) -> bool:
        """Send one request, its body over so many seconds; check the answer; tell whether the connection stays."""
        reader, writer = connection
        head, body, expected = self._chance.choice(self._rows)
        began = time.time()
        if seconds:
            writer.write(head + header + b"\r\n" + body[:20])
            for piece in range(20, len(body), 40):
                await asyncio.sleep(seconds * 40 / len(body))
                writer.write(body[piece : piece + 40])
        else:
            writer.write(head + header + b"\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        lines = answer.decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        text = await reader.readexactly(int(fields.get("content-length", "0")))
        if not lines[0].startswith("http/1.1 200"):
            raise Bad(f"{lines[0]} {text[:100]!r}")
        told = json.loads(text)
        if abs(told["outputs"][0]["data"][0] - expected) > TOLERANCE:
            raise Bad(f"{told['outputs'][0]['data'][0]} instead of {expected}")
        self.account.versions[told["model_version"]] += 1
        if self.account.answers is not None:
            self.account.answers.append((began, time.time(), told["model_version"]))
        return fields.get("connection") != "close"


class Running:
    """The load as a process of its own, so that the test's own work does not delay it."""

    def __init__(
        self, host: str, model: str, rate: float, requests: int, name: str = "", *, each: bool = False
    ) -> None:
        words = ["--host", host, "--model", model, "--rate", str(rate), "--requests", str(requests), "--name", name]
        words += ["--each"] if each else []
        self._words = [sys.executable, "-m", "tests.support.open_loop", *words]
        self._process: subprocess.Popen[str] | None = None
        self.account: dict[str, Any] = {}

    def __enter__(self) -> Running:
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(self._words, stdout=subprocess.PIPE, text=True, cwd=root)
        return self

    def done(self) -> bool:
        """Whether all requests were sent and answered."""
        assert self._process is not None
        return self._process.poll() is not None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        out, _ = self._process.communicate(timeout=60)
        self.account = json.loads(out.splitlines()[-1])


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    load = Load(options.host, options.port, options.model, options.name, each=options.each)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await load.run(options.rate, options.requests, stop)
    print(json.dumps(load.account.told()), flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
