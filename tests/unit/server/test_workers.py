"""Calls of the model on threads: answered in time, or something answers in their place."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Callable

import pytest

from modelmill_server.core.workers import Workers
from modelmill_server.queries.columns import RejectedError


def raising(error: BaseException) -> Callable[[], None]:
    def compute() -> None:
        raise error

    return compute


def test_whatever_a_model_raises_reaches_who_asked() -> None:
    async def ask() -> None:
        workers = Workers(2, 60)
        assert await workers.call(lambda: 7) == 7
        with pytest.raises(KeyError):
            await workers.call(raising(KeyError("x")))
        for error in (StopIteration(), SystemExit(0), KeyboardInterrupt()):
            with pytest.raises(RuntimeError, match=type(error).__name__):
                await asyncio.wait_for(workers.call(raising(error)), 30)
        assert workers.busy == 0

    asyncio.run(ask())


def test_those_that_wait_are_answered_and_never_run() -> None:
    async def ask() -> None:
        workers, gate, ran = Workers(1, 0.05), threading.Event(), []
        kept = workers.call(gate.wait)
        waiting = workers.call(lambda: ran.append(1))
        await asyncio.sleep(0.2)
        assert workers.stuck()
        workers.sweep()
        for future in (kept, waiting):
            with pytest.raises(RejectedError, match=r"did not answer within 0\.05 s"):
                await future
        gate.set()
        assert await workers.call(lambda: 3) == 3
        assert (ran, workers.busy, workers.stuck()) == ([], 0, False)

    asyncio.run(ask())


def test_nothing_is_begun_at_the_end() -> None:
    async def ask() -> None:
        workers, gate = Workers(1, 60), threading.Event()
        kept = workers.call(gate.wait)
        workers.give_up()
        for future in (kept, workers.call(lambda: 3)):
            with pytest.raises(RejectedError, match="the server ends"):
                await future
        gate.set()

    asyncio.run(ask())


def test_what_a_failed_call_was_given_goes_with_its_answer() -> None:
    """Without the garbage collector: a request may be many megabytes."""

    class Request:
        pass

    async def ask() -> None:
        workers, request = Workers(1, 60), Request()
        seen = weakref.ref(request)

        def fail(given: Request) -> None:
            raise KeyError(id(given))

        async def asked(given: Request) -> None:
            with contextlib.suppress(KeyError):
                await workers.call(lambda: fail(given))

        await asked(request)
        del request
        await workers.call(int)  # the thread has let go of what was before
        assert seen() is None

    gc.disable()
    try:
        asyncio.run(ask())
    finally:
        gc.enable()
