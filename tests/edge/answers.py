"""Answers as they come over the wire, read strictly (RFC 9112 §2, §4, §6): what is not well-formed raises."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) [\t -~]*")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
CHUNK = re.compile(rb"([0-9a-fA-F]+)\r\n")


class MalformedError(Exception):
    """Something came that is no answer."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """One answer. headers: by lower-case name."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def parse(received: bytes, bodiless: Container[int] = (), place: int = 0) -> tuple[list[WireAnswer], bytes]:
    """Return the whole answers, and what follows them.

    bodiless: which of the answers (100 not counted) are to HEAD and have no body. place: of the first that is read here.
    Raises MalformedError.
    """
    answers: list[WireAnswer] = []
    at = 0
    while (end := received.find(b"\r\n\r\n", at)) >= 0:
        status, headers = _head(received[at:end])
        body, after = _body(received, end + 4, status, headers, place in bodiless)
        if after < 0:
            break
        answers.append(WireAnswer(status, headers, body))
        place += status >= 200
        at = after
    return answers, received[at:]


def _head(text: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = text.split(b"\r\n")
    found = STATUS_LINE.fullmatch(first)
    if found is None:
        raise MalformedError(f"no status line: {first[:100]!r}")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None:
            raise MalformedError(f"no field: {line[:100]!r}")
        name = field[1].lower()
        if name in headers and name in (b"content-length", b"transfer-encoding", b"connection"):
            raise MalformedError(f"twice: {line[:100]!r}")
        headers[name] = field[2]
    return int(found[1]), headers


def _body(received: bytes, at: int, status: int, headers: dict[bytes, bytes], bodiless: bool) -> tuple[bytes, int]:
    """Return the body that begins at `at`, and where it ends: -1 when it is not whole."""
    if status < 200 or status in (204, 304):
        if b"content-length" in headers:
            raise MalformedError(f"a length with {status}")
        return b"", at
    if bodiless:
        return b"", at
    if headers.get(b"transfer-encoding") == b"chunked":
        return _chunks(received, at)
    length = headers.get(b"content-length", b"")
    if not length.isdigit():
        raise MalformedError(f"no length: {headers}")
    end = at + int(length)
    return received[at:end], end if end <= len(received) else -1


def _chunks(received: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while found := CHUNK.match(received, at):
        size, at = int(found[1], 16), found.end()
        if len(received) < at + size + 2:
            return b"", -1
        if received[at + size : at + size + 2] != b"\r\n":
            raise MalformedError("a chunk without its end")
        body += received[at : at + size]
        at += size + 2
        if size == 0:
            return body, at
    return b"", -1
