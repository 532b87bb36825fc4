"""Dispatch: from a request to the row of the route table that answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from prometheus_client.core import Metric

from modelmill_server.core.admission import TOO_MANY
from modelmill_server.core.service import Loaded, ModelService
from modelmill_server.http.messages import CLIENT_LEFT, Answer, Headers, Request, write_busy, write_error
from modelmill_server.protocols import table
from modelmill_server.protocols.bodies import (
    INLINE_BYTES,
    INLINE_COMPRESSED,
    LEAST_BYTES,
    chosen_encoding,
    compressed,
    decompressed,
    is_read,
)
from modelmill_server.protocols.dialects import Dialects
from modelmill_server.protocols.endpoints import ModelEndpoints
from modelmill_server.protocols.openapi import About, document
from modelmill_server.protocols.pages import ServerPages, unsupported
from modelmill_server.protocols.routes import POST, Inference, Intake, Page, Route, is_live
from modelmill_server.queries.columns import RejectedError
from modelmill_server.settings import Settings
from modelmill_server.telemetry.exposition import Exposition

INTAKE_BYTES = 64 * 1024  # of a body that is no inference, decompressed on the event loop
VARY = ("vary", "accept-encoding")


class Mirror(Protocol):
    """Sends requests that were answered to another version, too; see `modelmill_server.shadow`."""

    def wants(self) -> bool:
        """Tell whether the next request is in the sample."""

    def offer(self, path: str, request: Request, answer: Answer) -> None:
        """Mirror a request, later; `answer` is what its client gets. Never blocks, never raises."""

    def families(self) -> Iterable[Metric]:
        """Yield the families of what was mirrored."""


class Application:
    """Answers requests. Before `attach` it answers health checks and says that it is not ready.

    routes: the rows that are answered.
    """

    def __init__(self, service: ModelService, settings: Settings) -> None:
        self._service = service
        self._mirror: Mirror | None = None
        self._settings = settings
        self._admission = service.admission
        self._pages: dict[str, Page] = {}
        self._inferences: dict[str, Inference] = {}
        self._intakes: dict[str, Intake] = {}
        self._exposition = Exposition()
        self.routes = table.of_server(ServerPages(service, self._exposition))
        self._add(self.routes)

    @property
    def draining(self) -> bool:
        """Whether every client is to come back on a new connection."""
        return self._service.draining

    def attach(self, loaded: Loaded, dialects: Dialects, mirror: Mirror | None = None) -> None:
        """Begin to serve: a model that has been attached to the service."""
        self._mirror = mirror
        endpoints = ModelEndpoints(self._service, loaded, dialects, self._settings)
        about = About(loaded.model.name, loaded.model.version, loaded.model.artifact.manifest.signature)
        of_model = table.of_model(about, endpoints)
        self.routes += of_model
        endpoints.publish(document(about, self.routes))
        self._exposition.sources = [*loaded.families(), *((mirror.families,) if mirror is not None else ())]
        self._add(of_model)

    def _add(self, routes: Sequence[Route]) -> None:
        """Take rows of the table; of two with the same path and method, the first counts."""
        for route in routes:
            endpoint = route.endpoint
            if isinstance(endpoint, Page):
                self._pages.setdefault(route.path, endpoint)
            elif isinstance(endpoint, Inference):
                self._inferences.setdefault(route.path, endpoint)
            else:
                self._intakes.setdefault(route.path, endpoint)

    def handle(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Return the answer to a request, or what will return it."""
        path, method = request.path, request.method
        if method == POST:
            inference = self._inferences.get(path)
            if inference is not None:
                return self._infer(request, inference)
            intake = self._intakes.get(path)
            if intake is not None:
                return self._take(request, intake)
        elif method in ("GET", "HEAD"):
            page = self._pages.get(path)
            if page is not None:
                return self._encoded(request, page.answer(request))
        return self._nowhere(method, path)

    def refused(self, request: Request, status: int) -> None:
        """Count an inference request that had no answer of the model: its body did not come, or was too large."""
        if request.method == POST and request.path in self._inferences:
            self._admission.refuse(request.begin, status)

    def _take(self, request: Request, intake: Intake) -> Answer | Coroutine[Any, Any, Answer]:
        try:
            return intake.answer(
                request, self._plain_body(request, min(INTAKE_BYTES, self._settings.max_request_bytes))
            )
        except RejectedError as error:
            return write_error(error.status, error.message)

    def _plain_body(self, request: Request, most: int) -> bytes:
        """Return the body, decompressed to `most` bytes, when it is of a type that is read. Raises RejectedError."""
        headers = request.headers
        content_type = headers.get("content-type")
        if content_type is not None and not is_read(content_type):
            raise RejectedError(415, f"content-type {content_type[:50]!r} is not read here: send application/json")
        encoding = headers.get("content-encoding")
        if encoding is None:
            return request.body
        plain = decompressed(request.body, encoding, most)
        request.size += len(plain)
        return plain

    def _infer(self, request: Request, inference: Inference) -> Answer | Coroutine[Any, Any, Answer]:
        if not self._admission.begin():
            self._admission.refuse(request.begin, 503)
            return write_busy(TOO_MANY)
        made: Answer | Awaitable[Answer]
        try:
            if len(request.body) > INLINE_COMPRESSED and "content-encoding" in request.headers:
                made = self._decompressed(request, inference)
            else:
                made = inference.answer(request, self._plain_body(request, self._settings.max_request_bytes))
            if self._mirror is not None and inference.mirrored and is_live(request) and self._mirror.wants():
                made = self._offered(self._mirror, inference.mirrored, request, made)
        except Exception as error:
            made = self._refusal(error, request)
        encoded = self._encoded(request, made)
        if isinstance(encoded, tuple):
            self._admission.end(request.begin, encoded[0])
            return encoded
        return self._coming(request, encoded)

    def _offered(
        self, mirror: Mirror, path: str, request: Request, made: Answer | Awaitable[Answer]
    ) -> Answer | Awaitable[Answer]:
        """Return the answer; its request is mirrored once it is there, if it is one of the model."""
        if not isinstance(made, tuple):
            return self._offered_later(mirror, path, request, made)
        mirror.offer(path, request, made)
        return made

    async def _offered_later(self, mirror: Mirror, path: str, request: Request, coming: Awaitable[Answer]) -> Answer:
        answer = await coming
        mirror.offer(path, request, answer)
        return answer

    async def _decompressed(self, request: Request, inference: Inference) -> Answer:
        """Answer a request whose body is decompressed beside the event loop."""
        body = await self._service.in_pool(lambda: self._plain_body(request, self._settings.max_request_bytes))
        request.grown()
        made = inference.answer(request, body)
        return made if isinstance(made, tuple) else await made

    def _encoded(self, request: Request, made: Answer | Awaitable[Answer]) -> Answer | Coroutine[Any, Any, Answer]:
        """Return the answer in the encoding that the client prefers; a large one is compressed beside the event loop."""
        if not isinstance(made, tuple):
            return self._encoded_later(request, made)
        status, body, headers = made
        if len(body) < LEAST_BYTES:
            return made
        encoding = chosen_encoding(request.headers.get("accept-encoding", ""))
        if encoding is None:
            return status, body, [*headers, VARY]
        headers = [*headers, VARY, ("content-encoding", encoding)]
        if len(body) <= INLINE_BYTES:
            return status, compressed(body, encoding), headers
        return self._compressed(status, body, headers, encoding)

    async def _compressed(self, status: int, body: bytes, headers: Headers, encoding: str) -> Answer:
        return status, await self._service.in_pool(lambda: compressed(body, encoding)), headers

    async def _encoded_later(self, request: Request, coming: Awaitable[Answer]) -> Answer:
        encoded = self._encoded(request, await coming)
        return encoded if isinstance(encoded, tuple) else await encoded

    async def _coming(self, request: Request, coming: Awaitable[Answer]) -> Answer:
        status = CLIENT_LEFT
        try:
            answer = await coming
            status = answer[0]
        except Exception as error:
            answer = self._refusal(error, request)
            status = answer[0]
        finally:
            self._admission.end(request.begin, status)
        return answer

    def _refusal(self, error: Exception, request: Request) -> Answer:
        loaded = self._service.loaded
        assert loaded is not None
        told = loaded.execution.rejected(error, live=is_live(request))
        return write_error(told.status, told.message)

    def _nowhere(self, method: str, path: str) -> Answer:
        if path in self._pages or path in self._inferences or path in self._intakes:
            status, content, headers = write_error(405, f"{method} is not a method of {path}")
            return status, content, [*headers, ("allow", "GET, POST")]
        service = self._service
        if service.loaded is None:
            return write_error(503, service.why_not)
        why_not = unsupported(path)
        if why_not is not None:
            return write_error(501, why_not)
        parts = path.split("/")
        if len(parts) > 3 and parts[1] in ("v1", "v2") and parts[2] == "models":
            name = parts[3].partition(":")[0] if parts[1] == "v1" else parts[3]
            versioned = len(parts) > 5 and parts[4] == "versions"
            try:
                service.check_name(name, parts[5].partition(":")[0] if versioned else "")
            except RejectedError as error:
                return write_error(error.status, error.message)
        return write_error(404, f"unknown path {path[:200]!r}")
