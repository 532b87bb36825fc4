"""Calls of kserve's InferenceRESTClient and InferenceGRPCClient. A protocol is v1, v2 or grpc."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import InferResponse, RequestedOutput
from tritonclient.utils import np_to_triton_dtype

SECONDS = 30.0


def describe(error: Exception) -> dict[str, Any]:
    """Return what was raised, with the HTTP status or the gRPC code where the server answered."""
    if isinstance(error, httpx.HTTPStatusError):
        return {"type": "HTTPStatusError", "status": error.response.status_code, "message": str(error)}
    if isinstance(error, grpc.aio.AioRpcError):
        return {"type": "AioRpcError", "status": error.code().name, "message": error.details()}
    return {"type": type(error).__name__, "status": None, "message": "".join(traceback.format_exception(error))}


def call(protocol: str, url: str, method: str, *, args: tuple[Any, ...] = ()) -> Any:
    """Return what a method of the client gives. url: http://HOST:PORT, or HOST:PORT for grpc."""

    async def run() -> Any:
        async with _client(protocol, url) as client:
            return await getattr(client, method)(*([] if protocol == "grpc" else [url]), *args)

    return asyncio.run(run())


def infer(protocol: str, url: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request of named arrays: its id, model and outputs as arrays.

    A request: model, inputs (name, array, binary), and perhaps outputs (names), binary_outputs and id.
    """

    async def run() -> Any:
        async with _client(protocol, url) as client:
            headers: dict[str, str] = {}
            made = _request(request)
            if protocol == "grpc":
                return _answer(await client.infer(made), headers)
            answer = await client.infer(url, made, model_name=request["model"], response_headers=headers)
            return _answer(answer, headers)

    return asyncio.run(run())


def _client(protocol: str, url: str) -> Any:
    if protocol == "grpc":
        return InferenceGRPCClient(url, timeout=SECONDS, retries=0)
    return InferenceRESTClient(RESTConfig(protocol=protocol, timeout=SECONDS, retries=0))


def _request(request: dict[str, Any]) -> InferRequest:
    inputs = []
    for item in request["inputs"]:
        array = item["array"]
        tensor = InferInput(item["name"], list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array, binary_data=item["binary"])
        inputs.append(tensor)
    names = request.get("outputs")
    return InferRequest(
        request["model"],
        inputs,
        request_id=request.get("id"),
        parameters={"binary_data_output": True} if request.get("binary_outputs") else None,
        request_outputs=None if names is None else [RequestedOutput(name) for name in names],
        model_version=request.get("version"),
    )


def _answer(response: InferResponse, headers: dict[str, str]) -> dict[str, Any]:
    return {
        "id": response.id,
        "model": response.model_name,
        "outputs": {output.name: np.array(output.as_numpy()) for output in response.outputs},
        "datatypes": {output.name: output.datatype for output in response.outputs},
        "headers": {name.lower(): value for name, value in headers.items()},
    }
