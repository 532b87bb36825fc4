"""A connection without a socket: what it gives back when it ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest

from modelmill_server.http.connection import Connection
from modelmill_server.http.connections import ConnectionBounds, Connections
from modelmill_server.http.messages import CLIENT_LEFT, Answer, Request

LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
OFFER = b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
POST = b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
HALF = b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"


class Handler:
    draining = False

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.left: list[tuple[str, int]] = []

    def handle(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        self.seen.append(request.path)
        return 200, b"", []

    def refused(self, request: Request, status: int) -> None:
        self.left.append((request.path, status))


class Transport:
    """Takes everything at once."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.address = address
        self.high = 64 * 1024
        self.sent = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def get_extra_info(self, name: str) -> Any:
        return (self.address, 1)

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.fixture
def without_collector() -> Any:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "received", [b"", LIVE, LIVE * 3, OFFER, OFFER * 2 + LIVE, HALF, b"nonsense\r\n\r\n", LIVE[:9]]
)
def test_connection_that_ended_is_freed_at_once(without_collector: None, received: bytes) -> None:
    handler = Handler()
    connections = Connections(handler, ConnectionBounds(100, 1.0, 1.0))
    connection = connections.make()
    connection.connection_made(Transport())
    connection.data_received(received)
    connection.connection_lost(None)
    assert not connections.open
    assert handler.left == ([("/infer", CLIENT_LEFT)] if received == HALF else [])
    gone = weakref.ref(connection)
    del connection
    assert gone() is None


def test_answer_that_closes_is_the_last() -> None:
    handler, transport = Handler(), Transport()
    connections = Connections(handler, ConnectionBounds(100, 1.0, 1.0))
    connection = connections.make()
    connection.connection_made(transport)
    connection.data_received(LIVE.replace(b"Host: x", b"Host: x\r\nConnection: close") + LIVE)
    connection.data_received(LIVE)
    assert handler.seen == ["/live"]
    assert transport.sent.count(b"HTTP/1.1 200") == 1


def opened(connections: Connections, address: str = "192.0.2.1") -> tuple[Connection, Transport]:
    transport = Transport(address)
    connection = connections.make()
    connection.connection_made(transport)
    return connection, transport


class Working(Handler):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.done = asyncio.Event()

    def handle(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        return self._later() if request.method == "POST" else super().handle(request)

    async def _later(self) -> Answer:
        await self.done.wait()
        return 200, b"", []


async def test_first_of_too_many_connections_is_refused_in_words_where_all_others_work() -> None:
    handler = Working()
    connections = Connections(handler, ConnectionBounds(100, 1.0, 1.0, connections=1))
    working, first = opened(connections)
    working.data_received(POST)
    _, second = opened(connections)
    assert first.sent == b""
    assert second.sent.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in second.sent
    assert b'{"error":"too many connections at once' in second.sent
    handler.done.set()


def test_connection_that_waits_for_its_client_makes_room_for_a_new_one() -> None:
    """Most go of the address that has most; without a request first, then those that are nearest to their end."""
    connections = Connections(Handler(), ConnectionBounds(100, 30.0, 65.0, connections=6))
    upload, _ = opened(connections, "192.0.2.2")
    upload.data_received(HALF)
    half, _ = opened(connections, "192.0.2.2")
    half.data_received(LIVE[:9])
    others = [opened(connections, "192.0.2.2")[0] for _ in range(2)]
    one, _ = opened(connections, "192.0.2.3")
    two, _ = opened(connections, "192.0.2.3")
    ended = []
    for number in range(4):
        before = set(connections.open)
        _, transport = opened(connections, f"198.51.100.{number}")
        assert transport.sent == b""
        ended += before - connections.open
    assert ended[0] is half
    assert set(ended[1:3]) <= {*others, one, two}
    assert upload in connections.open


def test_offers_of_another_protocol_are_ignored_however_many() -> None:
    handler = Handler()
    connection, transport = opened(Connections(handler, ConnectionBounds(100, 1.0, 1.0)))
    connection.data_received(OFFER * 5000)
    assert transport.sent.count(b"HTTP/1.1 200") == 5000


async def settled(connections: Connections) -> None:
    """Wait until nothing is held."""
    async with asyncio.timeout(30):
        while connections.budget.held:  # noqa: ASYNC110 - nothing says so
            await asyncio.sleep(0)


def body_of(size: int) -> bytes:
    return b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size


@pytest.mark.parametrize("way_out", ["lost", "end of input", "time", "whole", "nonsense"])
def test_budget_of_bytes_is_given_back_on_every_way_out(way_out: str) -> None:
    connections = Connections(Handler(), ConnectionBounds(100_000, 30.0, 65.0, held_bytes=120_000))
    kept = []
    for _ in range(3):
        connection, transport = opened(connections)
        chunked = b"POST /infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7530\r\n"
        connection.data_received(body_of(30_000) if way_out == "whole" else chunked)
        connection.data_received(b"a" * 29_999)
        kept.append((connection, transport))
    assert [b" 503 " in transport.sent for _, transport in kept] == [False, False, True]
    assert 60_000 < connections.budget.held < 61_000
    late, refused = opened(connections)
    late.data_received(body_of(40_000))
    assert refused.sent.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in refused.sent
    small, answered = opened(connections)
    small.data_received(body_of(3))
    small.data_received(b"abc")
    assert answered.sent.startswith(b"HTTP/1.1 200")
    for connection, _ in kept:
        if way_out == "lost":
            connection.connection_lost(None)
        elif way_out == "end of input":
            connection.eof_received()
        elif way_out == "time":
            connection.expire()
        else:
            connection.data_received(b"a" if way_out == "whole" else b"aaaaa")
    assert connections.budget.held == 0


def test_body_that_can_never_fit_is_too_large() -> None:
    connections = Connections(Handler(), ConnectionBounds(1_000_000, 1.0, 1.0, held_bytes=40_000))
    connection, transport = opened(connections)
    connection.data_received(body_of(200_000))
    assert transport.sent.startswith(b"HTTP/1.1 413")
    assert b"larger than 30000 bytes" in transport.sent


def test_half_heads_are_bounded_together() -> None:
    connections = Connections(Handler(), ConnectionBounds(100, 1.0, 1.0, held_bytes=1_000_000))
    refused = 0
    for _ in range(100):
        connection, transport = opened(connections)
        connection.data_received(LIVE[:-2] + b"X: " + b"a" * 60_000)
        refused += transport.sent.startswith(b"HTTP/1.1 503")
    assert refused == 88
    assert connections.budget.held <= 750_000


async def test_requests_that_wait_and_those_that_are_worked_on_are_charged() -> None:
    handler = Working()
    connections = Connections(handler, ConnectionBounds(100_000, 1.0, 1.0, held_bytes=100_000))
    full = [opened(connections) for _ in range(2)]
    for connection, _ in full:
        connection.data_received((body_of(10_000) + b"a" * 10_000) * 5)
    assert connections.budget.held > 100_000
    others = [opened(connections) for _ in range(2)]
    for other, _ in others:
        other.data_received(POST)
    live, answered = opened(connections)
    live.data_received(LIVE)
    assert answered.sent.startswith(b"HTTP/1.1 200")
    assert [other.sent[:12] for _, other in others] == [b"HTTP/1.1 503"] * 2
    handler.done.set()
    await settled(connections)
    assert [transport.sent.count(b"HTTP/1.1 200") for _, transport in full] == [5, 5]


async def test_no_more_is_parsed_of_what_came_than_may_wait() -> None:
    handler = Working()
    connections = Connections(handler, ConnectionBounds(100, 1.0, 1.0))
    connection, transport = opened(connections)
    connection.data_received(POST + LIVE * 5000)
    assert handler.seen == []
    assert connections.budget.held < len(POST) + 5000 * len(LIVE) + 1
    connection.eof_received()
    handler.done.set()
    await settled(connections)
    assert transport.sent.count(b"HTTP/1.1 200") == 5001
    assert transport.closing


class Untaken(Transport):
    """Takes nothing until it is told to."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.unsent = 0

    def write(self, data: bytes) -> None:
        super().write(data)
        self.unsent += len(data)
        if self.unsent > self.high:
            self.connection.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def take(self) -> None:
        self.unsent = 0
        self.connection.resume_writing()


class Telling(Handler):
    """Answers with a long text."""

    def handle(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        return 200, b"a" * 60_000, []


async def test_answers_that_are_not_taken_are_charged() -> None:
    connections = Connections(Telling(), ConnectionBounds(100, 30.0, 65.0, held_bytes=400_000))
    full = []
    for _ in range(20):
        connection = connections.make()
        transport = Untaken(connection)
        connection.connection_made(transport)
        connection.data_received(LIVE * 5)
        full.append((connection, transport))
    assert [transport.sent[9:12] for _, transport in full] == [b"200"] * 4 + [b"503"] * 16
    assert 240_000 < connections.budget.held <= 300_000
    full[0][0].connection_lost(None)
    for connection, transport in full[1:4]:
        for _ in range(5):
            transport.take()
            await asyncio.sleep(0)
        assert transport.sent.count(b"HTTP/1.1 200") == 5
        assert connection.in_request is False
    assert connections.budget.held == 0
