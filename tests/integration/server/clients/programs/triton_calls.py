"""Calls of tritonclient's four InferenceServerClient classes. A transport is http, http-aio, grpc or grpc-aio."""

from __future__ import annotations

import asyncio
import queue
import traceback
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

MODULES = {
    "http": tritonclient.http,
    "http-aio": tritonclient.http.aio,
    "grpc": tritonclient.grpc,
    "grpc-aio": tritonclient.grpc.aio,
}
SECONDS = 30.0
OPTIONS = {"id": "request_id", "version": "model_version", "parameters": "parameters", "headers": "headers"}


def describe(error: Exception) -> dict[str, Any]:
    """Return what was raised; the status is an HTTP status or a gRPC code as the client has it, text either way."""
    clean = isinstance(error, InferenceServerException)
    return {
        "type": type(error).__name__,
        "status": error.status() if clean else None,
        "message": error.message() if clean else "".join(traceback.format_exception(error)),
    }


def call(transport: str, url: str, method: str, *, args: tuple[Any, ...] = (), **keywords: Any) -> Any:
    """Return what a method of the client gives, as plain values."""
    if not transport.endswith("aio"):
        with _client(transport, url) as client:
            return _plain(getattr(client, method)(*args, **keywords))

    async def run() -> Any:
        async with _client(transport, url) as client:
            return _plain(await getattr(client, method)(*args, **keywords))

    return asyncio.run(run())


def infer(transport: str, url: str, requests: list[dict[str, Any]], *, together: bool = False) -> list[Any]:
    """Send requests through one client and return a result for each: an answer, or {"error": …}.

    together: all are under way at once (async_infer, or tasks) instead of one after the other.
    """
    if transport.endswith("aio"):
        return asyncio.run(_infer_async(transport, url, requests, together))
    with _client(transport, url) as client:
        if together:
            return _infer_callbacks(transport, client, requests)
        return [
            _tried(lambda request=request: _answer(client.infer(**_arguments(transport, request))))
            for request in requests
        ]


def stream(transport: str, url: str, requests: list[dict[str, Any]]) -> list[Any]:
    """Send requests on one stream (ModelStreamInfer) and return a result for each."""
    if transport == "grpc-aio":
        return asyncio.run(_stream_async(url, requests))
    results: queue.Queue[Any] = queue.Queue()
    with _client(transport, url) as client:
        client.start_stream(lambda result, error: results.put((result, error)), stream_timeout=SECONDS)
        try:
            for request in requests:
                client.async_stream_infer(**_arguments(transport, request))
            return [_result(*results.get(timeout=SECONDS)) for _ in requests]
        finally:
            client.stop_stream()


def bodies(url: str, request: dict[str, Any]) -> Any:
    """Send a body of `generate_request_body` with another HTTP client and read the answer by `parse_response_body`."""
    import httpx

    kind = tritonclient.http.InferenceServerClient
    arguments = _arguments("http", request)
    name = arguments.pop("model_name")
    body, json_bytes = kind.generate_request_body(**arguments)
    headers = {} if json_bytes is None else {"Inference-Header-Content-Length": str(json_bytes)}
    answer = httpx.post(f"http://{url}/v2/models/{name}/infer", content=body, headers=headers)
    length = answer.headers.get("Inference-Header-Content-Length")
    return _answer(kind.parse_response_body(answer.content, header_length=None if length is None else int(length)))


def shared_memory(transport: str, url: str, model: str, name: str) -> Any:
    """Ask for one input that lies in a region of shared memory."""
    tensor = MODULES[transport].InferInput(name, [1], "FP64")
    tensor.set_shared_memory("region", 8)
    return call(transport, url, "infer", args=(model, [tensor]))


async def _infer_async(transport: str, url: str, requests: list[dict[str, Any]], together: bool) -> list[Any]:
    async with _client(transport, url) as client:

        async def one(request: dict[str, Any]) -> Any:
            try:
                return _answer(await client.infer(**_arguments(transport, request)))
            except Exception as error:
                return {"error": describe(error)}

        if together:
            return list(await asyncio.gather(*map(one, requests)))
        return [await one(request) for request in requests]


def _infer_callbacks(transport: str, client: Any, requests: list[dict[str, Any]]) -> list[Any]:
    if transport == "http":
        pending = [client.async_infer(**_arguments(transport, request)) for request in requests]
        return [_tried(lambda one=one: _answer(one.get_result())) for one in pending]
    results: queue.Queue[Any] = queue.Queue()
    for place, request in enumerate(requests):
        arguments = _arguments(transport, request)
        client.async_infer(**arguments, callback=lambda result, error, place=place: results.put((place, result, error)))
    done = sorted((results.get(timeout=SECONDS) for _ in requests), key=lambda item: item[0])
    return [_result(result, error) for _, result, error in done]


async def _stream_async(url: str, requests: list[dict[str, Any]]) -> list[Any]:
    async def arguments() -> Any:
        for request in requests:
            yield _arguments("grpc-aio", request)

    async with _client("grpc-aio", url) as client:
        return [_result(result, error) async for result, error in client.stream_infer(arguments())]


def _client(transport: str, url: str) -> Any:
    more: dict[str, Any] = {}
    if transport == "http":
        more = {"concurrency": 8, "network_timeout": SECONDS, "connection_timeout": SECONDS}
    elif transport == "http-aio":
        more = {"conn_timeout": SECONDS}
    return MODULES[transport].InferenceServerClient(url, **more)


def _arguments(transport: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `infer`. A request: model, inputs (name, array, binary and perhaps shape), and options.

    outputs: pairs of a name and whether it is wanted in binary form, None for all as the client chooses.
    """
    module, over_http = MODULES[transport], transport.startswith("http")
    inputs = []
    for item in request["inputs"]:
        array = item["array"]
        tensor = module.InferInput(item["name"], list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array, **({"binary_data": item["binary"]} if over_http else {}))
        inputs.append(tensor.set_shape(item["shape"]) if "shape" in item else tensor)
    keywords: dict[str, Any] = {"model_name": request["model"], "inputs": inputs}
    if request.get("outputs") is not None:
        keywords["outputs"] = [
            module.InferRequestedOutput(
                name, **({"binary_data": binary} if over_http else {}), **request.get("output", {})
            )
            for name, binary in request["outputs"]
        ]
    keywords |= {OPTIONS[key]: request[key] for key in OPTIONS if key in request}
    if "compression" in request:
        keywords["request_compression_algorithm" if over_http else "compression_algorithm"] = request["compression"]
    if over_http and "response_compression" in request:
        keywords["response_compression_algorithm"] = request["response_compression"]
    return keywords


def _answer(result: Any) -> dict[str, Any]:
    response = _plain(result.get_response())
    outputs = {output["name"]: result.as_numpy(output["name"]) for output in response["outputs"]}
    return {"response": response, "outputs": {name: _owned(array) for name, array in outputs.items()}}


def _owned(array: Any) -> Any:
    return None if array is None else np.array(array)


def _result(result: Any, error: Exception | None) -> dict[str, Any]:
    return _answer(result) if error is None else {"error": describe(error)}


def _tried(run: Any) -> Any:
    try:
        return run()
    except Exception as error:
        return {"error": describe(error)}


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return MessageToDict(value, preserving_proto_field_name=True)
    return value
