"""The HTTP side of the operator: /healthz, /readyz, /metrics and routes that the application adds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from modelmill.engine import metrics
from modelmill.engine.connections import Bounds

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_BODY = 1024 * 1024
MAX_LAG = 20.0
MAX_CLOSED = 180.0
"""Seconds. A stream is tried again at least every half minute, so that this is for what nobody has foreseen."""

log = logging.getLogger(__name__)


def _ours(record: logging.LogRecord) -> bool:
    """Tell whether aiohttp logs a defect of ours: of bytes that are no request it logs a trace too, and strangers send many."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, RequestPayloadError))


log.addFilter(_ours)


class Health:
    """What the probes ask. The process sets these when it knows more than it does at its start.

    ready: whether the API server answered and, in the leader, every kind was listed or is refused, and not all are.
    closed_seconds: for how long a watch stream has been closed. unwatched: a line for each kind that is refused.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.ready: Callable[[], bool] = lambda: False
        self.closed_seconds: Callable[[], float] = lambda: 0.0
        self.unwatched: Callable[[], Sequence[str]] = tuple
        self._clock = clock
        self._beat = clock()

    async def heartbeat(self) -> None:
        """Note once a second that the event loop runs."""
        while True:
            self._beat = self._clock()
            metrics.WATCH_CLOSED_SECONDS.set(self.closed_seconds())
            await asyncio.sleep(1)

    async def healthz(self, _: web.Request) -> web.Response:
        """200 while the event loop runs freely and the watch streams are open or have not been closed for long."""
        lag = self._clock() - self._beat - 1
        if lag > MAX_LAG:
            return web.Response(status=500, text=f"the event loop lagged {lag:.0f} s\n")
        closed = self.closed_seconds()
        if closed > MAX_CLOSED:
            return web.Response(status=500, text=f"a watch stream has been closed for {closed:.0f} s\n")
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """200 when `ready`; standbys are ready too, or a rolling update could not finish. The text names what is refused."""
        ready = self.ready()
        lines = ["ok" if ready else "not ready", *self.unwatched()]
        return web.Response(status=200 if ready else 503, text="".join(f"{line}\n" for line in lines))


async def serve(health: Health, port: int, routes: Sequence[tuple[str, str, Handler]]) -> web.AppRunner:
    """Start the server on all addresses; routes are (method, path, handler).

    The body limit is 1 MiB; connections are bounded in number and life. Requests that are none are answered, not logged.
    """
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", _metrics)
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=5)

    async def bounded(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(Bounds().keep(lambda: runner.server))
        yield
        task.cancel()

    app.cleanup_ctx.append(bounded)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
