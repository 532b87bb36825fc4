"""Joins one-row requests that wait for the same model into one call of it, where the model gains by that.

Nothing waits for company: whatever is there when the model is free is answered together, so that a lone request is answered as
fast as without. Source of the idea: adaptive batching of Clipper (Crankshaw et al., NSDI 2017), here without its delay.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from modelmill_server.core.model import Output
from modelmill_server.core.workers import Workers
from modelmill_server.queries.query import Query

MOST_ROWS_JOINED = 32  # of one request; a larger one is a batch by itself
MOST_ROWS = 256  # of one call

Predict = Callable[[Query], list[Output]]
Waiting = tuple[Query, "asyncio.Future[list[Output]]"]


class Batcher:
    """Answers queries of one model in batches; belongs to the event loop.

    workers: where calls run that would block the event loop for too long. inline: calls of joined rows are short.
    """

    def __init__(self, predict: Predict, workers: Workers, *, inline: bool) -> None:
        self._predict = predict
        self._workers = workers
        self._inline = inline
        self._waiting: deque[Waiting] = deque()
        self._busy = False

    async def predict(self, query: Query) -> list[Output]:
        """Return the outputs. Raises what the model raises for this query."""
        loop = asyncio.get_running_loop()
        if query.rows > MOST_ROWS_JOINED:
            (result,) = await self._workers.call(lambda: predict_each(self._predict, [query]))
            if isinstance(result, Exception):
                raise result
            return result
        future: asyncio.Future[list[Output]] = loop.create_future()
        self._waiting.append((query, future))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)
        return await future

    def _next(self) -> None:
        batch = self._take()
        if not batch:
            self._busy = False
            return
        loop = asyncio.get_running_loop()
        queries = [query for query, _ in batch]
        if self._inline:
            self._deliver(batch, predict_each(self._predict, queries))
            loop.call_soon(self._next)
            return
        running = self._workers.call(lambda: predict_each(self._predict, queries))
        running.add_done_callback(lambda done: self._finish(batch, done))

    def _finish(self, batch: list[Waiting], done: asyncio.Future[list[list[Output] | Exception]]) -> None:
        overdue = done.exception()
        self._deliver(batch, done.result() if overdue is None else [overdue] * len(batch))
        self._next()

    def _take(self) -> list[Waiting]:
        """Return the next queries that ask for the same outputs; those of clients that left are dropped."""
        batch: list[Waiting] = []
        rows = 0
        while self._waiting and rows < MOST_ROWS:
            query, future = self._waiting[0]
            if not future.done():
                if batch and query.wanted != batch[0][0].wanted:
                    break
                batch.append((query, future))
                rows += query.rows
            self._waiting.popleft()
        return batch

    @staticmethod
    def _deliver(batch: list[Waiting], results: Sequence[list[Output] | BaseException]) -> None:
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)


def predict_each(predict: Predict, queries: list[Query]) -> list[list[Output] | Exception]:
    """Return the outputs of each query, or what the model raised for it.

    A query that the model cannot answer must not spoil the others: when the joined one fails, each is tried alone.
    """
    begin = time.perf_counter()
    for query in queries:
        query.began = begin
    if len(queries) > 1:
        try:
            return _split(predict(_joined(queries)), queries)
        except Exception:  # noqa: S110 - told below, by the query that causes it
            pass
    results: list[list[Output] | Exception] = []
    for query in queries:
        try:
            results.append(predict(query))
        except Exception as error:  # a model may raise anything
            results.append(error)
    return results


def _joined(queries: list[Query]) -> Query:
    columns = [list(column) for column in queries[0].columns]
    for query in queries[1:]:
        for column, more in zip(columns, query.columns, strict=True):
            column.extend(more)
    return Query(columns, sum(query.rows for query in queries), queries[0].wanted)


def _split(outputs: list[Output], queries: list[Query]) -> list[list[Output] | Exception]:
    results: list[list[Output] | Exception] = []
    begin = 0
    for query in queries:
        end = begin + query.rows
        results.append([output.rows(begin, end) for output in outputs])
        query.joined = begin > 0
        begin = end
    return results
