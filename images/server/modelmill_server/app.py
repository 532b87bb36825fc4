"""Routes, limits, health. All of it runs on one event loop; slow models answer on a small pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from modelmill_server import __version__
from modelmill_server.answers import BINARY_HEADER, Answer, encode, write_error
from modelmill_server.batching import Batcher
from modelmill_server.bodies import decompressed
from modelmill_server.columns import RejectedError, bad
from modelmill_server.http1 import CLIENT_LEFT, Request
from modelmill_server.inference import Api, Inference
from modelmill_server.model import ServedModel
from modelmill_server.monitoring import CONTENT_TYPE, Monitor
from modelmill_server.openapi import document
from modelmill_server.pages import ModelPages, server_metadata, unsupported
from modelmill_server.settings import Settings

TOO_MANY = "too many requests at once; try again later"
RETRY_AFTER = ("retry-after", "1")
INDEX_PATH = "/v2/repository/index"
ALL_STATISTICS_PATH = "/v2/models/stats"

Page = tuple[int, bytes, str]
"""HTTP status, body, content type."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path for POST. answer: from the body and the length of its JSON part; api: when it may be answered in a batch.

    inline: whether a small request may be answered on the event loop.
    """

    answer: Callable[[bytes, int | None], Answer]
    api: Api[bytes, Answer] | None = None
    inline: bool = True


class Application:
    """Answers requests. Before `attach` it answers health checks and says that it is not ready."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model: ServedModel | None = None
        self._monitor: Monitor | None = None
        self.inference: Inference | None = None
        self.batcher: Batcher | None = None
        self.pool = ThreadPoolExecutor(max(2, settings.threads), thread_name_prefix="model")
        self._posts: dict[str, Route] = {}
        self._own_posts: dict[str, Callable[[bytes], Answer]] = {}
        self._pages: dict[str, Callable[[], Page]] = {
            "/": lambda: _json(200, {"status": "alive"}),
            "/v2": lambda: _json(200, server_metadata()),
            "/v2/health/live": lambda: _json(200, {"live": True}),
            "/v2/health/ready": self._ready_page,
            "/ping": self._ready_page,
            "/health": self._ready_page,
            "/version": lambda: (200, __version__.encode(), "text/plain"),
            "/metrics": self._metrics_page,
        }
        self.why_not = "the model is being loaded"
        self.running = 0
        self.last_request = 0.0
        self.draining = False

    def attach(self, model: ServedModel, monitor: Monitor, inference: Inference) -> None:
        """Begin to serve."""
        self._model, self._monitor, self.inference = model, monitor, inference
        self.batcher = inference.batcher(self.pool)
        pages = self.pages = ModelPages(model, monitor)
        for base in (f"/v2/models/{model.name}", f"/v2/models/{model.name}/versions/{model.version}"):
            self._posts[f"{base}/infer"] = self._route(inference.v2)
            self._pages[base] = lambda: _json(200, pages.metadata())
            self._pages[f"{base}/ready"] = self._model_ready_page
            self._pages[f"{base}/config"] = lambda: _json(200, pages.config())
            self._pages[f"{base}/stats"] = lambda: _json(200, pages.statistics())
        self._pages.setdefault(ALL_STATISTICS_PATH, lambda: _json(200, pages.statistics()))
        self._posts[f"/v1/models/{model.name}:predict"] = self._route(inference.v1)
        self._posts[f"/v1/models/{model.name}:explain"] = Route(inference.explain, inline=False)
        self._own_posts["/feedback"] = inference.feedback
        self._own_posts[INDEX_PATH] = lambda _: _answer(_json(200, pages.index(self.why_not)))
        self._posts["/invocations"] = self._route(inference.mlflow)
        self._pages["/v1/models"] = self._pages["/v2/models"] = lambda: _json(200, {"models": [model.name]})
        self._pages[f"/v1/models/{model.name}"] = self._model_ready_page
        openapi = encode(_openapi(model))
        self._pages["/openapi.json"] = lambda: (200, openapi, "application/json")
        self.why_not = ""

    @property
    def model_name(self) -> str:
        """The name of the model in paths; empty before `attach`."""
        return self._model.name if self._model is not None else ""

    @property
    def model_version(self) -> str:
        """The version in paths; empty before `attach`."""
        return self._model.version if self._model is not None else ""

    def check_name(self, name: str, version: str) -> None:
        """Raise RejectedError (404) unless this is the model, and the version, where one is asked for."""
        if name != self.model_name:
            raise RejectedError(404, f"unknown model {name[:100]!r}: this server has {self.model_name!r}")
        if version and version != self.model_version:
            raise RejectedError(404, f"unknown version {version[:100]!r}: this server has {self.model_version!r}")

    def fail(self, why: str) -> None:
        """Say in the readiness answer why the model will not be served."""
        self.why_not = why

    def drain(self) -> None:
        """Be not ready, and ask every client to come back on a new connection; requests are still answered."""
        self.draining = True
        self.why_not = "the server is shutting down"

    def begin(self) -> float | None:
        """Count a request that begins and return when; None when there are too many at once."""
        now = self.last_request = time.perf_counter()
        if self.running >= self._settings.max_concurrent:
            return None
        self._count_running(1)
        return now

    def end(self, begin: float | None, status: int) -> None:
        """Count a request that was answered."""
        assert self._monitor is not None
        if begin is None:
            self._monitor.observe(status, 0.0)
            return
        self._count_running(-1)
        self._monitor.observe(status, time.perf_counter() - begin)

    def _count_running(self, change: int) -> None:
        assert self._monitor is not None
        self.running = self._monitor.in_progress = self.running + change

    def handle(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Return the answer to a request, or what will return it."""
        path, method = request.path, request.method
        if method == "POST":
            route = self._posts.get(path)
            if route is not None:
                return self._post(request, route)
            own = self._own_posts.get(path)
            if own is not None:
                return self._own(request, own)
        elif method in ("GET", "HEAD"):
            page = self._pages.get(path)
            if page is not None:
                return _answer(page())
        return _answer(self._nowhere(method, path))

    def refused(self, request: Request, status: int) -> None:
        """Count an inference request that had no answer of the model: its body did not come, or was too large."""
        if self._monitor is not None and request.method == "POST" and request.path in self._posts:
            self._monitor.observe(status, time.perf_counter() - request.begin)

    def _own(self, request: Request, answer: Callable[[bytes], Answer]) -> Answer:
        """Answer what is no inference and is not counted as such."""
        try:
            return answer(self._plain_body(request))
        except RejectedError as error:
            return write_error(error.status, error.message)

    def _plain_body(self, request: Request) -> bytes:
        """Return the body, decompressed. Raises RejectedError."""
        encoding = request.headers.get("content-encoding")
        if encoding is None:
            return request.body
        return decompressed(request.body, encoding, self._settings.max_request_bytes)

    def _post(self, request: Request, route: Route) -> Answer | Coroutine[Any, Any, Answer]:
        inference = self.inference
        assert inference is not None
        if self.begin() is None:
            self.end(None, 503)
            status, content, extra = write_error(503, TOO_MANY)
            return status, content, [*extra, RETRY_AFTER]
        try:
            json_bytes, body = _json_bytes(request.headers), self._plain_body(request)
        except RejectedError as error:
            self.end(request.begin, error.status)
            return write_error(error.status, error.message)
        if self.batcher is not None and route.api is not None:
            coming = inference.answer_joined(route.api, body, json_bytes, self.batcher)
            return self._coming(request.begin, coming)
        if route.inline and len(body) <= inference.inline_bytes:
            answer = route.answer(body, json_bytes)
            self.end(request.begin, answer[0])
            return answer
        return self._coming(
            request.begin, asyncio.get_running_loop().run_in_executor(self.pool, route.answer, body, json_bytes)
        )

    async def _coming(self, begin: float, coming: Awaitable[Answer]) -> Answer:
        status = CLIENT_LEFT
        try:
            answer = await coming
            status = answer[0]
        finally:
            self.end(begin, status)
        return answer

    def _route(self, api: Api[bytes, Answer]) -> Route:
        inference = self.inference
        assert inference is not None
        return Route(lambda body, json_bytes: inference.answer(api, body, json_bytes), api)

    def _ready_page(self) -> Page:
        if not self.why_not:
            return _json(200, {"live": True, "ready": True})
        return _json(503, {"live": True, "ready": False, "error": self.why_not})

    def _model_ready_page(self) -> Page:
        assert self._model is not None
        if not self.why_not:
            return _json(200, {"name": self._model.name, "ready": True})
        return _json(503, {"name": self._model.name, "ready": False, "error": self.why_not})

    def _metrics_page(self) -> Page:
        text = self._monitor.render() if self._monitor is not None else ""
        return 200, text.encode(), CONTENT_TYPE

    def _nowhere(self, method: str, path: str) -> Page:
        if path in self._pages or path in self._posts or path in self._own_posts:
            return _json(405, {"error": f"{method} is not a method of {path}"})
        if self._model is None:
            return _json(503, {"error": self.why_not})
        why_not = unsupported(path)
        if why_not is not None:
            return _json(501, {"error": why_not})
        parts = path.split("/")
        if len(parts) > 3 and parts[1] in ("v1", "v2") and parts[2] == "models":
            versioned = len(parts) > 5 and parts[4] == "versions"
            try:
                self.check_name(
                    parts[3].partition(":")[0] if parts[1] == "v1" else parts[3], parts[5] if versioned else ""
                )
            except RejectedError as error:
                return _json(error.status, {"error": error.message})
        return _json(404, {"error": f"unknown path {path[:200]!r}"})


def _json_bytes(headers: dict[str, str]) -> int | None:
    """Return the length of the body's JSON part, when tensors follow it. Raises RejectedError when it is no number."""
    text = headers.get(BINARY_HEADER)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise bad(f"Inference-Header-Content-Length is {text[:50]!r}: it must be a number of bytes")
    return int(text)


def _openapi(model: ServedModel) -> dict[str, Any]:
    signature = model.artifact.manifest.signature
    return document(model.name, model.version, __version__, signature.inputs, signature.outputs, task=signature.task)


def _answer(page: Page) -> Answer:
    status, body, kind = page
    headers = [("content-type", kind)]
    if status == 405:
        headers.append(("allow", "GET, POST"))
    return status, body, headers


def _json(status: int, body: Any) -> Page:
    return status, encode(body), "application/json"
