"""The scraper against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelmill.serving import scrape
from modelmill.serving.scrape import Scraper, parse

INF = float("inf")
TEXT = """# HELP modelmill_requests_total Finished inference requests by HTTP status code.
# TYPE modelmill_requests_total counter
modelmill_requests_total{model_name="m",model_version="v",code="200"} 7
modelmill_requests_total{model_name="m",model_version="v",code="500"} 1
# TYPE modelmill_request_duration_seconds histogram
modelmill_request_duration_seconds_bucket{model_name="m",le="0.1"} 6
modelmill_request_duration_seconds_bucket{model_name="m",le="+Inf"} 8
modelmill_request_duration_seconds_count{model_name="m"} 8
modelmill_request_duration_seconds_sum{model_name="m"} 1.5
modelmill_feature_bin_total{feature="a \\"b\\" {c}",bin="0"} 3
"""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[Scraper]]


def pod(address: str | None = "127.0.0.1") -> dict[str, Any]:
    return {"metadata": {"name": "p", "uid": "u"}, "status": {"podIP": address} if address else {}}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    opened: list[Any] = []

    async def start(handler: Handler) -> Scraper:
        app = web.Application()
        app.router.add_get("/metrics", handler)
        server = TestServer(app)
        await server.start_server()
        scraper = Scraper(server.port or 0)
        opened.extend((scraper, server))
        return scraper

    yield start
    for one in opened:
        await one.close()


def test_exposition_is_read() -> None:
    sample = parse(TEXT)
    assert sample.codes == {"200": 7.0, "500": 1.0}
    assert sample.buckets == {0.1: 6.0, INF: 8.0}


def test_pod_without_requests_counts_nothing() -> None:
    assert parse("").requests == 0


def test_malformed_line_is_refused() -> None:
    with pytest.raises(ValueError, match="many"):
        parse('modelmill_requests_total{code="200"} many\n')


async def test_page_that_comes_in_pieces_is_read_to_its_end(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in TEXT.splitlines(keepends=True):
            await response.write(line.encode())
            await asyncio.sleep(0)
        await response.write(b"# padding\n" * 20_000)
        await response.write(b'modelmill_requests_total{code="503"} 2\n')
        return response

    scraper = await serve(handler)
    counted = await scraper.samples([pod()])
    assert counted["u"].codes == {"200": 7.0, "500": 1.0, "503": 2.0}


@pytest.mark.parametrize("answer", [(500, "down"), (200, "modelmill_requests_total{ broken\n")])
async def test_pod_with_a_bad_answer_is_left_out(serve: Serve, answer: tuple[int, str]) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=answer[0], text=answer[1])

    assert await (await serve(handler)).samples([pod()]) == {}


async def test_endless_page_is_left_out(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "MAX_BYTES", 10_000)

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text="# padding\n" * 2_000)

    assert await (await serve(handler)).samples([pod()]) == {}


async def test_pod_that_is_gone_or_has_no_address_is_left_out(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=TEXT)

    scraper = await serve(handler)
    assert await scraper.samples([pod(None)]) == {}
    assert await Scraper(1).samples([]) == {}
    refused = Scraper(1)
    assert await refused.samples([pod()]) == {}
    await refused.close()


async def test_ten_pods_are_asked_at_once_and_told_apart(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=TEXT)

    scraper = await serve(handler)
    pods = [{**pod(), "metadata": {"name": f"p{i}", "uid": f"u{i}"}} for i in range(10)]
    counted = await scraper.samples(pods)
    assert sorted(counted) == sorted(f"u{i}" for i in range(10))
