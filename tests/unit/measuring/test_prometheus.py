"""Queries to a Prometheus server, in whose place a real HTTP server on loopback answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from modelmill.kube.objects import Key
from modelmill.measuring import prometheus
from modelmill.measuring.prometheus import MAX_BYTES, Answer, Prometheus, Server, read

CARS = Key("ml", "cars")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def vector(*values: Any) -> dict[str, Any]:
    result = [{"metric": {"i": str(i)}, "value": [1.0, value]} for i, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@pytest.mark.parametrize(
    ("told", "value"),
    [
        (vector("0.25"), 0.25),
        (vector("+Inf"), float("inf")),
        (vector("NaN"), None),
        (vector(), None),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1, "3"]}}, 3.0),
    ],
)
def test_one_number_is_read(told: Any, value: float | None) -> None:
    assert read(json.dumps(told).encode()) == Answer(value)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (vector("1", "2"), "2 series: aggregate"),
        (
            {"status": "error", "errorType": "bad_data", "error": "parse error at char 3" + "x" * 999},
            "parse error at char 3",
        ),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "gives a matrix"),
        ({"status": "success"}, "no number"),
        (vector(5), "no pair"),
        (vector("many"), "no number"),
        ([], "no object"),
    ],
)
def test_what_is_no_number_is_told(told: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        read(json.dumps(told).encode())
    assert len(str(raised.value)) < 300


@given(
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.text(max_size=5),
        lambda more: (
            st.lists(more, max_size=3)
            | st.dictionaries(
                st.sampled_from(["status", "data", "resultType", "result", "value"]),
                more | st.sampled_from(["success", "vector", "scalar"]),
            )
        ),
    ).map(lambda told: json.dumps(told).encode())
)
def test_any_body_is_an_answer_or_refused(body: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(read(body), Answer)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Prometheus]]]:
    opened: list[Any] = []

    async def start(handler: Handler, parameter: str = "") -> Prometheus:
        app = web.Application()
        app.router.add_get("/base/api/v1/query", handler)
        server = TestServer(app)
        await server.start_server()
        asked = Prometheus(Server(f"http://127.0.0.1:{server.port}/base", parameter))
        opened.extend((asked, server))
        return asked

    yield start
    for one in opened:
        await one.close()


async def answered(asked: Prometheus, *queries: str) -> list[Answer]:
    async with asyncio.timeout(30):
        while True:
            found = await asked.answers(CARS, queries)
            if found is not None:
                return [found[query] for query in queries]
            await asyncio.sleep(0.02)


async def test_each_query_has_its_answer_and_the_namespace_is_told(serve: Callable[..., Awaitable[Prometheus]]) -> None:
    seen: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(dict(request.query))
        return web.json_response(vector("1" if request.query["query"] == 'a{b="c&namespace=x"}' else "2"))

    asked = await serve(handler, "namespace")
    assert await answered(asked, 'a{b="c&namespace=x"}', "b") == [Answer(1.0), Answer(2.0)]
    assert {one["namespace"] for one in seen} == {"ml"}


async def test_redirects_long_bodies_faults_and_silence_are_errors(
    serve: Callable[..., Awaitable[Prometheus]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "QUERY_SECONDS", 0.5)

    async def handler(request: web.Request) -> web.StreamResponse:
        match request.query["query"]:
            case "redirect":
                raise web.HTTPFound("/base/api/v1/query?query=fine")
            case "long":
                return web.Response(body=b"x" * (MAX_BYTES + 1))
            case "broken":
                return web.Response(status=503)
            case "bad":
                return web.json_response({"status": "error", "error": "unknown function"}, status=400)
            case "silent":
                await asyncio.sleep(5)
        return web.json_response(vector("1"))

    asked = await serve(handler)
    words = ["status 302", "more than", "status 503", "unknown function", "does not answer: TimeoutError"]
    found = await answered(asked, "redirect", "long", "broken", "bad", "silent", "fine")
    assert [word in answer.error for word, answer in zip(words, found, strict=False)] == [True] * 5
    assert found[-1] == Answer(1.0)


async def test_a_server_that_is_away_is_an_error() -> None:
    asked = Prometheus(Server("http://127.0.0.1:1"))
    (answer,) = await answered(asked, "up")
    assert "does not answer" in answer.error
    await asked.close()


async def test_without_a_server_the_setting_is_named() -> None:
    (answer,) = await answered(Prometheus(Server()), "up")
    assert "analysis.prometheus.url" in answer.error
    assert await Prometheus(Server()).answers(CARS, []) == {}
