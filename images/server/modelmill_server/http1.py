"""HTTP/1.1 on the event loop: one connection is one object, its requests are answered one after the other.

The bytes are parsed by httptools (llhttp, strict). A request whose answer is there at once never leaves the callback that
brought its last byte: no task, no second thread, one write. Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

import httptools

from modelmill_server.answers import Answer, write_error

log = logging.getLogger("modelmill_server")

MAX_HEAD_BYTES = 64 * 1024
MAX_PIPELINED = 16  # requests of one connection that wait; then it is not read from
READ_ANYWAY = (
    4  # times the limit: a body up to there is read to its end, since its client would not see the answer before
)
FIRST_REQUEST_SECONDS = 1.0  # for a connection that was just made when the server ends
LINGER_SECONDS = 2.0  # a client that is still sending gets so long to read why it was refused
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NEVER = float("inf")
OFFER = ("connection", "upgrade", "http2-settings")
FIRST_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
CLIENT_LEFT = 499


@dataclass(slots=True)
class Request:
    """A request whose body is here. path: without query, percent-decoded. headers: by lower-case name, as text.

    begin: when its head was complete, by time.perf_counter.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    begin: float


class Handler(Protocol):
    """What answers requests."""

    draining: bool

    def handle(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Return the answer, or what will return it; neither raises."""

    def refused(self, request: Request, status: int) -> None:
        """Take note of a request that was answered here, or whose client left (499)."""


@dataclass(slots=True)
class Limits:
    """Bounds of connections: bytes of a body, seconds for a body and for the head of the next request, connections at once."""

    body_bytes: int
    body_seconds: float
    idle_seconds: float
    connections: int = 8192


class Connections:
    """All connections of one server. `sweep` is to be called about once a second."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.handler = handler
        self.limits = limits
        self.open: set[Connection] = set()
        self.closing = False
        self._date = b""
        self._date_second = 0

    def make(self) -> Connection:
        """Return the protocol of a new connection (a factory for `loop.create_server`)."""
        return Connection(self)

    def sweep(self) -> None:
        """End what takes too long."""
        now = time.monotonic()
        for connection in [one for one in self.open if one.deadline < now]:
            connection.expire()

    def date(self) -> bytes:
        """Return the Date header."""
        second = int(time.time())
        if second != self._date_second:
            self._date_second = second
            self._date = b"date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        return self._date

    async def close(self, seconds: float) -> None:
        """Close connections between requests now, and the others when their request was answered, within `seconds`."""
        self.closing = True
        for connection in list(self.open):
            connection.close_soon()
        end = time.monotonic() + seconds
        while self.open and time.monotonic() < end:
            self.sweep()
            await asyncio.sleep(0.02)
        for connection in list(self.open):
            connection.abort()


@dataclass(slots=True)
class _Head:
    """The request that is being read.

    size: bytes that came since the last ones of a body. seen: `body_size` when the last bytes had come. in_trailer: what comes
    as a header is behind the body.
    """

    url: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0
    complete: bool = False
    body: list[bytes] = field(default_factory=list)
    body_size: int = 0
    seen: int = 0
    in_trailer: bool = False
    begin: float = 0.0


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, owner: Connections) -> None:
        self._owner = owner
        self._handler = owner.handler
        self._limits = owner.limits
        self._transport: Any = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._head: _Head | None = None
        self._offer: _Head | None = None
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._refusing = False
        self._fresh = True
        self._blocked = False
        self._ended = False
        self.deadline = NEVER

    # Called by the event loop.

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        self._transport = transport
        owner = self._owner
        owner.open.add(self)
        self.deadline = time.monotonic() + self._limits.idle_seconds
        if len(owner.open) > self._limits.connections:
            self._refuse(503, "too many connections at once; try again later")

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection; a request of which a part is here counts as left by its client."""
        self._owner.open.discard(self)
        self.deadline = NEVER
        head, self._head = self._head, None
        if head is not None and head.complete and not self._refusing:
            self._handler.refused(self._request(head, b""), CLIENT_LEFT)
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and answer the requests that it completes."""
        if self._refusing:
            return
        before = self._head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            if not self._refusing:
                log.exception("a request could not be handled")
                self._refuse(500, "the request could not be handled; the server's log says why")
        except httptools.HttpParserError as error:
            if not self._refusing:
                self._refuse(400, f"this is not HTTP: {error}")
        if before is not None and before is self._head and not self._refusing:
            self._bound(before, len(data))

    def _bound(self, head: _Head, received: int) -> None:
        """Bound what is kept of a request that is not whole: its head, and trailers, which grow while its body does not."""
        if head.body_size > head.seen:
            head.seen, head.size = head.body_size, 0
            return
        head.size += received
        if head.size > MAX_HEAD_BYTES:
            self._refuse(431, f"the head of the request, or its trailer, is larger than {MAX_HEAD_BYTES} bytes")

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """Read a request that offers another protocol as if it did not, as RFC 9110, 7.8 allows. rest: what follows its head.

        Java's HttpClient offers h2c with every first request. The parser stops behind such a head, so it gets the head again.
        """
        head, self._offer = self._offer, None
        method = self._parser.get_method()
        if head is None or self._refusing:
            return
        if method == b"CONNECT":
            self._refuse(501, "CONNECT is not supported")
            return
        self._parser = httptools.HttpRequestParser(self)
        lines = [b"%s %s HTTP/1.1\r\n" % (method, head.url)]
        lines += [f"{name}: {value}\r\n".encode("latin-1") for name, value in head.headers.items() if name not in OFFER]
        self.data_received(b"".join((*lines, b"\r\n", rest)))

    def eof_received(self) -> bool:
        """Keep the other half open while there is something to answer."""
        self._ended = True
        head = self._head
        if head is not None and head.complete and not self._refusing:
            self._refuse(400, "the request ends before its body does")
        return self._task is not None or bool(self._waiting)

    def pause_writing(self) -> None:
        """The client does not read its answers: answer no more for now, and not for ever."""
        self._blocked = True
        self._transport.pause_reading()
        self.deadline = time.monotonic() + self._limits.body_seconds

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked = False
        if self._refusing:
            self._linger()
            return
        self._transport.resume_reading()
        self._next()

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._head = _Head()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        assert self._head is not None
        self._head.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of one that comes twice, the last counts, but for the framing, where the parser refuses that.

        A trailer comes here too and is dropped: it must not change what the head said (RFC 9110, 6.5.1), nor fill the memory.
        """
        head = self._head
        if head is not None and not head.in_trailer:
            head.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Look whether the body is welcome."""
        head = self._head
        assert head is not None
        if self._parser.should_upgrade():
            self._offer = head
            return
        head.complete, head.begin = True, time.perf_counter()
        if not self._blocked:
            self.deadline = time.monotonic() + self._limits.body_seconds
        headers = head.headers
        encoding = headers.get("transfer-encoding")
        if encoding is not None:
            head.in_trailer = True
            if encoding.lower() != "chunked":
                self._refuse(501, f"transfer-encoding {encoding[:50]!r} is not known: use chunked")
                return
        length = int(headers.get("content-length", 0))
        expects = headers.get("expect", "").lower() == "100-continue"
        if length > self._limits.body_bytes * (1 if expects else READ_ANYWAY):
            self._refuse_size()
        elif expects and self._parser.get_http_version() != "1.0":
            self._transport.write(CONTINUE)

    def on_body(self, data: bytes) -> None:
        """Take a part of the body; one that is too large is not kept."""
        head = self._head
        if head is None:  # refused at its head
            return
        head.body_size += len(data)
        most = self._limits.body_bytes
        if head.body_size <= most:
            head.body.append(data)
            return
        head.body.clear()
        if head.body_size > READ_ANYWAY * most:
            self._refuse_size()

    def on_message_complete(self) -> None:
        """Answer the request, or let it wait for those before it."""
        head, self._head = self._head, None
        if self._refusing or head is None or self._offer is not None:
            return
        if not self._blocked:
            self.deadline = NEVER
        self._fresh = False
        if head.body_size > self._limits.body_bytes:
            self._head = head
            self._refuse_size()
            return
        body = head.body[0] if len(head.body) == 1 else b"".join(head.body)
        keep = self._parser.should_keep_alive()
        self._waiting.append((self._request(head, body), keep))
        if self._task is None and not self._blocked:
            self._next()
        elif len(self._waiting) >= MAX_PIPELINED:
            self._transport.pause_reading()

    # Answers.

    def _request(self, head: _Head, body: bytes) -> Request:
        path = head.url.partition(b"?")[0].decode("latin-1")
        if not path.startswith("/"):  # absolute form: http://host/path
            path = "/" + path.partition("://")[2].partition("/")[2]
        if "%" in path:
            path = unquote(path)
        return Request(self._parser.get_method().decode("latin-1"), path, head.headers, body, head.begin)

    def _next(self) -> None:
        """Answer what waits, as far as answers are there at once."""
        while self._waiting and not self._blocked and not self._transport.is_closing():
            request, keep = self._waiting.popleft()
            answer = self._handler.handle(request)
            if not isinstance(answer, tuple):
                self._task = asyncio.get_running_loop().create_task(self._later(request, keep, answer))
                return
            self._write(request, keep, answer)
        self._rest()

    async def _later(self, request: Request, keep: bool, coming: Coroutine[Any, Any, Answer]) -> None:
        answer = await coming
        self._task = None
        if self._transport.is_closing():
            return
        self._write(request, keep, answer)
        if not self._blocked:
            self._transport.resume_reading()
        self._next()

    def _rest(self) -> None:
        """Wait for the next request, unless one is in hand."""
        if self._task is not None or self._waiting or self._blocked or self._refusing:
            return
        if self._ended:
            self._transport.close()
        elif self._head is None:
            self.deadline = time.monotonic() + self._limits.idle_seconds

    def _write(self, request: Request, keep: bool, answer: Answer) -> None:
        status, body, headers = answer
        keep = keep and not self._handler.draining and not self._owner.closing
        parts = [FIRST_LINES[status], self._owner.date(), b"content-length: %d\r\n" % len(body)]
        parts += [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers]
        if not keep:
            parts.append(b"connection: close\r\n")
        elif request.headers.get("connection", "").lower() == "keep-alive":
            parts.append(b"connection: keep-alive\r\n")  # asked for by clients of HTTP/1.0
        parts.append(b"\r\n")
        if request.method != "HEAD":
            parts.append(body)
        self._transport.write(b"".join(parts))
        if not keep:
            self._waiting.clear()
            self._refusing = True
            self._linger()

    def _refuse_size(self) -> None:
        self._refuse(413, f"the request is larger than {self._limits.body_bytes} bytes")

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is wrong and end the connection; what still comes is not looked at."""
        head, self._head = self._head, None
        self._refusing = True
        request = Request("", "", {}, b"", 0.0)
        if head is not None and head.complete:
            request = self._request(head, b"")
            self._handler.refused(request, status)
        if self._task is None:
            self._write(request, False, write_error(status, message))
        else:  # the answer to the request before comes first, and is the last
            self._waiting.clear()
            self._task.add_done_callback(lambda _: self._linger())

    def _linger(self) -> None:
        """Close in a way that lets a client that still sends read its answer (RFC 9112, 9.6)."""
        transport = self._transport
        if transport.is_closing():
            return
        if self._ended:
            transport.close()
            return
        if transport.can_write_eof():
            transport.write_eof()
        self.deadline = time.monotonic() + LINGER_SECONDS

    # Called by the owner.

    def expire(self) -> None:
        """End the connection: its time for a head or a body is over, or it does not take its answers."""
        if self._refusing or self._blocked:
            self.abort()
        elif self._head is None:
            self._transport.close()
        else:
            self._refuse(408, f"the request did not arrive within {self._limits.body_seconds:g} s")

    def close_soon(self) -> None:
        """Close now, unless a request is in hand; where none was there yet, the first may be on its way."""
        if self._task is not None or self._waiting or self._head is not None or self._refusing:
            return
        if self._fresh:
            self.deadline = time.monotonic() + FIRST_REQUEST_SECONDS
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
