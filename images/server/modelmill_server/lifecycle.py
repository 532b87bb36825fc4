"""The life of a server: listen, load and verify, serve, drain, end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import time
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from modelmill.contracts.shutdown import STOP_SECONDS, ending_seconds, finish_seconds
from modelmill_server.core.execution import Execution
from modelmill_server.core.loading import TOO_SLOW, load_model
from modelmill_server.core.service import Loaded, ModelService
from modelmill_server.core.warmup import warm_up
from modelmill_server.failure import StartError, leave_message
from modelmill_server.http.connections import ConnectionBounds, Connections
from modelmill_server.payloads.log import open_log
from modelmill_server.protocols.application import Application
from modelmill_server.protocols.dialects import Dialects
from modelmill_server.settings import Settings
from modelmill_server.shadow.mirror import Mirror, open_mirror
from modelmill_server.supervisor import CRASHED, STOPPED, Phase, enter
from modelmill_server.telemetry.counters import Monitor

if TYPE_CHECKING:
    from modelmill_server.protocols.grpc_service import GrpcServer

STUCK = "ModelStuck"

log = logging.getLogger("modelmill_server")

FAILURE_SHOWN_SECONDS = 2.0  # readiness answers with the reason for so long before the process ends
SWEEP_SECONDS = 1.0  # between two looks for what takes too long
QUIET_SECONDS = 2.0  # without a request for so long after SIGTERM, nobody sends here any more
BACKLOG = 1024
SPARE_FILES = 256  # for all that is no connection of HTTP


def load(settings: Settings) -> tuple[Loaded, Dialects]:
    """Verify the artifact, load its model, replay its golden rows, warm up. Raises StartError."""
    begin = time.perf_counter()
    model, rows = load_model(settings)
    artifact = model.artifact
    enter(_warming_up(settings))
    manifest = artifact.manifest
    try:
        monitor = Monitor(
            model=model.name,
            version=model.version,
            info={"format": manifest.format, "engine": model.engine.name, "digest": artifact.digest},
            created=manifest.created,
            profile=artifact.profile,
            features=model.features,
            most=settings.drift_features,
        )
    except ValueError as error:
        raise StartError("ArtifactCorrupt", f"manifest.json: created: {error}") from None
    dialects = Dialects(model, settings.max_rows)
    pace = warm_up(model, settings, dialects.request_of, dialects.answer_uncounted)
    execution = Execution(model, monitor, settings)
    execution.payloads = open_log(os.environ, model.name, model.version)
    gc.collect()
    gc.freeze()  # what is loaded stays: no need to look at it again and again
    log.info(
        "model %s version %s loaded with %s in %.2f s: %d golden rows agree, requests up to %d bytes run on the event loop",
        model.name, model.version, model.engine.name, time.perf_counter() - begin, rows, pace.inline_bytes,
    )  # fmt: skip
    return Loaded(model, monitor, execution, pace), dialects


def _warming_up(settings: Settings) -> Phase:
    words = f"warming up took longer than {settings.load_seconds} s: make the model smaller, or give it more CPU"
    return Phase("warming up", settings.load_seconds, TOO_SLOW, words, final=True)


def _serving(settings: Settings) -> Phase:
    """Return the phase that is entered again each second, as long as the event loop turns."""
    seconds = settings.request_seconds + STOP_SECONDS
    words = f"a call of the model kept the server from everything else for more than {seconds:g} s"
    grace = ending_seconds(settings.drain_seconds, settings.request_seconds)
    return Phase("answering requests", seconds, STUCK, words, grace)


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code. Until the model is loaded, SIGTERM ends the process at once."""
    _require_free(settings.host, settings.port)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    service = ModelService(settings)
    application = Application(service, settings)
    bounds = ConnectionBounds(
        settings.max_request_bytes,
        settings.body_seconds,
        settings.idle_seconds,
        _places(settings.connections),
        settings.held_bytes,
    )
    connections = Connections(application, bounds)
    server = await loop.create_server(connections.make, settings.host, settings.port, backlog=BACKLOG)
    loading = loop.run_in_executor(None, load, settings)
    grpc = await _start_grpc(service, settings)
    watching = loop.create_task(_sweep(connections))
    mirror: Mirror | None = None
    try:
        loaded, dialects = await loading
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        service.attach(loaded)
        mirror = open_mirror(settings, loaded.model)
        application.attach(loaded, dialects, mirror)
        if grpc is not None:
            grpc.methods.attach(loaded, dialects.reader)
        service.open()
        if mirror is not None:
            mirror.start()
        await _tell_grpc(grpc, serving=True)
        log.info(
            "ready on %s:%d%s", settings.host, settings.port, f", gRPC on {settings.grpc_port}" * (grpc is not None)
        )
        await _answer(service, settings, stop, grpc)
        await _tell_grpc(grpc, serving=False)
        code = await _drain(service, settings)
        await _close_payloads(loaded)
    except StartError as failure:
        code = failure.exit_code
        await _tell_grpc(grpc, serving=False)
        await _show(service, failure)
    watching.cancel()
    if mirror is not None:
        await mirror.close()
    if grpc is not None:
        await grpc.stop(STOP_SECONDS)
    await asyncio.sleep(0)  # a connection that is made already is accepted before the port is closed
    server.close()
    await connections.close(STOP_SECONDS)
    log.info("ended")
    return code


async def _answer(service: ModelService, settings: Settings, stop: asyncio.Event, grpc: GrpcServer | None) -> None:
    """Answer requests until SIGTERM.

    Raises StartError: ModelStuck when calls of the model keep every thread for ever, Crashed when gRPC has ended by itself.
    """
    phase = _serving(settings)
    while not stop.is_set():
        enter(phase)
        service.workers.sweep()
        if service.workers.stuck():
            words = f"{service.workers.busy} calls of the model, as many as can run at once, have not returned"
            raise StartError(STUCK, f"{words} for more than {settings.request_seconds} s", final=False)
        if grpc is not None and grpc.ended:
            raise StartError(
                CRASHED, "the gRPC server has ended though nobody stopped it; the log has more", final=False
            )
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), SWEEP_SECONDS)


async def _tell_grpc(grpc: GrpcServer | None, *, serving: bool) -> None:
    if grpc is not None:
        await grpc.tell(serving=serving)


def _places(most: int) -> int:
    """Return how many connections may be open: `most`, as far as the process may open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < most + SPARE_FILES:
        soft = most + SPARE_FILES if hard == resource.RLIM_INFINITY else min(most + SPARE_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        most = max(1, min(most, soft - SPARE_FILES))
    return most


async def _start_grpc(service: ModelService, settings: Settings) -> GrpcServer | None:
    """Return the gRPC server, None when it is not wanted. Raises StartError (ListenFailed)."""
    if not settings.grpc_port:
        return None
    from modelmill_server.protocols import grpc_service

    _require_free(settings.host, settings.grpc_port)
    try:
        return await grpc_service.start(service, settings)
    except OSError as error:
        raise StartError("ListenFailed", f"{settings.host}:{settings.grpc_port}: {error}", final=False) from None


async def _sweep(connections: Connections) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        connections.sweep()


async def _show(service: ModelService, failure: StartError) -> None:
    """Tell a failure in the log, in the termination message, and for a moment in the readiness answer."""
    log.error("%s", failure.line())
    leave_message(failure)
    enter(Phase("telling a failure", told=True))
    service.fail(failure.line())
    await asyncio.sleep(FAILURE_SHOWN_SECONDS)


async def _drain(service: ModelService, settings: Settings) -> int:
    """Answer what still comes, as not ready, until it is quiet or the time is over; then finish what runs.

    Return the exit code: another than 0, and told, when a call of the model does not return.
    """
    begin = time.perf_counter()
    service.drain()
    admission = service.admission
    log.info("shutting down: not ready any more, requests are answered for up to %d s", settings.drain_seconds)
    while time.perf_counter() - begin < settings.drain_seconds:
        if time.perf_counter() - max(admission.last_request, begin) > QUIET_SECONDS:
            break
        await asyncio.sleep(0.1)
    begin, finish = time.perf_counter(), finish_seconds(settings.request_seconds)
    while admission.running and time.perf_counter() - begin < finish:
        service.workers.sweep()
        await asyncio.sleep(0.02)
    service.workers.give_up()
    if not service.workers.busy:
        return 0
    words = f"SIGTERM came, and {service.workers.busy} of the calls of the model did not return"
    failure = StartError(STOPPED, words, final=False)
    log.error("%s", failure.line())
    leave_message(failure)
    return failure.exit_code


async def _close_payloads(loaded: Loaded) -> None:
    payloads = loaded.execution.payloads
    if payloads is not None:
        await asyncio.get_running_loop().run_in_executor(None, payloads.close, STOP_SECONDS)


def _require_free(host: str, port: int) -> None:
    """Raise StartError (ListenFailed) when the port is taken: two servers must not share it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError("ListenFailed", f"{host}:{port}: {error.strerror}", final=False) from None


def run(settings: Settings) -> int:
    """Run `serve` on an event loop of its own: uvloop's where it is installed, which saves a fifth of the CPU per request."""
    if find_spec("uvloop") is not None:
        import uvloop

        return uvloop.run(serve(settings))
    return asyncio.run(serve(settings))
