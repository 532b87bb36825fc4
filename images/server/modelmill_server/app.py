"""The RSGI application: routes, limits, health. All of it runs on one event loop; slow models answer on a small pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from modelmill_server import __version__
from modelmill_server.columns import RejectedError
from modelmill_server.inference import Answer, Inference, encode, error_body
from modelmill_server.model import ServedModel
from modelmill_server.monitoring import CONTENT_TYPE, Monitor
from modelmill_server.settings import Settings

JSON = [("content-type", "application/json")]
JSON_CLOSE = [*JSON, ("connection", "close")]
BINARY_HEADER = "inference-header-content-length"
SERVER_METADATA = {"name": "modelmill-server", "version": __version__, "extensions": ["model_repository"]}

Handler = Callable[[bytes], Answer]
Page = tuple[int, bytes, str]
"""HTTP status, body, content type."""


class Application:
    """What granian calls for each request. Before `attach` it answers health checks and says that it is not ready."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model: ServedModel | None = None
        self._monitor: Monitor | None = None
        self._inference: Inference | None = None
        self._pool = ThreadPoolExecutor(max(2, settings.threads), thread_name_prefix="model")
        self._posts: dict[str, Handler] = {}
        self._pages: dict[str, Callable[[], Page]] = {
            "/": lambda: _json(200, {"status": "alive"}),
            "/v2": lambda: _json(200, SERVER_METADATA),
            "/v2/health/live": lambda: _json(200, {"live": True}),
            "/v2/health/ready": self._ready_page,
            "/ping": self._ready_page,
            "/health": self._ready_page,
            "/version": lambda: (200, __version__.encode(), "text/plain"),
            "/metrics": self._metrics_page,
        }
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._why_not = "the model is being loaded"
        self.running = 0
        self.last_request = 0.0
        self.draining = False

    def attach(self, model: ServedModel, monitor: Monitor, inference: Inference) -> None:
        """Begin to serve."""
        self._model, self._monitor, self._inference = model, monitor, inference
        for base in (f"/v2/models/{model.name}", f"/v2/models/{model.name}/versions/{model.version}"):
            self._posts[f"{base}/infer"] = inference.v2
            self._pages[base] = self._metadata_page
            self._pages[f"{base}/ready"] = self._model_ready_page
        self._posts[f"/v1/models/{model.name}:predict"] = inference.v1
        self._posts["/invocations"] = inference.mlflow
        self._pages["/v1/models"] = self._pages["/v2/models"] = lambda: _json(200, {"models": [model.name]})
        self._pages[f"/v1/models/{model.name}"] = self._model_ready_page
        self._why_not = ""

    def fail(self, why: str) -> None:
        """Say in the readiness answer why the model will not be served."""
        self._why_not = why

    def drain(self) -> None:
        """Be not ready, and ask every client to come back on a new connection; requests are still answered."""
        self.draining = True
        self._why_not = "the server is shutting down"

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        path: str = scope.path
        method: str = scope.method
        if method == "POST":
            handler = self._posts.get(path)
            if handler is not None:
                await self._infer(scope, proto, handler)
                return
            if path == "/v2/repository/index" and self._model is not None:
                self._send(proto, *_json(200, self._index(self._model)))
                return
        elif method in ("GET", "HEAD"):
            page = self._pages.get(path)
            if page is not None:
                self._send(proto, *page())
                return
        self._send(proto, *self._nowhere(method, path))

    async def _infer(self, scope: Any, proto: Any, handler: Handler) -> None:
        begin = time.perf_counter()
        monitor, inference = self._monitor, self._inference
        assert monitor is not None
        assert inference is not None
        extra: list[tuple[str, str]] = []
        self.last_request = begin
        if self.running >= self._settings.max_concurrent:
            status, answer = 503, error_body("too many requests at once; try again later")
            extra = [("retry-after", "1")]
        else:
            self.running = monitor.in_progress = self.running + 1
            try:
                body = await self._body(scope, proto)
                if len(body) <= inference.inline_bytes:
                    status, answer = handler(body)
                else:
                    status, answer = await asyncio.get_running_loop().run_in_executor(self._pool, handler, body)
            except RejectedError as error:
                status, answer = error.status, error_body(error.message)
                if status in (408, 413) and not self.draining:
                    extra = [("connection", "close")]
            except ProtocolClosed:
                status, answer = 499, b""  # the client left before its body was here; nobody reads the answer
            finally:
                self.running = monitor.in_progress = self.running - 1
        monitor.observe(status, time.perf_counter() - begin)
        headers = JSON_CLOSE if self.draining else JSON
        proto.response_bytes(status, headers + extra if extra else headers, answer)

    async def _body(self, scope: Any, proto: Any) -> bytes:
        """Return the request's body.

        Raises RejectedError: 413 over the limit, 408 when it comes too slowly, 501 for binary tensors.
        """
        headers, most = scope.headers, self._settings.max_request_bytes
        length = headers.get("content-length")
        if BINARY_HEADER in headers:
            raise RejectedError(
                501, "binary tensors are not supported: send JSON data (binary_data=False in the client)"
            )
        task = asyncio.current_task()
        assert task is not None
        self._reading[task] = time.monotonic()
        try:
            if length is not None and int(length) <= most:
                return bytes(await proto())
            if length is None and "transfer-encoding" not in headers:
                return b""
            return await _bounded(proto, most, discard="expect" not in headers)
        except asyncio.CancelledError:
            if task not in self._reading:  # cancelled by cut_slow_bodies
                task.uncancel()
                raise RejectedError(408, f"the body did not arrive within {self._settings.body_seconds} s") from None
            raise
        finally:
            self._reading.pop(task, None)

    def cut_slow_bodies(self) -> None:
        """End the requests whose body takes longer than its time. To be called about once a second."""
        late = time.monotonic() - self._settings.body_seconds
        for task, since in list(self._reading.items()):
            if since < late:
                del self._reading[task]
                task.cancel()

    def _send(self, proto: Any, status: int, body: bytes, kind: str) -> None:
        headers = [("content-type", kind)]
        if self.draining:
            headers.append(("connection", "close"))
        if status == 405:
            headers.append(("allow", "GET, POST"))
        proto.response_bytes(status, headers, body)

    def _ready_page(self) -> Page:
        if not self._why_not:
            return _json(200, {"live": True, "ready": True})
        return _json(503, {"live": True, "ready": False, "error": self._why_not})

    def _model_ready_page(self) -> Page:
        assert self._model is not None
        if not self._why_not:
            return _json(200, {"name": self._model.name, "ready": True})
        return _json(503, {"name": self._model.name, "ready": False, "error": self._why_not})

    def _metrics_page(self) -> Page:
        text = self._monitor.render() if self._monitor is not None else ""
        return 200, text.encode(), CONTENT_TYPE

    def _metadata_page(self) -> Page:
        assert self._model is not None
        model, signature = self._model, self._model.artifact.manifest.signature
        return _json(
            200,
            {
                "name": model.name,
                "versions": [model.version],
                "platform": "onnx_onnxv1" if model.artifact.manifest.format == "onnx" else "sklearn_skops",
                "inputs": [_tensor(tensor) for tensor in signature.inputs],
                "outputs": [_tensor(tensor) for tensor in signature.outputs],
                "parameters": {
                    "engine": model.engine.name,
                    "digest": model.artifact.digest,
                    "task": signature.task,
                    "nullable": ",".join(tensor.name for tensor in signature.inputs if tensor.nullable),
                },
            },
        )

    def _index(self, model: ServedModel) -> list[dict[str, str]]:
        state = "UNAVAILABLE" if self._why_not else "READY"
        return [{"name": model.name, "version": model.version, "state": state, "reason": self._why_not}]

    def _nowhere(self, method: str, path: str) -> Page:
        if path in self._pages or path in self._posts or path == "/v2/repository/index":
            return _json(405, {"error": f"{method} is not a method of {path}"})
        model = self._model
        if model is None and path not in self._pages:
            return _json(503, {"error": self._why_not})
        parts = path.split("/")
        if model is not None and len(parts) > 3 and parts[1] in ("v1", "v2") and parts[2] == "models":
            name = parts[3].partition(":")[0] if parts[1] == "v1" else parts[3]
            if name != model.name:
                return _json(404, {"error": f"unknown model {name[:100]!r}: this server has {model.name!r}"})
            if len(parts) > 5 and parts[4] == "versions" and parts[5] != model.version:
                return _json(404, {"error": f"unknown version {parts[5][:100]!r}: this server has {model.version!r}"})
        return _json(404, {"error": f"unknown path {path[:200]!r}"})


async def _bounded(proto: Any, most: int, *, discard: bool) -> bytes:
    """Return a body that came without a length, or in pieces, of at most `most` bytes. Raises RejectedError (413).

    A body that is somewhat too large is read to its end, since a client that is still sending would not see the answer.
    """
    chunks: list[bytes] = []
    seen = 0
    async for chunk in proto:
        seen += len(chunk)
        if seen <= most:
            chunks.append(chunk)
        elif not discard or seen > 4 * most:
            break
        else:
            chunks.clear()
    if seen > most:
        raise RejectedError(413, f"the request is larger than {most} bytes")
    return b"".join(chunks)


def _json(status: int, document: Any) -> Page:
    return status, encode(document), "application/json"


def _tensor(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
