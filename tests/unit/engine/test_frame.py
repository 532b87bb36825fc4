"""kopf's operator is started again when it ends, and when it does not look for a kind that is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import kopf
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from modelmill.engine import watches
from modelmill.engine.client import Client as ApiClient
from modelmill.engine.errors import ApiError, Forbidden, NotFound, Unreachable
from modelmill.engine.interface import Watch
from modelmill.engine.login import Login
from modelmill.engine.unwatched import REMIND_SECONDS, Unwatched
from modelmill.engine.watches import LOOK_SECONDS, Frame, Streams
from modelmill.kube.resources import CONFIG_MAPS, JOBS, PODS
from tests.support.virtual_time import now, run


class Client:
    """Answers each page of a list of a kind with the next of what the test says; the last one counts for ever."""

    def __init__(self, answers: Sequence[ApiError | None]) -> None:
        self._answers = list(answers)

    async def pages(self, *_: Any) -> AsyncIterator[None]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is not None:
            raise answer
        yield None
        raise AssertionError("one page tells that the kind is there")


class Rig:
    """A frame over a kopf that does what `lives` says: seconds until it fails, None when it runs for ever."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        lives: Sequence[float | None],
        answers: Sequence[ApiError | None] = (None,),
    ) -> None:
        self.starts: list[float] = []
        self.ends: list[str] = []
        self.signals = 0
        self._lives = list(lives)
        self.unwatched = Unwatched(now)
        self.streams = Streams([Watch(JOBS), Watch(PODS)], (), lambda: None, self.unwatched, now)
        monkeypatch.setattr(kopf, "spawn_tasks", self._spawn)
        monkeypatch.setattr(kopf, "run_tasks", self._run)
        self.frame = Frame(
            cast(Any, Client(answers)), [Watch(JOBS), Watch(PODS)], (), lambda *_: None, self.streams, self.unwatched
        )

    async def _spawn(self, **_: Any) -> list[Any]:
        self.starts.append(now() - 1000)
        return []

    async def _run(self, _: Any, **__: Any) -> None:
        life = self._lives.pop(0) if len(self._lives) > 1 else self._lives[0]
        try:
            await asyncio.sleep(1e9 if life is None else life)
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise
        raise RuntimeError("kopf ended")

    async def open(self, path: str) -> SimpleNamespace:
        response = SimpleNamespace(status=200, closed=False)

        async def handler(_: Any) -> Any:
            return response

        await self.streams.observe(cast(Any, SimpleNamespace(url=URL(f"https://api{path}?watch=true"))), handler)
        return response

    async def let(self, seconds: float) -> None:
        async def signals() -> None:
            await self.frame.run(lambda: setattr(self, "signals", self.signals + 1))

        task = asyncio.create_task(signals())
        await asyncio.sleep(seconds)
        assert not task.done(), task
        task.cancel()
        await asyncio.wait((task,))


def test_kopf_is_started_again_with_growing_pauses_and_never_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        rig = Rig(monkeypatch, [0.0, 0.0, 0.0, None])
        await rig.open("/apis/batch/v1/jobs")
        await rig.open("/api/v1/pods")
        await rig.let(100)
        assert rig.starts == [0, 2, 6, 14]
        assert rig.signals == 4
        assert rig.ends == ["cancelled"]  # with the frame

    run(body())


def test_a_kind_that_is_there_and_that_kopf_does_not_look_for_makes_it_look_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def body() -> None:
        rig = Rig(monkeypatch, [None], [NotFound(404, "x", "x"), NotFound(404, "x", "x"), None])
        await rig.open("/apis/batch/v1/jobs")
        await rig.let(2.5 * LOOK_SECONDS)
        assert rig.unwatched.words() == ["pods is not watched: 404, the kind is not installed"]
        assert len(rig.starts) == 1
        await rig.let(2.5 * LOOK_SECONDS)
        assert len(rig.starts) == 3  # one by the test, one by the frame

    run(body())


@pytest.mark.parametrize("error", [Unreachable(0, "x", "x"), Forbidden(403, "x", "x"), NotFound(404, "x", "x")])
def test_what_cannot_be_listed_is_no_reason_to_start_kopf_again(
    monkeypatch: pytest.MonkeyPatch, error: ApiError
) -> None:
    async def body() -> None:
        rig = Rig(monkeypatch, [None], [error])
        await rig.open("/apis/batch/v1/jobs")
        await rig.let(1000)
        assert len(rig.starts) == 1
        assert bool(rig.unwatched.places) == (error.status != 0)

    run(body())


class Discovered:
    """As much of an API server as kopf asks for before it watches, with the kinds of `installed`."""

    def __init__(self) -> None:
        self.installed = {"namespaces": "Namespace", "pods": "Pod"}
        self.watched: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        if request.path in ("/api", "/apis"):
            return web.json_response({"versions": ["v1"]} if name == "api" else {"groups": []})
        if request.path == "/api/v1":
            rows = [
                {"name": plural, "kind": kind, "singularName": "x", "namespaced": True, "verbs": ["list", "watch"]}
                for plural, kind in self.installed.items()
            ]
            return web.json_response({"resources": rows})
        if name not in self.installed:
            return web.Response(status=404, text="404 page not found")
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        self.watched.append(name)
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(60)
        return response


async def test_a_kind_that_is_installed_later_is_watched_and_whatever_else_runs_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(watches, "PAUSE_FIRST", 0.01)
    server, unwatched = Discovered(), Unwatched()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)

    async def until(condition: Callable[[], bool]) -> None:
        for _ in range(3000):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(server.watched)

    async with TestServer(app) as http:
        client = ApiClient(Login(str(http.make_url("")).rstrip("/"), None))
        both = [Watch(PODS), Watch(CONFIG_MAPS)]
        streams = Streams(both, ("ml",), lambda: None, unwatched)
        frame = Frame(client, both, ("ml",), lambda *_: None, streams, unwatched)
        task = asyncio.create_task(frame.run(lambda: None))
        await until(lambda: server.watched == ["pods"] and bool(unwatched.places))
        other = asyncio.create_task(asyncio.sleep(60))
        server.installed["configmaps"] = "ConfigMap"
        await until(lambda: sorted(server.watched) == ["configmaps", "pods", "pods"])
        assert not unwatched.places
        assert not other.done()
        assert not task.done()
        for one in (task, other):
            one.cancel()
        await asyncio.wait((task, other))
        await client.close()


def test_a_refusal_is_told_at_once_and_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, told = [0.0], []
    monkeypatch.setattr("modelmill.engine.unwatched.log", SimpleNamespace(warning=lambda what, **_: told.append(what)))
    unwatched = Unwatched(lambda: seconds[0])
    for _ in range(100):
        unwatched.refuse((PODS, "a"), 403)
        seconds[0] += REMIND_SECONDS / 50
    assert told == ["not watched"] * 2
    unwatched.refuse((PODS, "a"), 404)
    unwatched.refuse((PODS, "b"), 404)
    assert len(told) == 4
    assert unwatched.words() == ["pods is not watched: 404, the kind is not installed (2 namespaces)"]
    unwatched.allow((PODS, "a"))
    unwatched.allow((PODS, "a"))
    assert told[4:] == ["watched again"]
    assert unwatched.places == {(PODS, "b")}
