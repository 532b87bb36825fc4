"""Ends our model server with SIGTERM under full load, many times, and counts accepted requests that got no answer.

Each time 16 clients send one request after the other on keep-alive connections and heed `Connection: close`. Once
/v2/health/ready says 503 they go on, on new connections too, for up to a second, which is what a Kubernetes Endpoints
controller and kube-proxy may take; after that they open no new connection. A request counts as lost when it was written
completely to an established connection and its answer did not come completely or was not a 200. Exit code 1 when one was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from hack.bench.serving import models, running
from hack.bench.serving.catalogue import OURS, PEERS
from hack.bench.serving.dialects import Request
from hack.bench.serving.running import Running

ANSWER_SECONDS = 30.0
END_SECONDS = 60.0
READY_EVERY_SECONDS = 0.05


@dataclass
class Round:
    """One death. before, after: answers before and after the signal; asked_to_close: answers with `Connection: close`.

    refused: connections that could not be opened, whose requests were never accepted; lost: why, by request.
    """

    before: int = 0
    after: int = 0
    asked_to_close: int = 0
    opened_after: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    exit_code: int | None = None
    seconds: float = 0.0


class Load:
    """The clients of one round."""

    def __init__(self, port: int, request: Request, clients: int) -> None:
        lines = [f"POST {request.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(request.body)}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        self._request = "\r\n".join([*lines, "", ""]).encode() + request.body
        self._port = port
        self._clients = clients
        self.found = Round()
        self.signalled = False
        self.turned_away = False

    async def run(self) -> None:
        """Send until turned away and every connection is closed."""
        await asyncio.gather(*(self._client() for _ in range(self._clients)))

    async def _client(self) -> None:
        while not self.turned_away:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.found.refused += 1
                await asyncio.sleep(0.01)
                continue
            if self.signalled:
                self.found.opened_after += 1
            try:
                while await self._one(reader, writer):
                    pass
            finally:
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send one request and tell whether the connection may be used again."""
        writer.write(self._request)
        try:
            await writer.drain()
            head, body = await asyncio.wait_for(_answer(reader), ANSWER_SECONDS)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            when = "after" if self.signalled else "before"
            self.found.lost.append(f"{type(error).__name__} {when} the signal: {error}")
            return False
        if not head.startswith(b"HTTP/1.1 200 ") or not body.startswith(b'{"model_name"'):
            self.found.lost.append(f"answer {head[:40]!r} {body[:100]!r}")
            return False
        if self.signalled:
            self.found.after += 1
        else:
            self.found.before += 1
        if b"\r\nconnection: close" in head.lower():
            self.found.asked_to_close += 1
            return False
        return True


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return head and body. Raises IncompleteReadError, OSError."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head, await reader.readexactly(int(length.partition(b":")[2]))


async def one_round(server: Running, clients: int, delay: float, endpoints_seconds: float) -> Round:
    """Load the server, end it after `delay` seconds, and return what became of the requests."""
    load = Load(server.port, server.request(server.peer.json, 1), clients)
    sending = asyncio.create_task(load.run())
    await asyncio.sleep(delay)
    began = time.monotonic()
    load.signalled = True
    server.tree.process.send_signal(signal.SIGTERM)
    while await _ready(server.port):  # noqa: ASYNC110 - the server is another process
        await asyncio.sleep(READY_EVERY_SECONDS)
    await asyncio.sleep(endpoints_seconds)
    load.turned_away = True
    await sending
    load.found.exit_code = await asyncio.to_thread(server.tree.process.wait, END_SECONDS)
    load.found.seconds = time.monotonic() - began
    return load.found


async def _ready(port: int) -> bool:
    """Ask as the kubelet does: on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _ = await _answer(reader)
        return b" 200 " in head.partition(b"\r\n")[0]
    finally:
        writer.close()


def main(argv: list[str]) -> int:
    """Run, print the sums as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(prog="sigterm.py", description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="how often (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument(
        "--endpoints-seconds", type=float, default=1.0, help="longest time from 503 to the last connection"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: %(default)s)")
    parser.add_argument("--server-core", type=int, default=1)
    options = parser.parse_args(argv)
    chance, rounds = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = models.make("linear", folder)
        for number in range(options.times):
            server = running.start(PEERS[OURS], model, options.server_core, folder)
            try:
                delay, until = chance.uniform(0.2, 0.8), chance.uniform(0, options.endpoints_seconds)
                found = asyncio.run(one_round(server, options.clients, delay, until))
            finally:
                server.tree.stop()
                shutil.rmtree(folder / f"{OURS}-{model.name}")
            rounds.append(found)
            text = (
                f"{found.before} answers, {found.after} after the signal, {len(found.lost)} lost, {found.seconds:.1f} s"
            )
            print(
                f"sigterm {number + 1}/{options.times}: {text}, exit code {found.exit_code}",
                file=sys.stderr,
                flush=True,
            )
    return report(rounds)


def report(rounds: list[Round]) -> int:
    """Print the sums as JSON and return the exit code: 1 when a request was lost, or when nothing was put to the test."""
    lost = Counter(why for one in rounds for why in one.lost)
    wrong_ends = sum(one.exit_code != 0 for one in rounds)
    untested = sum(not (one.before and one.after and one.asked_to_close and one.opened_after) for one in rounds)
    sums = {
        "rounds": len(rounds),
        "answered_before_the_signal": sum(one.before for one in rounds),
        "answered_after_the_signal": sum(one.after for one in rounds),
        "asked_to_close": sum(one.asked_to_close for one in rounds),
        "connections_opened_after_the_signal": sum(one.opened_after for one in rounds),
        "refused_connections": sum(one.refused for one in rounds),
        "lost": sum(lost.values()),
        "lost_because": dict(lost),
        "exit_codes_not_0": wrong_ends,
        "rounds_that_tested_nothing": untested,
        "seconds_to_the_end_median": sorted(one.seconds for one in rounds)[len(rounds) // 2],
    }
    print(json.dumps(sums, indent=1))
    return 1 if lost or wrong_ends or untested else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
