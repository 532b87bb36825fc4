"""Open Inference Protocol V2 over gRPC, beside HTTP on the same event loop.

Source: open-inference-protocol, specification/protocol/inference_grpc.md; for streams, statistics, configuration and index the
extensions of Triton.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from modelmill_server.core.admission import TOO_MANY
from modelmill_server.core.execution import Dialect
from modelmill_server.core.model import Output
from modelmill_server.core.service import Loaded, ModelService
from modelmill_server.http.messages import CLIENT_LEFT
from modelmill_server.protocols import binary
from modelmill_server.protocols import inference_pb2 as pb
from modelmill_server.protocols.answers import FEEDBACK_PARAMETER
from modelmill_server.protocols.pages import ModelPages, server_metadata
from modelmill_server.protocols.v2 import SHARED_MEMORY, InferRequest, InputTensor, OutputChoice, Reader
from modelmill_server.queries.columns import RejectedError, bad
from modelmill_server.queries.query import Query
from modelmill_server.settings import Settings

SERVICE = "inference.GRPCInferenceService"
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT, 404: grpc.StatusCode.NOT_FOUND, 413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL, 501: grpc.StatusCode.UNIMPLEMENTED, 503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip

Context = Any  # grpc.aio.ServicerContext; grpcio has no types


class Methods:
    """The methods of the protocol for the one model."""

    def __init__(self, service: ModelService) -> None:
        self._service = service
        self._pages: ModelPages | None = None
        self._reader: Reader | None = None

    def attach(self, loaded: Loaded, reader: Reader) -> None:
        """Begin to serve a model that has been attached to the service."""
        self._reader = reader
        self._pages = ModelPages(loaded.model, loaded.monitor)

    async def server_live(self, _: pb.ServerLiveRequest, __: Context) -> pb.ServerLiveResponse:
        """Answer that the process answers."""
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, _: pb.ServerReadyRequest, __: Context) -> pb.ServerReadyResponse:
        """Answer whether requests may be sent here."""
        return pb.ServerReadyResponse(ready=not self._service.why_not)

    async def model_ready(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        """Answer whether the model may be asked."""
        if self._pages is not None:
            await self._require(request.name, request.version, context)
        return pb.ModelReadyResponse(ready=not self._service.why_not)

    async def server_metadata(self, _: pb.ServerMetadataRequest, __: Context) -> pb.ServerMetadataResponse:
        """Answer what this server is."""
        return pb.ServerMetadataResponse(**server_metadata())

    async def model_metadata(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:
        """Answer the model's inputs and outputs."""
        pages = await self._require(request.name, request.version, context)
        metadata = pages.metadata()
        del metadata["parameters"]
        return pb.ModelMetadataResponse(**metadata)

    async def model_config(self, request: pb.ModelConfigRequest, context: Context) -> pb.ModelConfigResponse:
        """Answer the configuration."""
        pages = await self._require(request.name, request.version, context)
        config = pages.config()
        del config["version_policy"]
        return pb.ModelConfigResponse(config=pb.ModelConfig(**config))

    async def model_statistics(
        self, request: pb.ModelStatisticsRequest, context: Context
    ) -> pb.ModelStatisticsResponse:
        """Answer what was counted; without a name, of every model."""
        pages = await self._require(request.name or self._service.model_name, request.version, context)
        return pb.ModelStatisticsResponse(**pages.statistics())

    async def repository_index(self, _: pb.RepositoryIndexRequest, context: Context) -> pb.RepositoryIndexResponse:
        """Answer the one model."""
        pages = await self._require(self._service.model_name, "", context)
        return pb.RepositoryIndexResponse(models=pages.index(self._service.why_not))

    async def model_infer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        """Answer one inference request."""
        try:
            return await self._infer(request)
        except RejectedError as error:
            await context.abort(CODES.get(error.status, grpc.StatusCode.INTERNAL), error.message)
            raise

    async def model_stream_infer(
        self, requests: AsyncIterator[pb.ModelInferRequest], _: Context
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """Answer the requests of a stream one after the other; one that is refused does not end the stream."""
        async for request in requests:
            try:
                yield pb.ModelStreamInferResponse(infer_response=await self._infer(request))
            except RejectedError as error:
                yield pb.ModelStreamInferResponse(error_message=error.message)

    async def _infer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Raises RejectedError."""
        loaded, admission = self._service.loaded, self._service.admission
        if loaded is None or self._reader is None:
            raise RejectedError(503, self._service.why_not)
        begin, status = time.perf_counter(), CLIENT_LEFT
        if not admission.begin():
            admission.refuse(begin, 503)
            raise RejectedError(503, TOO_MANY)
        try:
            answer = await self._predicted(self._reader, request)
            status = 200
        except Exception as error:
            told = loaded.execution.rejected(error)
            status = told.status
            raise told from None
        finally:
            admission.end(begin, status)
        return answer

    async def _predicted(self, reader: Reader, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Raises RejectedError, and whatever the model raises."""
        self._service.check_name(request.model_name, request.model_version)
        dialect: Dialect[pb.ModelInferRequest, pb.ModelInferResponse] = Dialect(
            "grpc",
            lambda given: read_message(reader, given),
            lambda query, outputs, feedback_id: self._response(request, query, outputs, feedback_id),
        )
        made = self._service.perform(dialect, request, request.ByteSize())
        return made if isinstance(made, pb.ModelInferResponse) else await made

    def _response(
        self, request: pb.ModelInferRequest, query: Query, outputs: list[Output], feedback_id: str | None
    ) -> pb.ModelInferResponse:
        """Return the answer; its values are raw when those of the request were, or where contents have no form for them."""
        answer = pb.ModelInferResponse(
            model_name=self._service.model_name, model_version=self._service.model_version, id=request.id
        )
        if feedback_id is not None:
            answer.parameters[FEEDBACK_PARAMETER].string_param = feedback_id
        raw = bool(request.raw_input_contents) or any(output.datatype not in CONTENTS for output in outputs)
        for output in outputs:
            tensor = answer.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
            if raw:
                answer.raw_output_contents.append(binary.write(output.array, output.datatype))
                continue
            values: list[Any] = output.data
            if output.datatype == "BYTES":
                values = [str(value).encode() for value in values]
            getattr(tensor.contents, CONTENTS[output.datatype]).extend(values)
        return answer

    async def _require(self, name: str, version: str, context: Context) -> ModelPages:
        """Return what there is to say about the model; abort when it is another one, or not there yet."""
        pages = self._pages
        if pages is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, self._service.why_not)
            raise RejectedError(503, self._service.why_not)
        try:
            self._service.check_name(name, version)
        except RejectedError as error:
            await context.abort(CODES[error.status], error.message)
        return pages


def read_message(reader: Reader, request: pb.ModelInferRequest) -> Query:
    """Return the query. Raises RejectedError."""
    inputs = [InputTensor(tensor.name, list(tensor.shape), tensor.datatype) for tensor in request.inputs]
    outputs = [OutputChoice(output.name, _plain(output.parameters)) for output in request.outputs]
    raw = request.raw_input_contents
    if raw and len(raw) != len(inputs):
        raise bad(f"raw_input_contents has {len(raw)} entries: there must be one for each of the {len(inputs)} inputs")
    blobs: list[Any]
    if raw:
        blobs = [memoryview(content) for content in raw]
    else:
        blobs = [None if reader.ignores(tensor.name) else _values(tensor) for tensor in request.inputs]
    return reader.query(InferRequest(inputs, request.id or None, outputs or None), blobs)


def _values(tensor: pb.ModelInferRequest.InferInputTensor) -> Any:
    """Return the values of a tensor that are not raw. Raises RejectedError."""
    name, datatype = tensor.name[:100], tensor.datatype
    if SHARED_MEMORY in tensor.parameters:
        raise bad(f"input {name!r} is in shared memory: that is not supported, send its contents")
    field = CONTENTS.get(datatype)
    if field is None:
        form = "it is taken in raw_input_contents only" if datatype in binary.DTYPES else "it is not known"
        raise bad(f"input {name!r} has datatype {datatype[:20]!r}: {form}")
    values: Sequence[Any] = getattr(tensor.contents, field)
    if datatype == "BYTES":
        try:
            return [value.decode() for value in values]
        except UnicodeDecodeError:
            raise bad(f"input {name!r} has text that is not UTF-8", name, "type") from None
    try:
        return np.array(values, binary.DTYPES[datatype])
    except OverflowError:
        raise bad(f"input {name!r} has a number out of range of {datatype}", name, "range") from None


def _plain(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any] | None:
    plain = {
        name: getattr(value, value.WhichOneof("parameter_choice") or "", None) for name, value in parameters.items()
    }
    return plain or None


class _Refusals(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Says of every method that is not there that this server does not have it, in words."""

    def service(self, details: Any) -> Any:
        async def refuse(_: bytes, context: Context) -> bytes:
            words = f"{details.method} is not supported: this server has one model, which never changes"
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, words)
            return b""

        return grpc.unary_unary_rpc_method_handler(refuse)


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A server that listens. server: a grpc.aio.Server."""

    server: Any
    methods: Methods


async def start(service: ModelService, settings: Settings) -> GrpcServer:
    """Start to listen. Raises OSError when the port cannot be had."""
    methods = Methods(service)
    options = [("grpc.max_receive_message_length", settings.max_request_bytes), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=None)
    handlers = {
        method.name: _handler(getattr(methods, _snake(method.name)), method)
        for method in pb.DESCRIPTOR.services_by_name[SERVICE.partition(".")[2]].methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers), _Refusals()))
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        server.add_insecure_port(f"{host}:{settings.grpc_port}")
    except RuntimeError as error:
        raise OSError(str(error)) from None
    await server.start()
    return GrpcServer(server, methods)


def _handler(function: Any, method: Any) -> Any:
    make = grpc.stream_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
    read = getattr(pb, method.input_type.name).FromString
    return make(function, read, getattr(pb, method.output_type.name).SerializeToString)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
