"""From the bytes of one connection to its requests. The parser is httptools (llhttp, strict). Source: RFC 9110, RFC
9112.

Every byte is a stranger's, so whatever grows while a request is not whole has a bound: its head and its trailers
(MAX_HEAD_BYTES, counted from the last byte of a body), its body (`body_bytes`), and the number of pieces that the
body came in (MAX_PIECES).

Three things are less obvious than they look.

*Trailers* come from the parser by the same callback as headers, behind the body. They are dropped: merged into the
head they would change how a body is read after it was read (RFC 9110, 6.5.1), and kept they would fill the memory.

*Offers of another protocol* (`Upgrade: h2c`, as Java's HttpClient sends with every first request) may be ignored (RFC
9110, 7.8), but the parser cannot: behind the head of such a request it stops, takes what follows for the other
protocol, and has not told the body's length. So a new parser gets the same head again, without the headers of the
offer and with what the first one concluded about keeping the connection, and then the bytes behind it. Those may hold
the next offer, hence a loop and no recursion: a client may send thousands in one piece.

*A refusal inside a callback* does not stop the parser, which goes through the rest of the piece that it was given.
Every callback therefore looks whether there is still a request to add to.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote

import httptools

from modelmill_server.http.messages import Request

log = logging.getLogger("modelmill_server")

MAX_HEAD_BYTES = 64 * 1024
MAX_PIECES = 1024  # of a body that comes in small ones; then they are joined
READ_ANYWAY = 4  # times the limit: a body up to there is read to its end; its client would not see the answer before
OFFER = ("connection", "upgrade", "http2-settings")
NOT_HANDLED = "the request could not be handled; the server's log says why"


class Receiver(Protocol):
    """Who is given the requests of one connection. Called while bytes are being parsed."""

    def body_begins(self, expects_continue: bool) -> None:
        """Take note that a head is complete, and whether its client waits for a word before it sends the body."""

    def arrived(self, request: Request, keep: bool) -> None:
        """Take a whole request. keep: whether its client wants to keep the connection."""

    def refuse(self, status: int, message: str) -> None:
        """Answer what is wrong and read no more."""


@dataclass(slots=True)
class Incoming:
    """The request that is being read.

    complete: its head is. size: bytes that came since the last ones of the body. seen: `body_size` when the last bytes had
    come. joined: how many entries of `body` are joined pieces. headers: `in_trailer` closes them.
    """

    url: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    complete: bool = False
    in_trailer: bool = False
    size: int = 0
    body: list[bytes] = field(default_factory=list)
    body_size: int = 0
    joined: int = 0
    seen: int = 0
    begin: float = 0.0


class RequestReader:
    """Reads the requests of one connection. incoming: the one of which a part is here."""

    def __init__(self, receiver: Receiver, body_bytes: int) -> None:
        self._receiver = receiver
        self._body_bytes = body_bytes
        self._parser: Any = httptools.HttpRequestParser(self)
        self._offer: tuple[Incoming, bool] | None = None
        self._stopped = False
        self.incoming: Incoming | None = None

    def feed(self, data: bytes) -> None:
        """Parse what came."""
        if self._stopped:
            return
        before = self.incoming
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(error)
        if before is not None and before is self.incoming:
            self._bound(before, len(data))

    def stop(self) -> Request | None:
        """Read no more, and return the request whose head is here and whose body is not."""
        incoming, self.incoming, self._stopped = self.incoming, None, True
        return self._request(incoming, b"") if incoming is not None and incoming.complete else None

    def close(self) -> None:
        """Let go of what holds this object: it is freed now, not when the garbage collector comes by. Nothing may follow."""
        self._stopped, self._parser = True, None
        del self._receiver

    def _bound(self, incoming: Incoming, received: int) -> None:
        """Bound what is kept of a request that is not whole."""
        if incoming.body_size > incoming.seen:
            incoming.seen, incoming.size = incoming.body_size, 0
        else:
            incoming.size += received
            if incoming.size > MAX_HEAD_BYTES:
                words = f"the head of the request, or its trailer, is larger than {MAX_HEAD_BYTES} bytes"
                self._receiver.refuse(431, words)
        if len(incoming.body) - incoming.joined >= MAX_PIECES:
            incoming.body[incoming.joined :] = [b"".join(incoming.body[incoming.joined :])]
            incoming.joined += 1

    def _fail(self, error: Exception) -> None:
        if self._stopped:
            return
        if isinstance(error, httptools.HttpParserCallbackError):
            log.error("a request could not be handled", exc_info=error)
            self._receiver.refuse(500, NOT_HANDLED)
        else:
            self._receiver.refuse(400, f"this is not HTTP: {error}")

    def _go_on_without_upgrade(self, rest: memoryview) -> None:
        """Read requests that offer another protocol as if they did not. rest: what follows the head of the first."""
        while self._offer is not None and not self._stopped:
            (incoming, keep), self._offer = self._offer, None
            method = self._parser.get_method()
            if method == b"CONNECT":
                self._receiver.refuse(501, "CONNECT is not supported")
                return
            lines = [f"{name}: {value}\r\n" for name, value in incoming.headers.items() if name not in OFFER]
            lines.append(f"connection: {'keep-alive' if keep else 'close'}\r\n\r\n")
            first = b"%s %s HTTP/%s\r\n" % (method, incoming.url, self._parser.get_http_version().encode())
            self._parser = httptools.HttpRequestParser(self)
            try:
                self._parser.feed_data(first + "".join(lines).encode("latin-1"))
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._fail(error)

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Begin a request."""
        if not self._stopped:
            self.incoming = Incoming()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        if self.incoming is not None:
            self.incoming.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of one that comes twice, the last counts, but for the framing, where the parser refuses that."""
        incoming = self.incoming
        if incoming is not None and not incoming.in_trailer:
            incoming.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Look whether the body is welcome."""
        incoming = self.incoming
        if incoming is None:
            return
        parser = self._parser
        if parser.should_upgrade():
            self._offer = incoming, parser.should_keep_alive()
            return
        incoming.complete, incoming.begin = True, time.perf_counter()
        headers = incoming.headers
        encoding = headers.get("transfer-encoding")
        if encoding is not None:
            incoming.in_trailer = True
            if encoding.lower() != "chunked":
                self._receiver.refuse(501, f"transfer-encoding {encoding[:50]!r} is not known: use chunked")
                return
            if parser.get_http_version() == "1.0":
                self._receiver.refuse(400, "HTTP/1.0 has no transfer-encoding")
                return
        expects = "expect" in headers and headers["expect"].lower() == "100-continue"
        if int(headers.get("content-length", 0)) > self._body_bytes * (1 if expects else READ_ANYWAY):
            self._refuse_size()
            return
        self._receiver.body_begins(expects and parser.get_http_version() != "1.0")

    def on_body(self, data: bytes) -> None:
        """Take a part of the body; one that is too large is not kept."""
        incoming = self.incoming
        if incoming is None:
            return
        incoming.body_size += len(data)
        if incoming.body_size <= self._body_bytes:
            incoming.body.append(data)
            return
        incoming.body.clear()
        incoming.joined = 0
        if incoming.body_size > READ_ANYWAY * self._body_bytes:
            self._refuse_size()

    def on_message_complete(self) -> None:
        """Hand the request over."""
        incoming = self.incoming
        if incoming is None or self._offer is not None:
            self.incoming = None
            return
        if incoming.body_size > self._body_bytes:
            self._refuse_size()
            return
        self.incoming = None
        body = incoming.body[0] if len(incoming.body) == 1 else b"".join(incoming.body)
        self._receiver.arrived(self._request(incoming, body), self._parser.should_keep_alive())

    def _refuse_size(self) -> None:
        self._receiver.refuse(413, f"the request is larger than {self._body_bytes} bytes")

    def _request(self, incoming: Incoming, body: bytes) -> Request:
        path = incoming.url.partition(b"?")[0].decode("latin-1")
        if not path.startswith("/"):  # absolute form: http://host/path
            path = "/" + path.partition("://")[2].partition("/")[2]
        if "%" in path:
            path = unquote(path)
        return Request(self._parser.get_method().decode("latin-1"), path, incoming.headers, body, incoming.begin)
