from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import ClientSession, web

from modelmill.engine.health import MAX_BODY, MAX_CLOSED, MAX_LAG, Health, serve


async def _text(response: web.StreamResponse) -> tuple[int, str]:
    assert isinstance(response, web.Response)
    return response.status, response.text or ""


async def test_health_is_the_event_loop_and_the_streams() -> None:
    seconds = [0.0]
    closed = [0.0]
    health = Health(clock=lambda: seconds[0])
    health.closed_seconds = lambda: closed[0]
    request: web.Request = None  # type: ignore[assignment]  # the probes do not look at it
    assert await _text(await health.healthz(request)) == (200, "ok\n")
    seconds[0] = MAX_LAG + 2
    assert await _text(await health.healthz(request)) == (500, f"the event loop lagged {MAX_LAG + 1:.0f} s\n")
    seconds[0] = 0.0
    closed[0] = MAX_CLOSED + 1
    assert (await _text(await health.healthz(request)))[0] == 500


async def test_readiness_is_what_the_process_says() -> None:
    health = Health()
    request: web.Request = None  # type: ignore[assignment]
    assert (await health.readyz(request)).status == 503
    health.ready = lambda: True
    assert await _text(await health.readyz(request)) == (200, "ok\n")
    health.unwatched = lambda: ["pods is not watched: 403"]
    assert await _text(await health.readyz(request)) == (200, "ok\npods is not watched: 403\n")


async def test_the_server_has_probes_metrics_and_added_routes_and_refuses_large_bodies(unused_tcp_port: int) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    runner = await serve(Health(), unused_tcp_port, [("POST", "/alerts", echo)])
    async with ClientSession(f"http://127.0.0.1:{unused_tcp_port}") as client:
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/readyz")).status == 503
        assert "modelmill_workqueue_depth" in await (await client.get("/metrics")).text()
        assert await (await client.post("/alerts", data=b"x")).read() == b"x"
        assert (await client.post("/alerts", data=b"x" * (MAX_BODY + 1))).status == 413
    await runner.cleanup()


async def _answer(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(30):
        line = await reader.readline()
        await reader.read()
    writer.close()
    return line


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", b"400"),
        (b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", b"404"),
        (b"POST /alerts HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", b"500"),
    ],
    ids=["header", "url", "long", "http2", "chunk", "unread-body", "body"],
)
async def test_what_a_caller_does_wrong_is_not_logged(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture, request_bytes: bytes, status: bytes
) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    runner = await serve(Health(), unused_tcp_port, [("POST", "/alerts", echo)])
    assert (await _answer(unused_tcp_port, request_bytes)).split()[1] == status
    await runner.cleanup()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_what_a_handler_does_wrong_is_logged_with_its_trace(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: web.Request) -> web.Response:
        raise KeyError("ours")

    runner = await serve(Health(), unused_tcp_port, [("POST", "/alerts", broken)])
    request = b"POST /alerts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert (await _answer(unused_tcp_port, request)).split()[1] == b"500"
    await runner.cleanup()
    assert "KeyError: 'ours'" in caplog.text
