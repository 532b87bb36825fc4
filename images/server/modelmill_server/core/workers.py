"""A few threads on which calls of the model run, each for a limited time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from modelmill_server.queries.columns import RejectedError

Made = TypeVar("Made")
ENDING = "the server ends, and the model did not answer in time"


class Workers:
    """Runs calls, and answers in place of those that do not return. Belongs to the event loop.

    A thread cannot be ended from outside, so that a call that does not return keeps its own. When all are kept, this process
    has to end: `stuck`.
    """

    def __init__(self, count: int, seconds: float) -> None:
        """count: of threads. seconds: that a call may take, with its wait for a thread."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="model")
        self._count = count
        self._seconds = seconds
        self._asked: dict[asyncio.Future[Any], float] = {}
        self._began: dict[int, float] = {}  # by thread; written by the threads
        self._over = False

    @property
    def busy(self) -> int:
        """How many calls run."""
        return len(self._began)

    def call(self, compute: Callable[[], Made]) -> asyncio.Future[Made]:
        """Return what `compute` will return or raise on a thread; RejectedError (504) when it takes too long."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Made] = loop.create_future()
        if self._over:
            future.set_exception(RejectedError(503, ENDING))
            return future
        self._asked[future] = loop.time()
        self._pool.submit(self._run, loop, [(future, compute)])
        return future

    def sweep(self) -> None:
        """Answer in place of the calls that are overdue."""
        late = asyncio.get_running_loop().time() - self._seconds
        for future in [future for future, asked in self._asked.items() if asked < late]:
            self._settle(future, None, RejectedError(504, f"the model did not answer within {self._seconds:g} s"))

    def give_up(self) -> None:
        """Answer in place of all calls, and of those to come: the server ends."""
        self._over = True
        for future in list(self._asked):
            self._settle(future, None, RejectedError(503, ENDING))

    def stuck(self) -> bool:
        """Tell whether every thread is in a call that is overdue: no other will ever run."""
        late = asyncio.get_running_loop().time() - self._seconds
        return self.busy == self._count and max(list(self._began.values()), default=late) < late

    def _run(self, loop: asyncio.AbstractEventLoop, given: list[tuple[asyncio.Future[Any], Callable[[], Any]]]) -> None:
        # Taken out, and let go of at the end: else an exception, the frames that it has been through, what those were given
        # and the future hold each other, and the request, until the garbage collector comes.
        future, compute = given.pop()
        if future.done():
            loop.call_soon_threadsafe(self._settle, future, None, None)
            return
        thread = threading.get_ident()
        self._began[thread] = loop.time()
        result, failure = None, None
        try:
            result = compute()
        except BaseException as error:
            # A future cannot hold StopIteration, and the others would end the event loop.
            fits = isinstance(error, Exception) and not isinstance(error, StopIteration)
            failure = error if fits else RuntimeError(f"the model raised {error!r}")
        finally:
            del self._began[thread]
        loop.call_soon_threadsafe(self._settle, future, result, failure)
        del future, compute, result, failure

    def _settle(self, future: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
        self._asked.pop(future, None)
        if future.done():
            return
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)
