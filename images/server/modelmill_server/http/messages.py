"""What the transport takes and gives: requests, answers, and who answers them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

Headers = list[tuple[str, str]]
Answer = tuple[int, bytes, Headers]
"""HTTP status, body, headers."""

JSON = ("content-type", "application/json")
RETRY_AFTER = ("retry-after", "1")
CLIENT_LEFT = 499  # never written: the status under which a request counts whose client is gone

encode = msgspec.json.Encoder().encode


def nobody() -> None:
    """Take no note."""


@dataclass(slots=True)
class Request:
    """A request whose body is here. path: without query, percent-decoded. headers: by lower-case name, as text.

    begin: when its head was complete, by time.perf_counter. size: bytes that it holds until it is answered; who makes more of
    them adds to it, and calls `grown` where that is not within Handler.handle, on the event loop.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    begin: float
    size: int = 0
    grown: Callable[[], None] = nobody


class Handler(Protocol):
    """What answers requests."""

    @property
    def draining(self) -> bool:
        """Whether every client is to come back on a new connection."""

    def handle(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Return the answer, or what will return it; neither raises."""

    def refused(self, request: Request, status: int) -> None:
        """Take note of a request that the transport answered, or whose client left (499)."""


def write_error(status: int, message: str) -> Answer:
    """Return an answer with the body that every error has: `{"error": message}`."""
    return status, encode({"error": message}), [JSON]


def write_busy(message: str) -> Answer:
    """Return a 503 that asks its client to come back."""
    status, body, headers = write_error(503, message)
    return status, body, [*headers, RETRY_AFTER]
