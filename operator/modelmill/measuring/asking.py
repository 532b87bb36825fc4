"""Questions to other programs that are asked in the background, so that a late answer keeps nobody waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import aiohttp

from modelmill.kube.objects import Key

T = TypeVar("T")
PATIENCE_SECONDS = 0.25
"""Longest time that a caller waits for an answer; a healthy program answers in milliseconds."""


class Questions(Generic[T]):
    """One question at a time for each object."""

    def __init__(self) -> None:
        self._asked: dict[Key, asyncio.Task[T]] = {}
        self._late: Counter[str] = Counter()

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

    def close(self) -> None:
        """Give all questions up."""
        for key in list(self._asked):
            self.forget(key)

    def _in_time(self, namespace: str) -> None:
        self._late[namespace] -= 1
        if not self._late[namespace]:
            del self._late[namespace]


def plain_session(seconds: float, connections: int) -> aiohttp.ClientSession:
    """Return a session for programs that are not trusted. seconds: longest time of a request.

    No proxy stands between, none is told what another one said, and nothing is unpacked.
    """
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=seconds),
        trust_env=False,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=connections, force_close=True),
    )
