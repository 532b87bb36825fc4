"""Bounds on the connections to the operator's port: how many there are and how long one lives, whoever opens them.

Probes come by the same port, so that whoever could keep it busy could have the operator killed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

MAX_CONNECTIONS = 256
LIFE_SECONDS = 15.0
"""After this a connection is closed as soon as it answers nothing, and after twice this whatever it does."""
LOOK_SECONDS = 1.0


class Bounds:
    """Closes connections of a server: those that live too long, and the oldest ones when there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[RequestHandler, float] = {}

    def look(self, server: web.Server) -> None:
        """Close what is to be closed now."""
        now = self._clock()
        open_now = server.connections
        self._since = {one: self._since.get(one, now) for one in open_now}
        for one in open_now[: max(len(open_now) - MAX_CONNECTIONS, 0)]:
            one.force_close()
        for one, since in self._since.items():
            if now - since >= 2 * LIFE_SECONDS:
                one.force_close()
            elif now - since >= LIFE_SECONDS:
                one.close()

    async def keep(self, server: Callable[[], web.Server | None]) -> None:
        """Look once a second, for ever. server: there is none before the runner has started."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            running = server()
            if running is not None:
                self.look(running)
