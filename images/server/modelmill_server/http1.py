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
READ_ANYWAY = 4  # times the limit: a body up to there is read to its end; its client would not see the answer before
MAX_PIECES = 1024  # of a body that comes in small ones; then they are joined
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

    size: bytes that came since the last ones of a body. joined: how many of `body` are joined pieces. seen: `body_size` when
    the last bytes had come.
    """

    url: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0
    complete: bool = False
    body: list[bytes] = field(default_factory=list)
    body_size: int = 0
    joined: int = 0
    seen: int = 0
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
        self._fields: dict[str, str] = {}
        self._offer: tuple[_Head, bool] | None = None
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._refusing = False  # nothing that still comes is looked at
        self._refusal: tuple[Request, Answer] | None = None  # to be written behind the answers that are due
        self._continue = False
        self._fresh = True
        self._paused = False  # not read from, since enough requests wait
        self._blocked = False
        self._unsent = 0
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
        self._parser = None  # it holds this object: freed now, not when the garbage collector comes by

    def data_received(self, data: bytes) -> None:
        """Parse what came, and answer the requests that it completes."""
        if self._refusing:
            return
        before = self._head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._stop_parsing(error)
        if before is not None and before is self._head and not self._refusing:
            self._bound(before, len(data))

    def _bound(self, head: _Head, received: int) -> None:
        """Bound what is kept of a request that is not whole: its head, and trailers, which grow while its body does not."""
        if head.body_size > head.seen:
            head.seen, head.size = head.body_size, 0
        else:
            head.size += received
            if head.size > MAX_HEAD_BYTES:
                self._refuse(431, f"the head of the request, or its trailer, is larger than {MAX_HEAD_BYTES} bytes")
        if len(head.body) - head.joined >= MAX_PIECES:
            head.body[head.joined :] = [b"".join(head.body[head.joined :])]
            head.joined += 1

    def _stop_parsing(self, error: Exception) -> None:
        if self._refusing:
            return
        if isinstance(error, httptools.HttpParserCallbackError):
            log.error("a request could not be handled", exc_info=error)
            self._refuse(500, "the request could not be handled; the server's log says why")
        else:
            self._refuse(400, f"this is not HTTP: {error}")

    def _go_on_without_upgrade(self, rest: memoryview) -> None:
        """Read a request that offers another protocol as if it did not, as RFC 9110, 7.8 allows. rest: what follows its head.

        Java's HttpClient offers h2c with every first request. The parser stops behind such a head, so it gets the head again.
        """
        while self._offer is not None and not self._refusing:
            (head, keep), self._offer = self._offer, None
            method = self._parser.get_method()
            if method == b"CONNECT":
                self._refuse(501, "CONNECT is not supported")
                return
            lines = [f"{name}: {value}\r\n" for name, value in head.headers.items() if name not in OFFER]
            lines.append(f"connection: {'keep-alive' if keep else 'close'}\r\n\r\n")
            version = self._parser.get_http_version().encode()
            self._parser = httptools.HttpRequestParser(self)
            try:
                self._parser.feed_data(
                    b"%s %s HTTP/%s\r\n" % (method, head.url, version) + "".join(lines).encode("latin-1")
                )
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._stop_parsing(error)

    def eof_received(self) -> bool:
        """Keep the other half open while there is something to answer."""
        self._ended = True
        head = self._head
        if head is not None and head.complete and not self._refusing:
            self._refuse(400, "the request ends before its body does")
        if self._task is not None or self._waiting or self._refusal is not None:
            return True
        self._close()
        return False

    def pause_writing(self) -> None:
        """The client does not read its answers: answer no more for now, and not for ever."""
        self._blocked = True
        self._transport.pause_reading()
        self._expect_taking()

    def resume_writing(self) -> None:
        """Go on, but not in this callback: asyncio's transport may not be closed in it (it would be closed twice)."""
        self._blocked = False
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if self._blocked or self._transport.is_closing():
            return
        self.deadline = NEVER
        self._next()
        self._read_on()

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._head = head = _Head()
        self._fields = head.headers

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        assert self._head is not None
        self._head.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of one that comes twice, the last counts, but for the framing, where the parser refuses that."""
        self._fields[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Look whether the body is welcome."""
        head = self._head
        if head is None or self._refusing:
            return
        if self._parser.should_upgrade():
            self._offer = head, self._parser.should_keep_alive()
            return
        head.complete, head.begin = True, time.perf_counter()
        if not self._blocked:
            self.deadline = time.monotonic() + self._limits.body_seconds
        headers = head.headers
        encoding = headers.get("transfer-encoding")
        if encoding is not None:
            self._fields = {}  # what a trailer says is no header
            if encoding.lower() != "chunked":
                self._refuse(501, f"transfer-encoding {encoding[:50]!r} is not known: use chunked")
                return
            if self._parser.get_http_version() == "1.0":
                self._refuse(400, "HTTP/1.0 has no transfer-encoding")
                return
        length = int(headers.get("content-length", 0))
        expects = headers.get("expect", "").lower() == "100-continue"
        if length > self._limits.body_bytes * (1 if expects else READ_ANYWAY):
            self._refuse_size()
        elif expects and self._parser.get_http_version() != "1.0":
            self._continue = True
            if self._task is None and not self._waiting and not self._blocked:
                self._say_continue()

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
        head.joined = 0
        if head.body_size > READ_ANYWAY * most:
            self._refuse_size()

    def on_message_complete(self) -> None:
        """Answer the request, or let it wait for those before it."""
        head, self._head = self._head, None
        if self._refusing or head is None or self._offer is not None:
            return
        if not self._blocked:
            self.deadline = NEVER
        self._fresh = self._continue = False
        if head.body_size > self._limits.body_bytes:
            self._head = head
            self._refuse_size()
            return
        body = head.body[0] if len(head.body) == 1 else b"".join(head.body)
        keep = self._parser.should_keep_alive()
        self._waiting.append((self._request(head, body), keep))
        if self._task is None and not self._blocked:
            self._next()
        elif self._crowded():
            self._paused = True
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
        try:
            answer = await coming
        except Exception:
            log.exception("a request could not be handled")
            answer = write_error(500, "the request could not be handled; the server's log says why")
        self._task = None
        if self._transport.is_closing():
            return
        self._write(request, keep, answer)
        if self._blocked:
            self._expect_taking()
        self._next()
        if self._paused:
            self._read_on()

    def _crowded(self) -> bool:
        """Return whether so much waits that no more is to be read."""
        waiting = self._waiting
        return len(waiting) >= MAX_PIPELINED or sum(len(one.body) for one, _ in waiting) > self._limits.body_bytes

    def _read_on(self) -> None:
        if not self._blocked and not self._crowded():
            self._paused = False
            self._transport.resume_reading()

    def _rest(self) -> None:
        """Wait for the next request, unless one is in hand; say what is wrong with the last, when its turn has come."""
        if self._task is not None or self._waiting or self._blocked:
            return
        if self._refusing:
            refusal, self._refusal = self._refusal, None
            if refusal is not None:
                self._write(refusal[0], False, refusal[1])
            if not self._blocked:
                self._linger()
            return
        head = self._head
        if self._ended:
            self._close()
        elif head is None or not head.complete:
            self.deadline = time.monotonic() + self._limits.idle_seconds
        else:
            self.deadline = time.monotonic() + self._limits.body_seconds
            if self._continue:
                self._say_continue()

    def _say_continue(self) -> None:
        self._continue = False
        self._transport.write(CONTINUE)

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
            self._refusing, self._refusal = True, None

    def _refuse_size(self) -> None:
        self._refuse(413, f"the request is larger than {self._limits.body_bytes} bytes")

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is wrong, behind the answers that are due, and end the connection."""
        head, self._head = self._head, None
        self._refusing = True
        request = Request("", "", {}, b"", 0.0)
        if head is not None and head.complete:
            request = self._request(head, b"")
            self._handler.refused(request, status)
        self._refusal = request, write_error(status, message)
        if not self._blocked:
            self.deadline = NEVER
        self._rest()

    def _linger(self) -> None:
        """Close in a way that lets a client that still sends read its answer (RFC 9112, 9.6)."""
        transport = self._transport
        if self._ended:
            self._close()
        elif not transport.is_closing():
            transport.write_eof()
            transport.resume_reading()
            self._expect_taking()

    def _expect_taking(self) -> None:
        """Give the client time to take what is not sent yet, or to close."""
        self._unsent = self._transport.get_write_buffer_size()
        self.deadline = time.monotonic() + (self._limits.body_seconds if self._unsent else LINGER_SECONDS)

    def _close(self) -> None:
        self._transport.close()
        self._expect_taking()

    # Called by the owner.

    def expire(self) -> None:
        """End the connection: its time for a head or a body is over, or it does not take its answers."""
        busy = self._task is not None or bool(self._waiting)
        head = self._head
        if self._blocked or self._transport.is_closing() or (self._refusing and not busy):
            before = self._unsent
            self._expect_taking()
            if not 0 < self._unsent < before:  # it takes nothing, or has it all
                self.abort()
        elif self._paused:  # it is not its fault
            self.deadline = time.monotonic() + self._limits.body_seconds
        elif busy and (head is None or self._refusing):
            self.deadline = NEVER
        elif head is None:
            self._close()
        else:
            seconds = self._limits.body_seconds if head.complete else self._limits.idle_seconds
            self._refuse(408, f"the request did not arrive within {seconds:g} s")

    def close_soon(self) -> None:
        """Close now, unless a request is in hand; where none was there yet, the first may be on its way."""
        if self._task is not None or self._waiting or self._head is not None or self._refusing:
            return
        if self._fresh:
            self.deadline = time.monotonic() + FIRST_REQUEST_SECONDS
        else:
            self._close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
