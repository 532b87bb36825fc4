"""A proxy between operator and API server that fails on demand: refused writes, lost answers, broken streams, deaths."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from modelmill.engine.login import Login, login
from tests.crash.faults import KILLED_AFTER, KILLED_BEFORE, REPLY_LOST, Strike, Write
from tests.integration.engine.api_requests import refusal, write_in

_HOP = {"host", "connection", "content-length", "transfer-encoding", "content-encoding"}
SILENCE = "timeout"
"""A mode of a strike beside those of tests.crash.faults: there is no answer, and the API server never hears of the write."""
NO_ANSWER = 0
"""In place of a status: the connection ends."""

Relay = Callable[[str, bytes, web.StreamResponse], Awaitable[bool]]
"""Given path and line of a watch, and where to pass it on; returns whether the stream goes on."""


async def passed_on(_path: str, line: bytes, response: web.StreamResponse) -> bool:
    """Relay a line of a watch as it is."""
    await response.write(line)
    return True


class FaultProxy:
    """Plain HTTP on loopback; everything but the faults is passed on to the real API server.

    refuse: given method and path with its query, the status to answer with instead of passing the request on, or None.
    after: called with method and path when the API server has answered, before the operator is told. drop: given path and
    event of a watch, whether to swallow it. relay: passes the lines of watches on.
    strike: given a write (Leases and Events are none), the mode in which it fails. kill: ends the operator. log: all writes.
    """

    def __init__(self, upstream: Login) -> None:
        self.refuse: Callable[[str, str], int | None] = lambda _method, _path: None
        self.after: Callable[[str, str], None] = lambda _method, _path: None
        self.drop: Callable[[str, dict[str, Any]], bool] = lambda _path, _event: False
        self.relay: Relay = passed_on
        self.strike: Strike = lambda _: None
        self.kill: Callable[[], None] = lambda: None
        self.log: list[Write] = []
        self.refused = 0
        self.dropped = 0
        self.port = 0
        self._times: Counter[tuple[str, str, str]] = Counter()
        self._upstream = upstream
        self._streams: set[asyncio.Task[Any]] = set()
        self._expired: set[asyncio.Task[Any]] = set()
        self._ready = threading.Event()
        # asyncio.run ends what is still being handled when the proxy stops.
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10), "the proxy did not start"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def cut(self, *, expired: bool = False) -> int:
        """End all watch streams; with `expired` as the API server does when it knows the place no more. Return how many."""

        async def end() -> int:
            streams = list(self._streams)
            if expired:
                self._expired.update(streams)
            self.end_streams()
            return len(streams)

        return asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)

    def end_streams(self) -> None:
        """End all watch streams; called in the proxy's own thread, from its hooks."""
        for stream in self._streams:
            stream.cancel()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        connector = TCPConnector(ssl=self._upstream.tls or False, limit=0)
        async with ClientSession(connector=connector, timeout=ClientTimeout(total=None)) as self._session:
            app = web.Application(client_max_size=4 * 1024 * 1024)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        status = self.refuse(request.method, request.path_qs)
        if status is not None:
            self.refused += 1
            if status == NO_ANSWER and request.transport is not None:
                request.transport.abort()
            return refusal(status or 503, "fault")
        body = await request.read()
        write = self._write(request, body)
        mode = self.strike(write) if write is not None else None
        if mode is not None and mode.isdigit():
            self.refused += 1
            return refusal(int(mode), f"fault at {write}")
        if mode == KILLED_BEFORE:
            self.kill()
        if mode in (KILLED_BEFORE, SILENCE):
            # Until the proxy stops: the client has left by then.
            await asyncio.Event().wait()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = self._upstream.server + request.path_qs
        async with self._session.request(request.method, url, headers=headers, data=body or None) as upstream:
            if "watch" in request.query and upstream.status == 200:
                return await self._stream(request, upstream)
            answer = await upstream.read()
            self.after(request.method, request.path)
            if mode == KILLED_AFTER:
                self.kill()
            if mode in (KILLED_AFTER, REPLY_LOST) and request.transport is not None:
                request.transport.abort()
            return web.Response(status=upstream.status, body=answer, content_type=upstream.content_type)

    def _write(self, request: web.Request, body: bytes) -> Write | None:
        found = write_in(request.method, request.path, request.content_type, body)
        if found is None:
            return None
        self._times[found] += 1
        self.log.append(Write(*found, self._times[found]))
        return self.log[-1]

    async def _stream(self, request: web.Request, upstream: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        task = asyncio.ensure_future(self._copy(request.path, upstream, response))
        self._streams.add(task)
        try:
            await asyncio.wait((task,))
            if task in self._expired:
                await response.write(expired_line())
        finally:
            task.cancel()
            self._streams.discard(task)
            self._expired.discard(task)
        return response

    async def _copy(self, path: str, upstream: Any, response: web.StreamResponse) -> None:
        buffer = b""
        async for chunk in upstream.content.iter_any():
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                if self.drop(path, json.loads(line)):
                    self.dropped += 1
                elif not await self.relay(path, line + b"\n", response):
                    return


def expired_line() -> bytes:
    """Return what the API server says in a stream whose place is too old."""
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    return json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n"


def kubeconfig_through(proxy: FaultProxy, kubeconfig: Path, through: Path) -> Path:
    """Write a kubeconfig with the same identity that leads through the proxy; return its path."""
    config = yaml.safe_load(kubeconfig.read_text())
    for cluster in config["clusters"]:
        cluster["cluster"] = {"server": f"http://127.0.0.1:{proxy.port}"}
    through.write_text(yaml.safe_dump(config))
    return through


@contextmanager
def fault_proxy(kubeconfig: Path, folder: Path, monkeypatch: Any) -> Iterator[tuple[FaultProxy, Path]]:
    """Run a proxy in front of the API server of `kubeconfig`; yield it with the kubeconfig that leads through it."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    proxy = FaultProxy(login())
    proxy.start()
    try:
        yield proxy, kubeconfig_through(proxy, kubeconfig, folder / "through-proxy.kubeconfig")
    finally:
        proxy.stop()
