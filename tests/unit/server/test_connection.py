"""A connection without a socket: what it gives back when it ends."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from modelmill_server.http.connections import ConnectionBounds, Connections
from modelmill_server.http.messages import CLIENT_LEFT, Answer, Request

LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
OFFER = b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
HALF = b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"


class Handler:
    draining = False

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.left: list[tuple[str, int]] = []

    def handle(self, request: Request) -> Answer:
        self.seen.append(request.path)
        return 200, b"", []

    def refused(self, request: Request, status: int) -> None:
        self.left.append((request.path, status))


class Transport:
    """Takes everything at once."""

    def __init__(self) -> None:
        self.sent = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.closing = True

    def write_eof(self) -> None:
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


def test_first_of_too_many_connections_is_refused_in_words() -> None:
    connections = Connections(Handler(), ConnectionBounds(100, 1.0, 1.0, connections=1))
    transports = [Transport(), Transport()]
    kept = []
    for transport in transports:
        kept.append(connections.make())
        kept[-1].connection_made(transport)
    assert transports[0].sent == b""
    assert transports[1].sent.startswith(b"HTTP/1.1 503")
    assert b'{"error":"too many connections at once' in transports[1].sent
