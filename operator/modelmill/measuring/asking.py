"""Questions to other programs that are asked in the background, so that a late answer keeps nobody waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import aiohttp

from modelmill.kube.objects import Key

T = TypeVar("T")
PATIENCE_SECONDS = 0.25
"""Longest time that a caller waits for an answer; a healthy program answers in milliseconds."""


class Questions(Generic[T]):
    """One question at a time for each object, over one session to programs that are not trusted.

    seconds: longest time of a request. connections: open at once. slots: requests of one namespace that are under way at once.
    """

    def __init__(self, seconds: float, connections: int, slots: int) -> None:
        self._seconds, self._connections, self._most = seconds, connections, slots
        self._session: aiohttp.ClientSession | None = None
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._asked: dict[Key, asyncio.Task[T]] = {}
        self._late: Counter[str] = Counter()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session: no proxy stands between, none is told what another one said, and nothing is unpacked."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._seconds),
                trust_env=False,
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=self._connections, force_close=True),
            )
        return self._session

    def slots(self, namespace: str) -> asyncio.Semaphore:
        """Return the slots of a namespace, which whoever asks for it takes and gives back."""
        slots = self._slots.get(namespace)
        if slots is None:
            slots = self._slots[namespace] = asyncio.Semaphore(self._most)
        return slots

    async def answer(self, key: Key, ask: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Return what `ask` returns; None while that is not there: call again with the same key.

        A caller holds a worker that all tenants share. So it waits for PATIENCE_SECONDS at most, and not at all while
        another question of its namespace is late.
        """
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = asyncio.create_task(ask())
            if not self._late[key.namespace]:
                await asyncio.wait([asked], timeout=PATIENCE_SECONDS)
            if not asked.done():
                self._late[key.namespace] += 1
                asked.add_done_callback(lambda _: self._in_time(key.namespace))
        if not asked.done():
            return None
        self._asked.pop(key, None)
        return asked.result()

    def forget(self, key: Key) -> None:
        """Give a question up that nobody will come back for."""
        asked = self._asked.pop(key, None)
        if asked is not None:
            asked.cancel()

    async def close(self) -> None:
        """Give all questions up and close the connections."""
        for key in list(self._asked):
            self.forget(key)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _in_time(self, namespace: str) -> None:
        self._late[namespace] -= 1
        if not self._late[namespace]:
            del self._late[namespace]
