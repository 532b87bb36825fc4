"""Which inference requests are let in, and how many are being answered. Belongs to the event loop."""

from __future__ import annotations

import time

from modelmill_server.telemetry.counters import Monitor

TOO_MANY = "too many requests at once; try again later"


class Admission:
    """Counts inference requests in and out. running: those that are being answered. last_request: when the last one came, by
    time.perf_counter.
    """

    def __init__(self, most: int) -> None:
        """most: how many may be answered at once."""
        self._most = most
        self._monitor: Monitor | None = None
        self.running = 0
        self.last_request = 0.0

    def attach(self, monitor: Monitor) -> None:
        """Count in this monitor what ends from now on."""
        self._monitor = monitor
        monitor.in_progress = lambda: self.running

    def begin(self) -> bool:
        """Take note that a request has come, and return whether it is let in."""
        self.last_request = time.perf_counter()
        if self.running >= self._most:
            return False
        self.running += 1
        return True

    def end(self, begin: float, status: int) -> None:
        """Count a request that was let in and is answered. begin: when it came, by time.perf_counter."""
        assert self._monitor is not None
        self.running -= 1
        self._monitor.observe(status, time.perf_counter() - begin)

    def refuse(self, begin: float, status: int) -> None:
        """Count a request that was not let in, or whose body did not come."""
        if self._monitor is not None:
            self._monitor.observe(status, time.perf_counter() - begin)
