"""A gRPC server that ends though nobody stopped it ends the process, with a reason."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from modelmill_server import lifecycle
from modelmill_server.core.service import ModelService
from modelmill_server.failure import StartError
from modelmill_server.protocols import grpc_server, grpc_service
from modelmill_server.settings import from_environment
from tests.support.model_server import free_port


def test_a_server_that_ends_by_itself_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def fail(_: Any) -> None:
        raise ValueError("a defect of the loop that takes calls")

    async def run() -> StartError:
        port = free_port()
        settings = from_environment({}, str(tmp_path), "127.0.0.1", free_port(), port, [])
        service = ModelService(settings)
        made = await grpc_service.start(service, settings)
        assert not made.ended
        monkeypatch.setattr(
            grpc_server.Server, "_make_request_call_future", lambda self, _: asyncio.create_task(fail(self))
        )
        answering = asyncio.create_task(lifecycle._answer(service, settings, asyncio.Event(), made))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            # The call itself is answered; the one that is asked for after it fails.
            await channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=30)
        with pytest.raises(StartError) as told:
            await asyncio.wait_for(answering, 30)
        await made.stop(0)
        return told.value

    failure = asyncio.run(run())
    assert (failure.reason, failure.final) == ("Crashed", False)
    assert "the gRPC server has ended" in failure.message
