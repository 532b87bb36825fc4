"""kopf's operator is started again when it ends, and when it does not look for a kind that is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import kopf
import pytest
from yarl import URL

from modelmill.engine.errors import ApiError, Forbidden, NotFound, Unreachable
from modelmill.engine.interface import Watch
from modelmill.engine.unwatched import REMIND_SECONDS, Unwatched
from modelmill.engine.watches import LOOK_SECONDS, Frame, Streams
from modelmill.kube.resources import JOBS, PODS
from tests.support.virtual_time import now, run


class Client:
    """Answers each list of a kind with the next of what the test says; the last one counts for ever."""

    def __init__(self, answers: Sequence[ApiError | None]) -> None:
        self._answers = list(answers)

    async def list(self, *_: Any) -> tuple[list[Any], str]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is not None:
            raise answer
        return [], "1"


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
        self.frame = Frame(
            cast(Any, Client(answers)), [Watch(JOBS), Watch(PODS)], (), lambda *_: None, self.streams, self.unwatched
        )

    async def _spawn(self, **settings: Any) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._operator(**settings))]

    async def _operator(self, ready_flag: asyncio.Event, **_: Any) -> None:
        self.starts.append(now() - 1000)
        ready_flag.set()
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


def test_what_began_after_kopf_goes_on_when_kopf_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """kopf takes every younger task for one of its own when it runs itself: workers of the control loop, questions to pods."""

    async def body() -> None:
        tasks = kopf.spawn_tasks
        rig = Rig(monkeypatch, [None])
        monkeypatch.setattr(kopf, "spawn_tasks", tasks)
        task = asyncio.create_task(rig.frame.run(lambda: None))
        await asyncio.sleep(0.5)
        worker = asyncio.create_task(asyncio.sleep(1e9))
        task.cancel()
        await asyncio.wait((task,))
        await asyncio.sleep(5)
        assert not worker.done()
        worker.cancel()

    asyncio.run(body())


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
