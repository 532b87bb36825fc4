"""Requests by tritonclient's four clients, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.server.clients.process import ClientError, ClientProcess
from tests.integration.server.clients.served import Served

Get = Callable[[str], Served]
HTTP = ("http", "http-aio")
GRPC = ("grpc", "grpc-aio")
TRANSPORTS = (*HTTP, *GRPC)


def ask(triton: ClientProcess, server: Served, transport: str, inputs: list[dict[str, Any]], **options: Any) -> Any:
    """Return the answer to one request. Raises ClientError with what the client raised."""
    return ask_all(triton, server, transport, [{"inputs": inputs, **options}])[0]


def ask_all(
    triton: ClientProcess, server: Served, transport: str, requests: list[dict[str, Any]], *, together: bool = False
) -> list[Any]:
    """Return the answers to several requests of one client."""
    full = [{"model": server.name, **request} for request in requests]
    results = triton.call("infer", transport=transport, url=server.url(transport), requests=full, together=together)
    for result in results:
        if "error" in result:
            raise ClientError(result["error"])
    return results


def refusal(
    triton: ClientProcess, server: Served, transport: str, inputs: list[dict[str, Any]], **options: Any
) -> ClientError:
    """Return the InferenceServerException that a request ends in, which must come from the server: 400 or INVALID_ARGUMENT."""
    with pytest.raises(ClientError) as caught:
        ask(triton, server, transport, inputs, **options)
    assert_refused(caught.value, transport)
    return caught.value


def assert_refused(error: ClientError, transport: str, http: int = 400, grpc: str = "INVALID_ARGUMENT") -> None:
    assert error.type == "InferenceServerException", error
    assert error.status == (str(http) if transport in HTTP else f"StatusCode.{grpc}"), error
    assert "exception occurred in the client" not in error.message
    assert "Traceback" not in error.message
