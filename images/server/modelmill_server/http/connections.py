"""All connections of one server: their bounds, their clock, their end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, replace
from email.utils import formatdate

from modelmill_server.http.budget import ByteBudget
from modelmill_server.http.connection import NEVER, Connection
from modelmill_server.http.messages import Handler

ENDED_AT_ONCE = 64  # a part of so much of all connections is ended when there is no place for another


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """Bounds of connections.

    body_bytes: of a request's body. body_seconds: for a body to arrive, and for a client to take a part of its answers.
    idle_seconds: for the head of the next request, idle time included. connections: at once. held_bytes: of unanswered
    requests, of all connections together; a body that cannot fit in them is too large.
    """

    body_bytes: int
    body_seconds: float
    idle_seconds: float
    connections: int = 8192
    held_bytes: int = 256 * 1024 * 1024


class Connections:
    """All connections of one server. `sweep` is to be called about once a second."""

    def __init__(self, handler: Handler, bounds: ConnectionBounds) -> None:
        self.handler = handler
        self.budget = ByteBudget(bounds.held_bytes)
        self.bounds = replace(bounds, body_bytes=min(bounds.body_bytes, self.budget.largest))
        self.open: set[Connection] = set()
        self.closing = False
        self._date = b""
        self._date_second = 0

    def make(self) -> Connection:
        """Return the protocol of a new connection (a factory for `loop.create_server`)."""
        return Connection(self)

    def admit(self, new: Connection) -> bool:
        """Take note of a new connection, and return whether there is a place for it; if not, it is to end itself."""
        full = len(self.open) >= self.bounds.connections and not self._make_room()
        self.open.add(new)
        return not full

    def _make_room(self) -> bool:
        """End some connections whose clients owe something, and return whether there were any.

        First go those of the address that has most, so that one client cannot take the places of the others; there is no
        bound for each address, because behind one proxy, or one node's address, may be all clients. Among them, first go those
        without a request, then those that are nearest to the end of their time.
        """
        owing = [connection for connection in self.open if connection.deadline < NEVER]
        places = Counter(connection.address for connection in owing)
        owing.sort(key=lambda one: (-places[one.address], one.in_request, one.deadline))
        ended = owing[: 1 + self.bounds.connections // ENDED_AT_ONCE]
        for connection in ended:
            connection.abort()
            self.open.discard(connection)
        return bool(ended)

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
