from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Sequence

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelmill.engine import process
from modelmill.engine.client import CONNECTIONS, Client
from modelmill.engine.login import Login
from modelmill.engine.process import Settings, _allow_open_files, _main
from modelmill.engine.table import Controller
from modelmill.kube.resources import PODS

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "needed", "raised"),
    [
        ((1024, 4096), 800, None),
        ((1024, 4096), 2000, (2000, 4096)),
        ((1024, INFINITY), 9000, (9000, INFINITY)),
        ((INFINITY, INFINITY), 9000, None),
        ((1024, 4096), 9000, (4096, 4096)),
    ],
)
def test_open_files_are_allowed_as_far_as_the_administrator_lets(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], needed: int, raised: tuple[int, int] | None
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: told.append(pair))
    _allow_open_files(needed)
    assert told == ([raised] if raised is not None else [])


async def test_the_lease_does_not_wait_for_the_connections_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, asked = asyncio.Event(), asyncio.Event()
    waiting: set[asyncio.Task[object]] = set()
    held = {"holderIdentity": "another", "leaseDurationSeconds": 15}

    async def answer(request: web.Request) -> web.Response:
        if "/leases/" not in request.path:
            busy.set()
            await asyncio.Event().wait()
        await busy.wait()
        asked.set()
        return web.json_response({"metadata": {"name": "modelmill-operator", "namespace": "default"}, "spec": held})

    def controllers(client: Client) -> Sequence[Controller]:
        waiting.update(asyncio.create_task(client.get(PODS, "ml", f"p{n}")) for n in range(2 * CONNECTIONS))
        return ()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as http:
        monkeypatch.setattr(process, "login", lambda: Login(str(http.make_url("")).rstrip("/"), None))
        main = asyncio.create_task(_main(controllers, (), Settings(port=0), lambda _: ()))
        try:
            await asyncio.wait_for(asked.wait(), 20)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(main, 20)
        finally:
            main.cancel()
            for one in waiting:
                one.cancel()
            await asyncio.wait(waiting)
