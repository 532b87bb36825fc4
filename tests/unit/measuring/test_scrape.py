"""The scraper against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelmill.kube.objects import Key
from modelmill.measuring import scrape
from modelmill.measuring.samples import Sample
from modelmill.measuring.scrape import Scraper
from tests.support.expositions import PAGE

CARS = Key("ml", "cars")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[Scraper]]


def pod(address: str | None = "127.0.0.1", uid: str = "u") -> dict[str, Any]:
    return {"metadata": {"name": "p", "uid": uid}, "status": {"podIP": address} if address else {}}


async def answers(scraper: Scraper, *pods: dict[str, Any], key: Key = CARS) -> Mapping[str, Sample]:
    """Ask until there is an answer, as the operator does."""
    async with asyncio.timeout(30):
        while True:
            counted = await scraper.counted(key, pods)
            if counted is not None:
                return counted
            await asyncio.sleep(0.02)


async def page(request: web.Request) -> web.StreamResponse:
    return web.Response(text=PAGE)


@pytest.fixture
async def serve(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """Start servers on loopback, whose addresses are taken for those of pods here."""
    monkeypatch.setattr(scrape, "host_of", lambda one: one["status"].get("podIP"))
    opened: list[Any] = []

    async def start(handler: Handler) -> Scraper:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        server = TestServer(app)
        await server.start_server()
        scraper = Scraper(server.port or 0)
        opened.extend((scraper, server))
        return scraper

    yield start
    for one in opened:
        await one.close()


async def test_page_that_comes_in_pieces_is_read_to_its_end(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in PAGE.splitlines(keepends=True):
            await response.write(line.encode())
            await asyncio.sleep(0)
        await response.write(b"# padding\n" * 20_000)
        await response.write(b'modelmill_requests_total{code="503"} 2\n')
        return response

    counted = await answers(await serve(handler), pod())
    assert counted["u"].codes == {"200": 7.0, "500": 1.0, "503": 2.0}


@pytest.mark.parametrize(
    "answer",
    [
        (500, "down"),
        (200, "modelmill_requests_total{ broken\n"),
        (200, f'modelmill_requests_total{{code="200"}} {"9" * 4000}\n'),
        (200, 'modelmill_requests_total{code="200"} 1e300\n'),
        (200, 'modelmill_requests_total{code="200"} 1e308\nmodelmill_requests_total{code="500"} 1e308\n'),
        (204, ""),
    ],
    ids=["500", "broken", "digits", "1e300", "sum", "204"],
)
async def test_pod_with_a_bad_answer_is_left_out(serve: Serve, answer: tuple[int, str]) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=answer[0], text=answer[1])

    assert await answers(await serve(handler), pod()) == {}


async def test_whatever_reading_a_pod_raises_concerns_that_pod_only(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that reads a stranger's bytes may raise anything."""
    asked = []

    def fragile(text: str) -> Sample:
        asked.append(text)
        if len(asked) == 1:
            raise OverflowError
        return Sample()

    monkeypatch.setattr(scrape, "parse", fragile)
    assert len(await answers(await serve(page), pod(uid="a"), pod(uid="b"))) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(serve: Serve, status: int) -> None:
    asked = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/elsewhere":
            return web.Response(text=PAGE)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    assert await answers(await serve(handler), pod()) == {}
    assert asked == ["/metrics"]


async def test_page_that_is_too_long_is_left_out(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "MAX_BYTES", 10_000)

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=PAGE + "# padding\n" * 2_000)

    assert await answers(await serve(handler), pod()) == {}


async def test_compressed_page_is_not_unpacked(serve: Serve) -> None:
    """A few kilobytes may unpack to gigabytes."""
    packed = zlib.compress(PAGE.encode() + b"# padding\n" * 100_000)

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "deflate"})

    assert await answers(await serve(handler), pod()) == {}


async def test_pod_that_is_gone_or_has_no_address_is_left_out(serve: Serve) -> None:
    scraper = await serve(page)
    assert await answers(scraper, pod(None)) == {}
    assert await answers(scraper) == {}
    refused = Scraper(1)
    assert await answers(refused, pod()) == {}
    await refused.close()


@pytest.mark.parametrize(
    ("status", "host"),
    [
        ({"podIP": "10.244.0.9", "hostIP": "172.30.0.1"}, "10.244.0.9"),
        ({"podIP": "fd00::9", "hostIP": "fd00::1"}, "[fd00::9]"),
        ({"podIP": "172.30.0.1", "hostIP": "172.30.0.1"}, None),
        ({"podIP": "fd00::1", "hostIP": "172.30.0.1", "hostIPs": [{"ip": "172.30.0.1"}, {"ip": "fd00::1"}]}, None),
        ({"podIP": "127.0.0.1"}, None),
        ({"podIP": "::1"}, None),
        ({"podIP": "::ffff:127.0.0.1"}, None),
        ({"podIP": "::ffff:a9fe:a9fe"}, None),
        ({"podIP": "169.254.169.254"}, None),
        ({"podIP": "fe80::1"}, None),
        ({"podIP": "224.0.0.1"}, None),
        ({"podIP": "0.0.0.0"}, None),
        ({"podIP": "kubernetes.default.svc"}, None),
        ({"podIP": "10.0.0.1@10.0.0.2"}, None),
        ({"podIP": ""}, None),
        ({}, None),
    ],
)
def test_only_an_address_that_a_pod_has_for_itself_is_asked(status: dict[str, Any], host: str | None) -> None:
    assert scrape.host_of({"metadata": {"name": "p"}, "status": status}) == host


async def test_a_pod_without_an_address_of_its_own_is_never_asked() -> None:
    asked = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(text=PAGE)

    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with TestServer(app) as server:
        scraper = Scraper(server.port or 0)
        assert await answers(scraper, pod("127.0.0.1")) == {}
        await scraper.close()
    assert asked == []


async def test_pods_are_told_apart(serve: Serve) -> None:
    counted = await answers(await serve(page), *(pod(uid=f"u{i}") for i in range(30)))
    assert sorted(counted) == sorted(f"u{i}" for i in range(30))


async def test_slow_pods_cost_their_own_namespace_only(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred pods that never answer, and another tenant's pod; nobody waits for the hundred."""
    monkeypatch.setattr(scrape, "POD_SECONDS", 60.0)
    monkeypatch.setattr(scrape, "ALL_SECONDS", 60.0)
    stuck, asked = asyncio.Event(), iter(range(1000))

    async def handler(request: web.Request) -> web.StreamResponse:
        if next(asked) < scrape.SLOTS:
            await stuck.wait()
        return web.Response(text=PAGE)

    scraper = await serve(handler)
    slow = [pod(uid=f"s{i}") for i in range(100)]
    assert await scraper.counted(Key("hostile", "one"), slow) is None
    assert await scraper.counted(Key("hostile", "two"), slow) is None
    assert set(await answers(scraper, pod())) == {"u"}
    assert await scraper.counted(Key("hostile", "one"), slow) is None
    stuck.set()
    assert len(await answers(scraper, *slow, key=Key("hostile", "one"))) == 100


async def test_pods_that_were_not_heard_in_time_did_not_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "ALL_SECONDS", 0.5)

    asked = iter(range(1000))

    async def handler(request: web.Request) -> web.StreamResponse:
        if next(asked) == 0:
            await asyncio.sleep(60)
        return web.Response(text=PAGE)

    assert len(await answers(await serve(handler), pod(uid="a"), pod(uid="b"))) == 1


async def test_the_loop_goes_on_while_a_page_is_parsed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    turned, parsed = threading.Event(), []

    def slowly(text: str) -> Sample:
        parsed.append(turned.wait(30))
        return Sample()

    monkeypatch.setattr(scrape, "parse", slowly)
    scraper = await serve(page)
    assert await scraper.counted(CARS, [pod()]) is None
    turned.set()
    assert await answers(scraper, pod()) == {"u": Sample()}
    assert parsed == [True]


async def test_question_that_nobody_comes_back_for_is_given_up(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response(text=PAGE)

    scraper = await serve(handler)
    assert await scraper.counted(CARS, [pod()]) is None
    scraper.forget(CARS)
    await asyncio.sleep(0.1)
    assert not scraper._questions._asked
    assert not scraper._questions._late
