"""A row of the route table: a path, what the OpenAPI document says of it, and what answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from modelmill.contracts import shadow
from modelmill_server.http.messages import JSON, Answer, Request, encode
from modelmill_server.protocols.openapi_schemas import Schema

GET, POST = "GET", "POST"


@dataclass(frozen=True, slots=True)
class Page:
    """Answers GET and HEAD. answer: returns the answer or what will return it; neither raises."""

    answer: Callable[[Request], Answer | Coroutine[Any, Any, Answer]]
    method = GET


@dataclass(frozen=True, slots=True)
class Inference:
    """Answers POST, is let in and counted as an inference request.

    answer: takes the request and its body, decompressed; returns the answer or what will return it. Both may raise.
    mirrored: path at which every version of the model answers the same; empty for what is never mirrored.
    """

    answer: Callable[[Request, bytes], Answer | Awaitable[Answer]]
    mirrored: str = ""
    method = POST


@dataclass(frozen=True, slots=True)
class Intake:
    """Answers POST, and is no inference.

    answer: takes the request and its body, decompressed; returns the answer, or what will return it, which does not raise;
    may itself raise RejectedError.
    """

    answer: Callable[[Request, bytes], Answer | Coroutine[Any, Any, Answer]]
    method = POST


Endpoint = Page | Inference | Intake


@dataclass(frozen=True, slots=True)
class Route:
    """One path with its one method (GET brings HEAD). operation: its operation object in the OpenAPI document."""

    path: str
    operation: Schema
    endpoint: Endpoint


def is_live(request: Request) -> bool:
    """Tell whether a request is of a client, and not mirrored here by another version."""
    return shadow.HEADER not in request.headers


def in_json(status: int, body: object) -> Answer:
    """Return an answer in JSON."""
    return status, encode(body), [JSON]


def in_text(body: bytes, content_type: str) -> Answer:
    """Return an answer of 200 in another form."""
    return 200, body, [("content-type", content_type)]
