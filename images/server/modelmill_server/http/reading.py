"""From the bytes of one connection to its requests. Source: RFC 9112.

Every byte is a stranger's, so whatever is kept while a request is not whole has a bound: its head, a line between chunks
and its trailers (MAX_HEAD_BYTES), its body (`body_bytes`). `holds` says how much it is, for the budget of all connections.

*Trailers* are looked at and dropped: merged into the head they would change how a body is read after it was read (RFC 9110,
6.5.1).

*Offers of another protocol* (`Upgrade: h2c`, as Java's HttpClient sends with every first request) are ignored, which RFC
9110, 7.8, allows.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Protocol

from modelmill_server.http.heads import (
    BEGIN,
    MAX_HEAD_BYTES,
    NO_TEXT,
    TRAILER,
    Head,
    HeadError,
    no_http,
    read_head,
    too_large,
)
from modelmill_server.http.messages import Request

log = logging.getLogger("modelmill_server")

MAX_SIZE_LINE = 4096  # the size of a chunk and its extensions
READ_ANYWAY = 4  # times the limit: a body up to there is read to its end; its client would not see the answer before
SIZE_LINE = rb"([0-9A-Fa-f]{1,16})([ \t]*;[\t -~\x80-\xff]*+)?+\r\n"
FIRST_CHUNK, NEXT_CHUNK = re.compile(SIZE_LINE), re.compile(rb"\r\n" + SIZE_LINE)
PART_OF_LINE = rb"(?:[0-9A-Fa-f]{1,16}+[ \t]*+(?:;[\t -~\x80-\xff]*+)?+\r?)?\Z"
FIRST_BEGINS, NEXT_BEGINS = re.compile(PART_OF_LINE), re.compile(rb"\r?\Z|\r\n" + PART_OF_LINE)
NOT_HANDLED = "the request could not be handled; the server's log says why"


class Receiver(Protocol):
    """Who is given the requests of one connection. Called while bytes are being read."""

    def body_begins(self, length: int, expects_continue: bool) -> None:
        """Take note that a head is complete and its body is not. length: of the body, 0 when it comes in chunks.

        expects_continue: the client waits for a word before it sends the body.
        """

    def arrived(self, request: Request, keep: bool) -> None:
        """Take a whole request. keep: whether its client wants to keep the connection."""

    def refuse(self, status: int, message: str) -> None:
        """Answer what is wrong and read no more."""


class Incoming:
    """A request whose head is here and whose body is not.

    body: empty when the body is too large to be kept. size: bytes of the body that came. missing: bytes that are still to
    come, of the body or of a chunk. first: no chunk has begun. last: the last chunk has. extensions: bytes of those of chunks.
    """

    __slots__ = ("begin", "body", "extensions", "first", "head", "last", "missing", "size")

    def __init__(self, head: Head, begin: float) -> None:
        self.head = head
        self.begin = begin
        self.body = bytearray()
        self.size = 0
        self.missing = head.length
        self.first = True
        self.last = False
        self.extensions = 0


class RequestReader:
    """Reads the requests of one connection.

    incoming: the one whose head is here. rest: bytes that came and are not read: a part of a head or of a line, and
    everything while `paused`.
    """

    def __init__(self, receiver: Receiver, body_bytes: int) -> None:
        self._receiver = receiver
        self._body_bytes = body_bytes
        self._stopped = False
        self._looked_at = 0  # bytes of the rest in which there is no end
        self.paused = False
        self.incoming: Incoming | None = None
        self.rest = b""

    @property
    def begun(self) -> bool:
        """Whether a part of a request is here."""
        return self.incoming is not None or bool(self.rest)

    @property
    def holds(self) -> int:
        """How many bytes are kept of what is not whole."""
        incoming = self.incoming
        return len(self.rest) + (0 if incoming is None else incoming.head.size + len(incoming.body))

    def feed(self, data: bytes) -> None:
        """Read what came."""
        if self._stopped:
            return
        if self.rest:
            data, self.rest = self.rest + data, b""
        at, end = 0, len(data)
        try:
            while at < end and not self._stopped and not self.paused:
                begin, incoming = at, self.incoming
                if incoming is None:
                    at = self._read_head(data, at)
                elif incoming.head.chunked:
                    at = self._read_chunks(incoming, data, at)
                else:
                    at = self._read_body(incoming, data, at)
                if at == begin:
                    break
        except HeadError as error:
            self._receiver.refuse(error.status, error.message)
        except Exception:
            log.exception("a request could not be handled")
            self._receiver.refuse(500, NOT_HANDLED)
        if not self._stopped:
            self.rest = data[at:]

    def go_on(self) -> None:
        """Read what came while it was paused."""
        self.paused = False
        if self.rest:
            self.feed(b"")

    def stop(self) -> Request | None:
        """Read no more, and return the request whose head is here and whose body is not."""
        incoming, self.incoming, self.rest, self._stopped = self.incoming, None, b"", True
        return None if incoming is None else self._request(incoming.head, b"", incoming.begin)

    def close(self) -> None:
        """Let go of what holds this object: it is freed now, not when the garbage collector comes by. Nothing may follow."""
        self.stop()
        del self._receiver

    # Each of these reads as much as it can, and returns the place up to which it did. They raise HeadError.

    def _read_head(self, data: bytes, at: int) -> int:
        while data.startswith(b"\r\n", at):  # some clients send an empty line behind a body (RFC 9112, 2.2)
            at += 2
        end = self._end_of_lines(data, at, too_large)
        if end < 0:
            if BEGIN.match(data, at) is None:
                raise no_http(data[at:])
            return at
        head = read_head(data[at:end])
        begin, length = time.perf_counter(), head.length
        if not head.chunked and length <= min(len(data) - end, self._body_bytes):
            at = end + length
            self._receiver.arrived(self._request(head, data[end:at], begin), head.keep)
            return at
        self.incoming = Incoming(head, begin)
        if length > self._body_bytes * (1 if head.expects else READ_ANYWAY):
            raise self._too_large()
        self._receiver.body_begins(length, head.expects)
        return end

    def _read_body(self, incoming: Incoming, data: bytes, at: int) -> int:
        at = self._take(incoming, data, at)
        if not incoming.missing:
            self._complete(incoming)
        return at

    def _read_chunks(self, incoming: Incoming, data: bytes, at: int) -> int:
        end = len(data)
        while at < end and not incoming.last:
            if incoming.missing:
                at = self._take(incoming, data, at)
                continue
            match = (FIRST_CHUNK if incoming.first else NEXT_CHUNK).match(data, at)
            if match is None:
                self._expect_size(data, at, incoming.first)
                return at
            at, incoming.first = match.end(), False
            if match.end() - match.start() > MAX_SIZE_LINE:
                raise _line_too_large()
            incoming.missing = int(match[1], 16)
            incoming.last = not incoming.missing
            incoming.extensions += len(match[2] or b"")
            if incoming.extensions > MAX_HEAD_BYTES:
                raise _line_too_large()
        if incoming.last and at < end:
            return self._read_trailers(incoming, data, at)
        return at

    def _expect_size(self, data: bytes, at: int, first: bool) -> None:
        """Return when the line with the size of a chunk may still become right."""
        if (FIRST_BEGINS if first else NEXT_BEGINS).match(data, at) is None:
            wrong = data[at : at + 20].decode("latin-1")
            raise HeadError(400, f"this is not HTTP: {wrong!r} is not the end of a chunk and the size of the next")
        if len(data) - at > MAX_SIZE_LINE:
            raise _line_too_large()

    def _read_trailers(self, incoming: Incoming, data: bytes, at: int) -> int:
        end = at + 2 if data.startswith(b"\r\n", at) else self._end_of_lines(data, at, _line_too_large)
        if end < 0:
            return at
        if end - at > MAX_HEAD_BYTES:
            raise _line_too_large()
        if TRAILER.fullmatch(data, at, end) is None:
            raise HeadError(400, "this is not HTTP: the trailer of the request has not the right form")
        self._complete(incoming)
        return end

    def _end_of_lines(self, data: bytes, at: int, refusal: Callable[[bytes], HeadError]) -> int:
        """Return the place behind the next empty line, -1 when it is not here. refusal: of lines that are too large."""
        begin = at + max(0, self._looked_at - 3)
        end = data.find(b"\r\n\r\n", begin)
        if end >= 0:
            self._looked_at = 0
            return end + 4
        if NO_TEXT.search(data, begin):
            raise HeadError(400, "this is not HTTP: a control character, or the end of a line that is not CRLF")
        if len(data) - at > MAX_HEAD_BYTES:
            raise refusal(data[at:])
        self._looked_at = len(data) - at
        return -1

    def _take(self, incoming: Incoming, data: bytes, at: int) -> int:
        """Take a part of the body; one that is too large is not kept."""
        piece = data[at : at + incoming.missing]
        incoming.missing -= len(piece)
        incoming.size += len(piece)
        if incoming.size <= self._body_bytes:
            incoming.body += piece
        else:
            incoming.body = bytearray()
            if incoming.size > READ_ANYWAY * self._body_bytes:
                raise self._too_large()
        return at + len(piece)

    def _complete(self, incoming: Incoming) -> None:
        if incoming.size > self._body_bytes:
            raise self._too_large()
        self.incoming, self._looked_at = None, 0
        head = incoming.head
        self._receiver.arrived(self._request(head, bytes(incoming.body), incoming.begin), head.keep)

    def _too_large(self) -> HeadError:
        return HeadError(413, f"the request is larger than {self._body_bytes} bytes")

    def _request(self, head: Head, body: bytes, begin: float) -> Request:
        return Request(head.method, head.path, head.headers, body, begin, head.size + len(body))


def _line_too_large(_: bytes = b"") -> HeadError:
    return HeadError(
        431, f"the trailer of the request, or what stands beside its chunks, is larger than {MAX_HEAD_BYTES} bytes"
    )
