"""grpcio's server on the event loop, safe from calls that no client of good will makes.

grpcio decodes the path of a call whose method it was not told beforehand in the loop that takes all calls: a path that is not
UTF-8 ends that loop, and with it gRPC. So every method is told beforehand, and what is left is refused without a look at it.
That goes through parts of grpcio that are not public; its threaded server decodes with care, but has a thread per open call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc._cython import cygrpc

from modelmill_server.core.admission import TOO_MANY

PROBES = frozenset(
    (
        "/grpc.health.v1.Health/Check",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
        "/inference.GRPCInferenceService/ModelReady",
    )
)
MOST_PROBES = 1000  # open at once; a stranger's wait for their messages, or do not take their answers
MOST_REFUSALS = 1000  # of methods that are not there, on their way at once
NO_METHOD = (
    "this method is not supported: this server has one model, which never changes, no shared memory, and no settings of "
    "traces and logs"
)


def _as_info(record: logging.LogRecord) -> bool:
    """Make an entry of one line of a value that is not UTF-8: grpcio reads it as Latin-1, and logs an error with a trace."""
    if isinstance(record.msg, str) and record.msg.startswith("Invalid encoding"):
        record.levelno, record.levelname, record.exc_info = logging.INFO, "INFO", None
    return True


logging.getLogger(cygrpc.__name__).addFilter(_as_info)


class Server(cygrpc.AioServer):  # type: ignore[misc]
    """A server of the methods that are registered, which says of every other that it does not have it, in words."""

    def _make_request_call_future(self, method: bytes | None) -> Any:
        """Return the task that ends with the next call of a method; of None, any other, it never ends well."""
        if method is not None:
            return super()._make_request_call_future(method)
        return asyncio.get_running_loop().create_task(self._refuse_others())

    async def _refuse_others(self) -> None:
        """Refuse calls of methods that are not there, until the server is shut down and grpcio raises its error for that."""
        loop, refusals = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        while True:
            call = await self._request_call()
            if len(refusals) >= MOST_REFUSALS:
                await asyncio.wait(refusals, return_when=asyncio.FIRST_COMPLETED)
            refusal = loop.create_task(_refuse(cygrpc._ServicerContext(call, None, None, loop)))
            refusals.add(refusal)
            refusal.add_done_callback(refusals.discard)


async def _refuse(context: Any) -> None:
    try:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, NO_METHOD)
    except (cygrpc.BaseError, cygrpc.ExecuteBatchError):
        return  # that it was aborted, or that the client has left meanwhile


class Places(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Bounds how many calls are open at once; probes have places of their own, which no other call can take."""

    def __init__(self, most: int, most_probes: int) -> None:
        """most: calls that are no probes."""
        self._most = {False: most, True: most_probes}
        self._open = {False: 0, True: 0}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Return the handler of a call, or what refuses it. grpcio runs each call, from here on, in a task of its own."""
        probe = details.method in PROBES
        if self._open[probe] >= self._most[probe]:
            return grpc.stream_stream_rpc_method_handler(_refuse_too_many)
        task = asyncio.current_task()
        assert task is not None
        self._open[probe] += 1
        task.add_done_callback(lambda _: self._end(probe))
        return await continuation(details)

    def _end(self, probe: bool) -> None:
        self._open[probe] -= 1


async def _refuse_too_many(_: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, TOO_MANY)


class Probes:
    """Calls of probes whose message has not come: the one that waits longest makes room for the newest."""

    def __init__(self, most: int, seconds: float) -> None:
        """seconds: for a message to come."""
        self._most, self._seconds = most, seconds
        self._waiting: dict[asyncio.Timeout, None] = {}

    def handler(self, unary: Any) -> Any:
        """Return a handler for that of a unary method: grpcio itself would wait for the message without an end."""

        async def answer(_: Any, context: Any) -> None:
            try:
                data = await self._message(context)
            except TimeoutError:
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the message of this call did not come in time")
            else:
                if data is grpc.aio.EOF:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this call came without a message")
                await context.write(await unary.unary_unary(data, context))

        return grpc.stream_stream_rpc_method_handler(answer, None, unary.response_serializer)

    async def _message(self, context: Any) -> Any:
        """Raises TimeoutError."""
        async with asyncio.timeout(self._seconds) as limit:
            if len(self._waiting) >= self._most:
                oldest = next(iter(self._waiting))
                del self._waiting[oldest]
                if not oldest.expired():
                    oldest.reschedule(0)
            self._waiting[limit] = None
            try:
                return await context.read()
            finally:
                self._waiting.pop(limit, None)
