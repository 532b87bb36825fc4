"""The HTTP side of the operator: /healthz, /readyz, /metrics and routes that the application adds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from modelmill.engine import metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_BODY = 1024 * 1024
MAX_CONNECTIONS = 256
"""At once; a new one ends the oldest, so that a port full of half-sent requests answers the probes."""
IDLE_SECONDS = 75.0
"""For the head of the next request, idle time included; longer than scrapes are apart."""
MAX_LAG = 20.0
MAX_CLOSED = 180.0
"""Seconds; kopf tries a stream again with growing pauses for about a minute, then ends the process by itself."""


class Health:
    """What the probes ask. The process sets `ready` and `closed_seconds` when it knows more than it does at its start.

    ready: whether the API server answered and, in the leader, every kind was listed. closed_seconds: for how long a watch
    stream has been closed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.ready: Callable[[], bool] = lambda: False
        self.closed_seconds: Callable[[], float] = lambda: 0.0
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
        """200 when `ready`; standbys are ready too, or a rolling update could not finish."""
        return web.Response(text="ok\n") if self.ready() else web.Response(status=503, text="not ready\n")


async def serve(health: Health, port: int, routes: Sequence[tuple[str, str, Handler]]) -> web.AppRunner:
    """Start the server on all addresses; routes are (method, path, handler). Bounded: bodies, connections, and the time for
    a head; the time for a body is the handler's to bound.
    """
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", _metrics)
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5, keepalive_timeout=IDLE_SECONDS)

    async def stop_listening(_: web.Application) -> None:
        listener.close()

    app.on_shutdown.append(stop_listening)
    await runner.setup()
    assert runner.server is not None
    listener = await asyncio.get_running_loop().create_server(partial(_admitted, runner.server), port=port)
    return runner


def _admitted(server: web.Server) -> asyncio.Protocol:
    """Return the protocol of a new connection."""
    connections = server.connections
    for oldest in connections[: max(0, len(connections) - MAX_CONNECTIONS + 1)]:
        oldest.force_close()
    return server()


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
