"""The server under attack: what it has to answer to good clients meanwhile, and what it may take."""

from __future__ import annotations

import json
import re
import threading
import time
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
from tests.edge.answers import WireAnswer
from tests.edge.exchange import Client, Seen, exchange, parse
from tests.edge.streams import HOST, LIMIT, POST, SECONDS, Family, Stream, bare, get, row
from tests.support.fitted import cars, on_columns
from tests.support.model_server import Launcher, Running

LOG_LINES = 300  # of the whole corpus
HEALTH_SECONDS = 5.0  # a bound against a stalled event loop, generous for a busy machine
AT_ONCE = 12
GOOD = row("good", b"", "200 either", "")


@dataclass
class Attacked:
    """A server, the values that its model has for `power`, and what it has handled."""

    running: Running
    expected: np.ndarray  # type: ignore[type-arg]
    handled: Path
    numbers: Iterator[int] = field(default_factory=count)

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
        number = next(self.numbers) % len(self.expected)
        body = json.dumps({"instances": [[float(number), 4, "USA"]]}).encode()
        request = bare(b"Content-Length: %d" % len(body), b"Connection: close", body=body)
        client = Client(port)
        try:
            client.send(request)
            client.read(20, lambda: False)
        finally:
            client.socket.close()
        answers, _ = parse(bytes(client.received))
        if [answer.status for answer in answers] != [200]:
            return f"a good request got {bytes(client.received[:300])!r}"
        found = json.loads(answers[0].body)["predictions"][0]
        return "" if np.isclose(found, self.expected[number]) else f"{found} for {number}: another's answer"

    def probe(self, number: int) -> tuple[bytes, str]:
        """Return a request and a word that only its own answer has."""
        return get(line=b"GET /probe-%d HTTP/1.1" % number), f"/probe-{number}"

    def _ask_health(self, stop: threading.Event, waits: list[float]) -> None:
        while not stop.wait(0.1):
            begin = time.monotonic()
            status = self.running.get("/v2/health/ready").status
            waits.append(time.monotonic() - begin if status == 200 else float("inf"))

    def _memory(self, name: str) -> int:
        """Return a figure of the process in KiB."""
        found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{self.running.process.pid}/status").read_text())
        assert found
        return int(found[1])

    def _reset_peak(self) -> None:
        Path(f"/proc/{self.running.process.pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM
