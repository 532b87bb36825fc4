from __future__ import annotations

from aiohttp import ClientSession, web

from modelmill.engine.health import MAX_BODY, MAX_CLOSED, MAX_LAG, Health, serve


async def _text(response: web.StreamResponse) -> tuple[int, str]:
    assert isinstance(response, web.Response)
    return response.status, response.text or ""


async def test_health_is_the_event_loop_and_the_streams() -> None:
    seconds = [0.0]
    closed = [0.0]
    health = Health(clock=lambda: seconds[0])
    health.closed_seconds = lambda: closed[0]
    request: web.Request = None  # type: ignore[assignment]  # the probes do not look at it
    assert await _text(await health.healthz(request)) == (200, "ok\n")
    seconds[0] = MAX_LAG + 2
    assert await _text(await health.healthz(request)) == (500, f"the event loop lagged {MAX_LAG + 1:.0f} s\n")
    seconds[0] = 0.0
    closed[0] = MAX_CLOSED + 1
    assert (await _text(await health.healthz(request)))[0] == 500


async def test_readiness_is_what_the_process_says() -> None:
    health = Health()
    request: web.Request = None  # type: ignore[assignment]
    assert (await health.readyz(request)).status == 503
    health.ready = lambda: True
    assert (await health.readyz(request)).status == 200


async def test_the_server_has_probes_metrics_and_added_routes_and_refuses_large_bodies(unused_tcp_port: int) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    runner = await serve(Health(), unused_tcp_port, [("POST", "/alerts", echo)])
    async with ClientSession(f"http://127.0.0.1:{unused_tcp_port}") as client:
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/readyz")).status == 503
        assert "modelmill_workqueue_depth" in await (await client.get("/metrics")).text()
        assert await (await client.post("/alerts", data=b"x")).read() == b"x"
        assert (await client.post("/alerts", data=b"x" * (MAX_BODY + 1))).status == 413
    await runner.cleanup()
