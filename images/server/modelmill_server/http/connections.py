"""All connections of one server: their bounds, their clock, their end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from email.utils import formatdate

from modelmill_server.http.connection import Connection
from modelmill_server.http.messages import Handler


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """Bounds of connections.

    body_bytes: of a request's body. body_seconds: for a body to arrive, and for a client to take a part of its answers.
    idle_seconds: for the head of the next request, idle time included. connections: at once.
    """

    body_bytes: int
    body_seconds: float
    idle_seconds: float
    connections: int = 8192


class Connections:
    """All connections of one server. `sweep` is to be called about once a second."""

    def __init__(self, handler: Handler, bounds: ConnectionBounds) -> None:
        self.handler = handler
        self.bounds = bounds
        self.open: set[Connection] = set()
        self.closing = False
        self._date = b""
        self._date_second = 0

    def make(self) -> Connection:
        """Return the protocol of a new connection (a factory for `loop.create_server`)."""
        return Connection(self)

    def sweep(self) -> None:
        """End what takes too long."""
        now = time.monotonic()
        for connection in [connection for connection in self.open if connection.deadline < now]:
            connection.expire()

    def date(self) -> bytes:
        """Return the Date header."""
        second = int(time.time())
        if second != self._date_second:
            self._date_second = second
            self._date = b"date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        return self._date

    async def close(self, seconds: float) -> None:
        """Close connections between requests now, and the others when their request was answered, within `seconds`."""
        self.closing = True
        for connection in list(self.open):
            connection.close_soon()
        end = time.monotonic() + seconds
        while self.open and time.monotonic() < end:
            self.sweep()
            await asyncio.sleep(0.02)
        for connection in list(self.open):
            connection.abort()
