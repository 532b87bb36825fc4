"""A keyed work queue: the one guarantee everything rests on is that a key is never worked on twice at the same time."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from modelmill.engine import metrics
from modelmill.engine.errors import PASSES_BY_ITSELF, ApiError

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST = 1.0
BACKOFF_LAST = 300.0
BACKOFF_PASSING = 30.0
"""Longest wait in seconds after an error of `errors.PASSES_BY_ITSELF`: an API server that comes back is used soon."""


def backoff(failures: int, at_least: float = 0.0, at_most: float = BACKOFF_LAST, jitter: float = 0.0) -> float:
    """Return the seconds to wait after so many failures in a row before this one.

    1 s, doubled with each up to `at_most`, shortened by up to a half (jitter: from 0 to 1), and no less than `at_least`.
    """
    return max(min(BACKOFF_FIRST * 2.0 ** min(failures, 20), at_most) * (1 - jitter / 2), at_least)


def bounds(error: Exception) -> tuple[float, float]:
    """Return the shortest and the longest wait in seconds after an error."""
    at_least = (error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0
    return at_least, BACKOFF_PASSING if isinstance(error, PASSES_BY_ITSELF) else BACKOFF_LAST


class WorkQueue(Generic[K]):
    """Keys that wait for work.

    A key added while it waits is one key. A key added while it is worked on waits until `done`, then once more. Delayed keys
    have one timer each: the latest delay counts. Times are the event loop's, so that tests can inject them.
    """

    def __init__(self, name: str, jitter: Callable[[], float] = random.random) -> None:
        self._adds, self._depth = metrics.QUEUE_ADDS.labels(name), metrics.QUEUE_DEPTH.labels(name)
        self._seconds, self._retries = metrics.QUEUE_SECONDS.labels(name), metrics.QUEUE_RETRIES.labels(name)
        self._work_seconds = metrics.WORK_SECONDS.labels(name)
        metrics.UNFINISHED_SECONDS.labels(name).set_function(lambda: sum(self._ages()))
        metrics.LONGEST_SECONDS.labels(name).set_function(lambda: max(self._ages(), default=0.0))
        self._jitter = jitter
        self._ready: deque[K] = deque()
        self._waiting: dict[K, float] = {}
        self._working: dict[K, float] = {}
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._paused_until: dict[K, float] = {}
        self._sleepers: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def busy(self) -> bool:
        """Whether a key waits or is worked on."""
        return bool(self._ready or self._working)

    def add(self, key: K) -> None:
        """Let the key be worked on as soon as possible: at once, or at the end of its pause."""
        if key in self._working:
            self._again.add(key)
            return
        if key in self._waiting or self._waits_for_pause(key):
            return
        self._waiting[key] = asyncio.get_running_loop().time()
        self._ready.append(key)
        self._adds.inc()
        self._depth.set(len(self._ready))
        self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """Let the key be worked on after a delay; replaces an earlier delay of the key."""
        self.cancel_timer(key)
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(seconds, self._fire, key)

    def cancel_timer(self, key: K) -> None:
        """Forget the delay of the key, if it has one."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def retry(self, key: K, at_least: float = 0.0, at_most: float = BACKOFF_LAST, pause: float = 0.0) -> float:
        """Let a key that failed be worked on again after its backoff; return the seconds.

        See `backoff`. pause: for how many seconds it is not worked on even when it is added.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = backoff(failures, at_least, at_most, self._jitter())
        self._retries.inc()
        self.add_after(key, delay)
        if pause > 0:
            self._paused_until[key] = asyncio.get_running_loop().time() + min(pause, delay)
        return delay

    def forget(self, key: K) -> None:
        """End the row of failures of the key, and its pause."""
        self._failures.pop(key, None)
        self._paused_until.pop(key, None)

    def _waits_for_pause(self, key: K) -> bool:
        """Tell whether the key is paused; its timer is then no later than the pause's end."""
        until = self._paused_until.get(key)
        if until is None:
            return False
        wait = until - asyncio.get_running_loop().time()
        if wait <= 0:
            del self._paused_until[key]
            return False
        timer = self._timers.get(key)
        if timer is None or timer.when() > until:
            self.add_after(key, wait)
        return True

    async def get(self) -> K:
        """Return the next key, to be given back with `done`."""
        while not self._ready:
            await self._sleep()
        key = self._ready.popleft()
        since = self._waiting.pop(key)
        now = asyncio.get_running_loop().time()
        self._working[key] = now
        self._depth.set(len(self._ready))
        self._seconds.observe(now - since)
        return key

    def done(self, key: K) -> None:
        """Give the key back; it waits again when it was added meanwhile."""
        began = self._working.pop(key)
        self._work_seconds.observe(asyncio.get_running_loop().time() - began)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _wake_one(self) -> None:
        """Wake one worker for one key: the others would find nothing, and there are many."""
        while self._sleepers:
            sleeper = self._sleepers.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                break

    async def _sleep(self) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append(sleeper)
        try:
            await sleeper
        except asyncio.CancelledError:
            # Woken and cancelled at once: the key is another's.
            if sleeper.done() and not sleeper.cancelled() and self._ready:
                self._wake_one()
            raise

    def _ages(self) -> list[float]:
        now = asyncio.get_running_loop().time() if self._working else 0.0
        return [now - began for began in self._working.values()]

    def _fire(self, key: K) -> None:
        self._timers.pop(key, None)
        self._paused_until.pop(key, None)
        self.add(key)
