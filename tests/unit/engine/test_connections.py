"""Connections that are held open: what they cost those who ask for something."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from modelmill.engine import connections
from modelmill.engine.health import Health, serve

PATIENCE = 30
"""Seconds; a limit for hanging, no measurement."""


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of an operator whose connections live a quarter of a second."""
    monkeypatch.setattr(connections, "LIFE_SECONDS", 0.25)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async def late(request: web.Request) -> web.Response:
        await asyncio.sleep(0.4)
        return web.Response(text="late")

    runner = await serve(Health(), number, [("GET", "/endless", stream), ("GET", "/late", late)])
    yield number
    await runner.cleanup()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of a connection."""
    async with asyncio.timeout(PATIENCE):
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            return True
    return True


@pytest.mark.parametrize(
    "said", [b"", b"POST /alerts HTTP/1.1\r\nHost: x\r\n", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"]
)
async def test_a_connection_that_waits_is_closed(port: int, said: bytes) -> None:
    """It said nothing, a part of a head, or a request whose answer it has had."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    assert await ended(reader)
    writer.close()


async def test_an_answer_that_takes_its_time_is_given(port: int) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/late") as answer:
        assert await answer.text() == "late"


async def test_an_answer_that_nobody_reads_is_given_up(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await ended(reader)
    writer.close()


async def test_five_hundred_slow_connections_keep_no_probe_from_its_answer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LIFE_SECONDS", 600.0)
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(500)]
    for _, writer in slow:
        writer.write(b"POST /alerts HTTP/1.1\r\nHo")
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        for _ in range(3):
            async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
        oldest = [ended(reader) for reader, _ in slow[: 500 - connections.MAX_CONNECTIONS]]
        assert all(await asyncio.gather(*oldest))
    for _, writer in slow:
        writer.close()


class Connection:
    """Notes how it was asked to close."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def close(self) -> None:
        self.closed.append("when it answers nothing")

    def force_close(self) -> None:
        self.closed.append("now")


class Server:
    """Has the connections of a test."""

    def __init__(self, *connections: Connection) -> None:
        self.connections = list(connections)


def test_a_connection_is_asked_before_it_is_ended() -> None:
    moment = 0.0
    bounds, one = connections.Bounds(lambda: moment), Connection()
    server: Any = Server(one)
    bounds.look(server)
    moment = connections.LIFE_SECONDS - 0.1
    bounds.look(server)
    assert one.closed == []
    moment = connections.LIFE_SECONDS
    bounds.look(server)
    assert one.closed == ["when it answers nothing"]
    moment = 2 * connections.LIFE_SECONDS
    bounds.look(server)
    assert one.closed == ["when it answers nothing", "now"]


def test_of_too_many_connections_the_oldest_end() -> None:
    many = [Connection() for _ in range(connections.MAX_CONNECTIONS + 2)]
    server: Any = Server(*many)
    connections.Bounds(lambda: 0.0).look(server)
    assert [number for number, one in enumerate(many) if one.closed] == [0, 1]
