from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from yarl import URL

from modelmill.engine.client import Client
from modelmill.engine.interface import Watch
from modelmill.engine.login import Login
from modelmill.engine.unwatched import Unwatched
from modelmill.engine.watches import HOLD_SECONDS, Streams, build_registry
from modelmill.kube.resources import JOBS, PODS
from tests.support.virtual_time import now, run

LIST_JOBS, WATCH_JOBS = "/apis/batch/v1/jobs?limit=500", "/apis/batch/v1/jobs?watch=true&resourceVersion=7"
LIST_PODS, WATCH_PODS = "/api/v1/pods?labelSelector=a%3Db", "/api/v1/pods?watch=true&labelSelector=a%3Db"


class Requests:
    """Requests as kopf makes them through the middleware."""

    def __init__(self, *namespaces: str) -> None:
        self.relisted = 0
        self.seconds = 0.0
        self.unwatched = Unwatched(lambda: self.seconds)
        self.streams = Streams(
            [Watch(JOBS), Watch(PODS)], namespaces, self._relisted, self.unwatched, clock=lambda: self.seconds
        )

    def _relisted(self) -> None:
        self.relisted += 1

    async def send(self, path: str, *statuses: int) -> SimpleNamespace:
        """Send a request; `statuses` are what it is answered with as long as it is made again."""
        answers = [SimpleNamespace(status=status, closed=False, close=lambda: None) for status in statuses or (200,)]
        left = iter(answers)

        async def handler(_: Any) -> Any:
            return next(left)

        request = SimpleNamespace(url=URL("https://api:6443" + path))
        assert await self.streams.observe(cast(Any, request), handler) is answers[-1]
        return answers[-1]

    async def all_open(self) -> bool:
        """Tell whether every stream is open: it is waited for those that are not."""
        began = now()
        await self.streams.wait_open()
        return now() == began


def test_there_is_a_connection_for_every_stream_and_more() -> None:
    """aiohttp lets a request wait for a free connection for ever, and a stream frees none."""

    async def body() -> None:
        namespaces = [f"team-{number}" for number in range(100)]
        watches = [Watch(JOBS), Watch(PODS)]
        streams = Streams(watches, namespaces, lambda: None, Unwatched())
        client = Client(Login("https://api:6443", None))
        registry = build_registry(client, watches, lambda *_: None, streams)
        (handler,) = registry._activities.get_all_handlers()
        session = await cast(Any, handler.fn)()
        try:
            assert len(streams) == 200
            assert session.aiohttp_session.connector.limit > 200
        finally:
            await session.aiohttp_session.close()
            await client.close()

    asyncio.run(body())


def test_open_when_every_kind_is_watched() -> None:
    async def body() -> None:
        requests = Requests()
        for path in (LIST_JOBS, LIST_PODS, WATCH_JOBS, "/apis/apps/v1/deployments?watch=true"):
            await requests.send(path)
        assert not await requests.all_open()
        await requests.send(WATCH_PODS)
        assert await requests.all_open()
        assert requests.relisted == 2

    run(body())


def test_open_when_every_namespace_is_watched() -> None:
    async def body() -> None:
        requests = Requests("a", "b")
        for namespace in "ab":
            assert not await requests.all_open()
            await requests.send(f"/apis/batch/v1/namespaces/{namespace}/jobs?watch=true")
            await requests.send(f"/api/v1/namespaces/{namespace}/pods?watch=true")
        assert await requests.all_open()

    run(body())


def test_a_stream_that_goes_on_where_it_was_misses_nothing() -> None:
    async def body() -> None:
        requests = Requests()
        for path in (LIST_JOBS, WATCH_JOBS, WATCH_JOBS):
            await requests.send(path)
        assert requests.relisted == 1

    run(body())


def test_a_stream_that_lists_anew_is_told_when_it_is_open_again() -> None:
    async def body() -> None:
        requests = Requests()
        for path in (LIST_JOBS, WATCH_JOBS, LIST_JOBS, LIST_JOBS + "&continue=x"):
            await requests.send(path)
        assert requests.relisted == 1
        await requests.send(WATCH_JOBS)
        assert requests.relisted == 2
        await requests.send(WATCH_JOBS)
        assert requests.relisted == 2

    run(body())


def test_for_how_long_a_stream_has_been_closed() -> None:
    async def body() -> None:
        requests = Requests()
        assert requests.streams.closed_seconds() == 0  # not even opened: that is no failure yet
        jobs, pods = await requests.send(WATCH_JOBS), await requests.send(WATCH_PODS)
        assert requests.streams.closed_seconds() == 0
        jobs.closed = True
        assert requests.streams.closed_seconds() == 0
        requests.seconds = 50
        pods.closed = True
        assert requests.streams.closed_seconds() == 50
        await requests.send(WATCH_JOBS)
        requests.seconds = 60
        assert requests.streams.closed_seconds() == 10
        await requests.send(WATCH_PODS)
        assert requests.streams.closed_seconds() == 0

    run(body())


def test_what_is_refused_is_held_and_told_and_asked_again() -> None:
    async def body() -> None:
        requests = Requests()
        await requests.send(WATCH_JOBS)
        assert requests.streams.forgotten() == [(PODS, None)]
        task = asyncio.create_task(requests.send(WATCH_PODS, 404, 403, 500, 200))
        await asyncio.sleep(0)
        assert requests.unwatched.words() == ["pods is not watched: 404, the kind is not installed"]
        assert requests.streams.forgotten() == []
        await asyncio.sleep(1.5 * HOLD_SECONDS)
        assert requests.unwatched.words() == ["pods is not watched: 403, the operator may not list and watch it"]
        await task
        assert requests.unwatched.words() == []
        assert await requests.all_open()

    run(body())


def test_a_closed_stream_of_a_kind_that_is_refused_is_no_reason_to_begin_anew() -> None:
    async def body() -> None:
        requests = Requests()
        jobs = await requests.send(WATCH_JOBS)
        jobs.closed = True
        assert requests.streams.closed_seconds() == 0
        requests.seconds = 50
        assert requests.streams.closed_seconds() == 50
        requests.unwatched.refuse((JOBS, None), 404)
        assert requests.streams.closed_seconds() == 0
        assert requests.streams.forgotten() == [(JOBS, None), (PODS, None)]

    run(body())
