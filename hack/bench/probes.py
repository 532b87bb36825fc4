"""How long the operator's event loop stalls, as whoever probes it sees it."""

from __future__ import annotations

import threading
import time
import urllib.request

from hack.bench.results import percentile

EVERY_SECONDS = 0.1


class Probes:
    """GET /healthz ten times a second, in a thread, until `stop`. One probe at a time: what comes in a stall waits with it."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/healthz"
        self._milliseconds: list[float] = []
        self._failed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            began = time.monotonic()
            try:
                with urllib.request.urlopen(self._url, timeout=60) as answer:
                    answer.read()
            except OSError:
                # Before the first answer the process has not begun to listen.
                self._failed += bool(self._milliseconds)
            else:
                self._milliseconds.append(1000 * (time.monotonic() - began))

    def stop(self) -> str:
        """End, and return median, p99 and longest in ms, and how many failed."""
        self._stop.set()
        self._thread.join()
        found = self._milliseconds
        middle, p99 = (percentile(found, share) for share in (0.5, 0.99))
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{middle:.0f} / {p99:.0f} / {max(found, default=float('nan')):.0f} ms{failed}"
