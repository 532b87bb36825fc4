"""Open Inference Protocol V2 over gRPC, beside HTTP on the same event loop.

Source: open-inference-protocol, specification/protocol/inference_grpc.md; for streams, statistics, configuration and index the
extensions of Triton; for health and reflection grpc, doc/health-checking.md and doc/server-reflection.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf import message_factory
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

from modelmill_server.core.admission import TOO_MANY
from modelmill_server.core.execution import Dialect
from modelmill_server.core.model import Output
from modelmill_server.core.service import Loaded, ModelService
from modelmill_server.http.messages import CLIENT_LEFT
from modelmill_server.protocols import inference_pb2 as pb
from modelmill_server.protocols.answers import FEEDBACK_PARAMETER
from modelmill_server.protocols.grpc_messages import (
    MalformedError,
    add_outputs,
    parse_request,
    parse_small,
    read_message,
)
from modelmill_server.protocols.grpc_server import MOST_PROBES, PROBES, Places, Probes, Server
from modelmill_server.protocols.pages import ModelPages, server_metadata
from modelmill_server.protocols.v2 import Reader
from modelmill_server.queries.columns import RejectedError
from modelmill_server.queries.query import Query
from modelmill_server.settings import Settings

log = logging.getLogger("modelmill_server")

SERVICE = "inference.GRPCInferenceService"
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT, 404: grpc.StatusCode.NOT_FOUND, 413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL, 501: grpc.StatusCode.UNIMPLEMENTED, 503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
MOST_CALLS = (
    1000  # open at once, beside those that are let in to be answered: streams that wait, health that is watched
)
Context = Any  # grpc.aio.ServicerContext; grpcio has no types


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told instead of an answer: all that is kept of an exception.

    Its frames hold the request. An abort that is raised while it is handled would keep it, large as it is, until the garbage
    collector comes.
    """

    code: grpc.StatusCode
    message: str

    @classmethod
    def of(cls, error: RejectedError) -> Refusal:
        """Return what is told of an error."""
        if isinstance(error, MalformedError):
            log.info("gRPC: %s", error.message)
        return cls(CODES.get(error.status, grpc.StatusCode.INTERNAL), error.message)

    async def tell(self, context: Context) -> NoReturn:
        """End the call."""
        await context.abort(self.code, self.message)
        raise AssertionError("an abort has returned")


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

    async def model_infer(self, data: bytes, context: Context) -> pb.ModelInferResponse:
        """Answer one inference request."""
        try:
            return await self._infer(data)
        except RejectedError as error:
            refusal = Refusal.of(error)
        return await refusal.tell(context)

    async def model_stream_infer(
        self, messages: AsyncIterator[bytes], _: Context
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """Answer the requests of a stream one after the other; one that is refused does not end the stream."""
        async for data in messages:
            try:
                yield pb.ModelStreamInferResponse(infer_response=await self._infer(data))
            except RejectedError as error:
                yield pb.ModelStreamInferResponse(error_message=error.message)

    async def _infer(self, data: bytes) -> pb.ModelInferResponse:
        """Raises RejectedError."""
        loaded, admission = self._service.loaded, self._service.admission
        if loaded is None or self._reader is None:
            raise RejectedError(503, self._service.why_not)
        begin, status = time.perf_counter(), CLIENT_LEFT
        if not admission.begin():
            admission.refuse(begin, 503)
            raise RejectedError(503, TOO_MANY)
        try:
            answer = await self._predicted(self._reader, parse_request(self._reader, data), len(data))
            status = 200
        except Exception as error:
            told = loaded.execution.rejected(error)
            status = told.status
            try:
                raise told from None
            finally:
                del told  # a frame that holds its own exception keeps the request until the garbage collector comes
        finally:
            admission.end(begin, status)
        return answer

    async def _predicted(self, reader: Reader, request: pb.ModelInferRequest, size: int) -> pb.ModelInferResponse:
        """Raises RejectedError, and whatever the model raises."""
        self._service.check_name(request.model_name, request.model_version)
        dialect: Dialect[pb.ModelInferRequest, pb.ModelInferResponse] = Dialect(
            "grpc",
            lambda given: read_message(reader, given),
            lambda query, outputs, feedback_id: self._response(request, query, outputs, feedback_id),
        )
        made = self._service.perform(dialect, request, size)
        return made if isinstance(made, pb.ModelInferResponse) else await made

    def _response(
        self, request: pb.ModelInferRequest, query: Query, outputs: list[Output], feedback_id: str | None
    ) -> pb.ModelInferResponse:
        """Return the answer; its values are raw when those of the request were."""
        answer = pb.ModelInferResponse(
            model_name=self._service.model_name, model_version=self._service.model_version, id=request.id
        )
        if feedback_id is not None:
            answer.parameters[FEEDBACK_PARAMETER].string_param = feedback_id
        add_outputs(answer, outputs, bool(request.raw_input_contents))
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
            refusal = Refusal.of(error)
        else:
            return pages
        return await refusal.tell(context)


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A server that listens. health: the standard health service."""

    server: Server
    methods: Methods
    health: Any

    async def tell(self, *, serving: bool) -> None:
        """Set what the health service answers, for the server as a whole and for the inference service."""
        state = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self.health.set(name, state)

    @property
    def ended(self) -> bool:
        """Whether it does not take calls any more, be it that it was stopped or that it ended by itself."""
        return not self.server.is_running()

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and end those that run after so long."""
        await self.server.shutdown(seconds)


async def start(service: ModelService, settings: Settings) -> GrpcServer:
    """Start to listen. Raises OSError when the port cannot be had."""
    options = [
        ("grpc.max_receive_message_length", settings.max_request_bytes),
        ("grpc.max_concurrent_streams", MOST_CALLS),
        ("grpc.max_connection_idle_ms", 1000 * settings.idle_seconds),
        ("grpc.so_reuseport", 0),
    ]
    probes = Probes(MOST_PROBES // 2, settings.body_seconds)
    places = Places(MOST_CALLS + settings.max_concurrent, MOST_PROBES)
    server = Server(asyncio.get_running_loop(), None, (), (places,), options, None)
    made = GrpcServer(server, Methods(service), health_aio.HealthServicer())
    names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
    targets = (
        (pb, made.methods, _snake),
        (health_pb2, made.health, str),
        (reflection_pb2, reflection.aio.ReflectionServicer(names), str),
    )
    for module, target, spelling in targets:
        server.add_registered_method_handlers(_handlers(module, target, spelling, probes))
    await made.tell(serving=False)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    if not server.add_insecure_port(f"{host}:{settings.grpc_port}".encode()):
        raise OSError("the port cannot be had")
    await server.start()
    return made


def _handlers(module: Any, target: Any, spelling: Callable[[str], str], probes: Probes) -> dict[str, Any]:
    """Return the handlers of a module's one service by path. target: has its methods, by `spelling` of their names."""
    (service,) = module.DESCRIPTOR.services_by_name.values()
    handlers = {}
    for method in service.methods:
        path = f"/{service.full_name}/{method.name}"
        handler = _handler(getattr(target, spelling(method.name)), method)
        handlers[path] = probes.handler(handler) if path in PROBES else handler
    return handlers


def _handler(function: Any, method: Any) -> Any:
    """Return what grpcio calls with bytes, which are parsed here where `function` does not do that itself."""
    kind = message_factory.GetMessageClass(method.input_type)
    write = message_factory.GetMessageClass(method.output_type).SerializeToString
    if kind is pb.ModelInferRequest:
        make = grpc.stream_stream_rpc_method_handler if method.client_streaming else grpc.unary_unary_rpc_method_handler
        return make(function, None, write)
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_parsed_stream(function, kind), None, write)
    make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
    return make(_parsed(function, kind), None, write)


def _parsed(function: Any, kind: Any) -> Any:
    async def answer(data: bytes, context: Context) -> Any:
        try:
            request = parse_small(kind, data)
        except RejectedError as error:
            refusal = Refusal.of(error)
        else:
            return await function(request, context)
        return await refusal.tell(context)

    return answer


def _parsed_stream(function: Any, kind: Any) -> Any:
    async def answer(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        async def requests() -> AsyncIterator[Any]:
            async for data in messages:
                try:
                    request = parse_small(kind, data)
                except RejectedError as error:
                    refusal = Refusal.of(error)
                else:
                    yield request
                    continue
                await refusal.tell(context)

        async for response in function(requests(), context):
            yield response

    return answer


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
