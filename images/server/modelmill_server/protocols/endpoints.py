"""What answers the paths of one model."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import Any

from modelmill_server.core.explanation import Explainer
from modelmill_server.core.service import Loaded, ModelService
from modelmill_server.http.messages import Answer, Request, encode
from modelmill_server.protocols.answers import BINARY_HEADER, headers
from modelmill_server.protocols.dialects import Dialects
from modelmill_server.protocols.feedback import Feedback
from modelmill_server.protocols.pages import ModelPages
from modelmill_server.protocols.peers import PROOF_HEADER, Peers
from modelmill_server.protocols.routes import in_json, is_live
from modelmill_server.queries.columns import bad
from modelmill_server.settings import Settings

Coming = Answer | Awaitable[Answer]


class ModelEndpoints:
    """The endpoints of one model; those that take a body raise RejectedError, and whatever the model raises."""

    def __init__(self, service: ModelService, loaded: Loaded, dialects: Dialects, settings: Settings) -> None:
        self._service = service
        self._pages = ModelPages(loaded.model, loaded.monitor)
        self._name = loaded.model.name
        self._dialects = dialects
        self._explainer = Explainer(loaded.model, settings.max_rows)
        peers = Peers(settings.feedback_peers, settings.port) if settings.feedback_peers else None
        self._feedback = Feedback(loaded.execution.tokens, loaded.execution.scores, peers)
        self._document = b""

    def publish(self, document: object) -> None:
        """Set what `/openapi.json` answers."""
        self._document = encode(document)

    # Inference.

    def v2(self, request: Request, body: bytes) -> Coming:
        """Answer V2 `infer`."""
        length = request.headers.get(BINARY_HEADER)
        json_bytes = None if length is None else _json_bytes(length)
        return self._service.perform(self._dialects.v2, (body, json_bytes), len(body), live=is_live(request))

    def v1(self, request: Request, body: bytes) -> Coming:
        """Answer V1 `:predict`."""
        return self._service.perform(self._dialects.v1, body, len(body), live=is_live(request))

    def mlflow(self, request: Request, body: bytes) -> Coming:
        """Answer `/invocations`."""
        return self._service.perform(self._dialects.mlflow, body, len(body), live=is_live(request))

    def explain(self, _: Request, body: bytes) -> Coming:
        """Answer V1 `:explain`, which asks the model for many rows: never on the event loop."""
        return self._service.in_pool(lambda: self._explained(body))

    def _explained(self, body: bytes) -> Answer:
        return 200, encode(self._explainer.explain(self._dialects.v1.read(body))), headers(None)

    # Bodies that are no inference.

    def feedback(self, request: Request, body: bytes) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer `POST /feedback`."""
        made = self._feedback.handle(body, request.headers.get(PROOF_HEADER, ""))
        return (*made, headers(None)) if isinstance(made, tuple) else self._fed_back(made)

    async def _fed_back(self, coming: Awaitable[tuple[int, bytes]]) -> Answer:
        return (*await coming, headers(None))

    def index(self, _: Request, __: bytes) -> Answer:
        """Answer the repository index."""
        return in_json(200, self._pages.index(self._service.why_not))

    # Pages.

    def metadata(self, _: Request) -> Answer:
        """Answer V2's metadata."""
        return in_json(200, self._pages.metadata())

    def config(self, _: Request) -> Answer:
        """Answer V2's model configuration."""
        return in_json(200, self._pages.config())

    def statistics(self, _: Request) -> Answer:
        """Answer V2's statistics."""
        return in_json(200, self._pages.statistics())

    def models(self, _: Request) -> Answer:
        """Answer the names of the models: one."""
        return in_json(200, {"models": [self._name]})

    def ready(self, _: Request) -> Answer:
        """Answer whether the model may be asked."""
        why_not = self._service.why_not
        if not why_not:
            return in_json(200, {"name": self._name, "ready": True})
        return in_json(503, {"name": self._name, "ready": False, "error": why_not})

    def openapi(self, _: Request) -> Answer:
        """Answer the OpenAPI document."""
        return 200, self._document, headers(None)


def _json_bytes(text: str) -> int:
    """Return the length of the body's JSON part, when tensors follow it. Raises RejectedError when it is no number."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise bad(f"Inference-Header-Content-Length is {text[:50]!r}: it must be a number of bytes")
    return int(text)
