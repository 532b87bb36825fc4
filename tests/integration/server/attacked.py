"""The server under attack: what it has to answer to good clients meanwhile, and what it may take."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from hack.artifacts import write_artifact
from tests.edge.exchange import WAIT_SECONDS, Client, Seen, exchange
from tests.edge.streams import LIMIT, SECONDS, Family, Stream, get, post
from tests.support.fitted import cars, on_columns
from tests.support.model_server import Launcher, Running

LOG_LINES = 20  # of the whole corpus
HEALTH_SECONDS = 5.0  # a bound against a stalled event loop, generous for a busy machine
AT_ONCE = 32
NUMBERS = 200
RECORDER = """
import os

from modelmill_server.protocols.application import Application

handle, record = Application.handle, os.open({record!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def recorded(self, request):
    os.write(record, f"{{request.method}} {{request.path}}".encode("unicode_escape") + b"\\n")
    return handle(self, request)


Application.handle = recorded
"""
"""Runs in the server before anything else, and notes every request that reaches the endpoints."""


@dataclass
class Attacked:
    """A server, the values that its model has for `power`, and what it has handled."""

    running: Running
    expected: np.ndarray  # type: ignore[type-arg]
    handled: Path
    numbers: Iterator[int] = field(default_factory=count)
    _read: int = 0

    @classmethod
    def start(cls, launch: Launcher, folder: Path) -> Attacked:
        """Start a server whose time and sizes are those that the corpus counts with."""
        frame, target = cars("unknown")
        model = on_columns(Ridge(), frame).fit(frame, target)
        write_artifact(folder / "cars", model, frame)
        handled = folder / "handled"
        (folder / "sitecustomize.py").write_text(RECORDER.format(record=str(handled)))
        limits = {"MAX_REQUEST_BYTES": str(LIMIT), "BODY_SECONDS": str(SECONDS), "IDLE_SECONDS": str(SECONDS)}
        running = launch(folder / "cars", modules=folder, **limits)
        asked = pd.DataFrame({"power": np.arange(NUMBERS, dtype=float), "cylinders": 4, "origin": "USA"})
        return cls(running, model.predict(asked), handled)

    def play(self, port: int, family: Family) -> list[tuple[Stream, Seen]]:
        """Send every stream, some at once, and behind each a good request on another connection."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(zip(family.streams, pool.map(lambda one: self._one(port, one), family.streams), strict=True))

    def _one(self, port: int, stream: Stream) -> Seen:
        own = f"/probe-{next(self.numbers)}"
        probe = get(line=f"GET {own} HTTP/1.1".encode())
        seen = exchange(port, stream, probe, lambda answer: answer.status == 404 and f"{own}'".encode() in answer.body)
        seen.trouble = "; ".join(filter(None, (seen.trouble, self.good(port))))
        return seen

    @contextmanager
    def watched(self, family: Family) -> Iterator[None]:
        """Check that its health is told at once meanwhile, and that its memory had not grown beyond the family's bound."""
        self._reset_peak()
        before = self._memory("VmRSS")
        stop, waits = threading.Event(), [0.0]
        thread = threading.Thread(target=self._ask_health, args=(stop, waits))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert max(waits) < HEALTH_SECONDS, f"the health probe waited {max(waits):.1f} s"
        grown = self._memory("VmHWM") - before
        assert grown < family.kilobytes, f"{grown} kB more at the peak of {family.name}"

    def good(self, port: int) -> str:
        """Ask for a prediction that nobody else asks for, on a connection of its own; return what is wrong with the answer."""
        number = next(self.numbers) % NUMBERS
        body = json.dumps({"instances": [[float(number), 4, "USA"]]}).encode()
        client = Client(port)
        try:
            client.send(post(b"Connection: close", body=body))
            client.read(WAIT_SECONDS)
        finally:
            client.socket.close()
        if [answer.status for answer in client.answers] != [200]:
            return f"a good request got {client.answers} {client.rest[:300]!r}"
        found = json.loads(client.answers[0].body)["predictions"][0]
        return "" if abs(found - self.expected[number]) < 0.05 else f"{found} for {number}: another's answer"

    def newly_handled(self) -> Counter[tuple[str, str]]:
        """Return how often which method asked for which path since the last call."""
        data = self.handled.read_bytes()
        whole = data.rfind(b"\n") + 1
        lines, self._read = data[self._read : whole].decode().splitlines(), whole
        return Counter((method, path) for method, _, path in (line.partition(" ") for line in lines))

    def _ask_health(self, stop: threading.Event, waits: list[float]) -> None:
        while not stop.wait(0.1):
            begin = time.monotonic()
            status = self.running.get("/v2/health/ready").status
            waits.append(time.monotonic() - begin if status == 200 else float("inf"))

    def _memory(self, name: str) -> int:
        """Return a figure of the process in KiB."""
        found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{self.running.pid}/status").read_text())
        assert found
        return int(found[1])

    def _reset_peak(self) -> None:
        Path(f"/proc/{self.running.pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM
