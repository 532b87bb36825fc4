"""One hostile byte stream and what must come back, and the words that the families are written in.

The right outcome is one line of text, derived from RFC 9110 and RFC 9112 and not from what the server does:

    "400 close"                 one answer with 400, then the server closes
    "200 404 open"              two answers, and the connection is good for a next request
    "200 open | 400/501 close"  either of two outcomes; the second has one of two statuses
    "100? 200 either"           an interim answer that may be left out; the connection may close or stay
    "200*600 open"              six hundred answers
    "close"                     no answer, then the server closes
    "gone"                      the client has left and nothing can be read
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

LIMIT = 128 * 1024
"""Bytes that a body may have, as the server under test is told."""
SECONDS = 2
"""Time for a head, and for a body, as the server under test is told."""
PAST = SECONDS + 2.5
"""A pause that is surely longer than the server waits."""


class End(Enum):
    """How a client ends its side."""

    HALF = "half"  # says that it sends no more, and reads on
    CLOSE = "close"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Again:
    """The same bytes many times, without holding them all."""

    data: bytes
    times: int


@dataclass(frozen=True, slots=True)
class Await:
    """A client waits for the next answer, interim ones included, before it sends on."""


Part = bytes | float | Again | Await | End
"""What is sent, or a pause in seconds, or what is waited for, or an end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome that is right. answers: for each answer the statuses that it may have. after: open, close, either, gone."""

    answers: tuple[frozenset[int], ...]
    after: str
    interims: range  # how many interim answers may come

    def fits(self, statuses: list[int], after: str) -> bool:
        """Return whether this was seen. after: open or close."""
        final = [status for status in statuses if status >= 200]
        if len(statuses) - len(final) not in self.interims or len(final) != len(self.answers):
            return False
        right = all(status in allowed for status, allowed in zip(final, self.answers, strict=True))
        return right and self.after in (after, "either")


@dataclass(frozen=True)
class Stream:
    """A row. sent: in order. right: see the module. source: where it is said. bodiless: places of answers to HEAD."""

    name: str
    sent: tuple[Part, ...]
    right: str
    source: str
    bodiless: tuple[int, ...] = ()

    @cached_property
    def outcomes(self) -> tuple[Outcome, ...]:
        return tuple(_outcome(text) for text in self.right.split("|"))

    def data(self) -> bytes:
        """Return the bytes alone; of those that come again and again, a few."""
        parts = (part.data * min(part.times, 8) if isinstance(part, Again) else part for part in self.sent)
        return b"".join(part for part in parts if isinstance(part, bytes))


def _outcome(text: str) -> Outcome:
    *words, after = text.split()
    assert after in ("open", "close", "either", "gone"), text
    answers: list[frozenset[int]] = []
    for word in words:
        if word in ("100", "100?"):
            continue
        found = re.fullmatch(r"([\d/]+)(?:\*(\d+))?", word)
        assert found, text
        answers += [frozenset(map(int, found[1].split("/")))] * int(found[2] or 1)
    least = words.count("100")
    return Outcome(tuple(answers), after, range(least, least + words.count("100?") + 1))


def row(name: str, sent: bytes | tuple[Part, ...], right: str, source: str, bodiless: tuple[int, ...] = ()) -> Stream:
    """Return a row; bytes alone are sent in one piece."""
    return Stream(name, (sent,) if isinstance(sent, bytes) else sent, right, source, bodiless)


@dataclass(frozen=True)
class Family:
    """Rows of one kind. kilobytes: by how much the server's memory may have grown when all of them were sent and left."""

    name: str
    streams: tuple[Stream, ...]
    kilobytes: int = 4096


def family(name: str, streams: Iterable[Stream], kilobytes: int = 4096) -> Family:
    """Return a family whose rows have names of their own."""
    rows = tuple(streams)
    names = [one.name for one in rows]
    twice = {one for one in names if names.count(one) > 1}
    assert not twice, (name, twice)
    return Family(name, rows, kilobytes)


BODY = json.dumps({"instances": [[100.0, 4, "USA"]]}).encode()
SIZE = len(BODY)
POST = b"POST /invocations HTTP/1.1"
GET = b"GET /v2/health/live HTTP/1.1"
HOST = b"Host: x"
LENGTH = b"Content-Length: %d" % SIZE
CHUNKED = b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"


def head(line: bytes, *fields: bytes) -> bytes:
    """Return a head of this first line and these field lines, and nothing else."""
    return b"".join(part + b"\r\n" for part in (line, *fields, b""))


def chunk(data: bytes, size: bytes | None = None) -> bytes:
    """Return a chunk; `size` replaces the right size line."""
    return (b"%x" % len(data) if size is None else size) + b"\r\n" + data + b"\r\n"


def get(*fields: bytes, line: bytes = GET) -> bytes:
    """Return a good request without a body, with more fields."""
    return head(line, HOST, *fields)


def post(*fields: bytes, body: bytes = BODY, line: bytes = POST) -> bytes:
    """Return a good request with a body of a stated length, with more fields."""
    return head(line, HOST, *fields, b"Content-Length: %d" % len(body)) + body


def bare(*fields: bytes, body: bytes = BODY, line: bytes = POST) -> bytes:
    """Return a request whose framing is in `fields` alone."""
    return head(line, HOST, *fields) + body


def chunks(*fields: bytes, body: bytes = chunk(BODY) + LAST, line: bytes = POST) -> bytes:
    """Return a request in chunks; `body` as it goes over the wire."""
    return head(line, HOST, CHUNKED, *fields) + body


SMUGGLED = get(line=b"GET /smuggled HTTP/1.1")
"""A request that only a reader that took the wrong end of a body sees."""


def drip(data: bytes, pause: float, piece: int = 1) -> tuple[Part, ...]:
    """Return the bytes in small pieces with a pause behind each."""
    return tuple(_dripping(data, pause, piece))


def _dripping(data: bytes, pause: float, piece: int) -> Iterator[Part]:
    for begin in range(0, len(data), piece):
        yield data[begin : begin + piece]
        yield pause


def shown(data: bytes) -> str:
    """Return bytes as they may stand in a name."""
    text = repr(data[:40])[2:-1]
    return text if len(data) <= 40 else f"{text}... ({len(data)})"
