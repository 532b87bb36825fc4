"""A second reader of requests, written from RFC 9112 alone: strict, slow, and over bytes that are all there.

The server may refuse more than it does; what the server handles has to be here, with the same meaning. It takes line ends
of CRLF only, and of the two framings one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
LINE = re.compile(rb"(%s) ([!-~\x80-\xff]+) HTTP/1\.([0-9])" % TOKEN)
FIELD = re.compile(rb"(%s):[ \t]*([^\r\n\0]*?)[ \t]*" % TOKEN)
SIZE = re.compile(rb"([0-9A-Fa-f]+)(?:[ \t]*;[^\r\n\0]*)?\r\n")


@dataclass(frozen=True, slots=True)
class Meaning:
    """One request. headers: by lower-case name, lines of the same name joined (RFC 9110 §5.3).

    path: of a target in origin form, percent-decoded and without query; empty for the other forms.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def meanings(data: bytes) -> Iterator[Meaning]:
    """Yield the requests up to the first that is wrong, not whole, or the last of its connection."""
    at = 0
    while True:
        while data[at : at + 1] in (b"\r", b"\n"):  # RFC 9112 §2.2: empty lines before a request
            at += 1
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return
        first, *lines = data[at:end].split(b"\r\n")
        line = LINE.fullmatch(first)
        fields = [FIELD.fullmatch(one) for one in lines]
        if line is None or None in fields:
            return
        named = [(field[1].lower(), field[2]) for field in fields if field is not None]
        framed = _body(data, end + 4, named, line[3])
        if framed is None or not _host_is_right(named, line[3]):
            return
        body, at = framed
        yield Meaning(line[1].decode(), _path(line[2]), _joined(named), body)
        if _is_last(named, line[3]):
            return


def _path(target: bytes) -> str:
    return unquote(target.partition(b"?")[0].decode("latin-1")) if target.startswith(b"/") else ""


def _joined(named: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw, value in named:
        name = raw.decode()
        text = value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def _all(named: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Return the members of a list over all its lines (RFC 9110 §5.3)."""
    return [member.strip(b" \t") for one, value in named if one == name for member in value.split(b",")]


def _host_is_right(named: list[tuple[bytes, bytes]], minor: bytes) -> bool:
    hosts = [value for name, value in named if name == b"host"]
    return len(hosts) == 1 or (minor == b"0" and not hosts)


def _is_last(named: list[tuple[bytes, bytes]], minor: bytes) -> bool:
    options = [option.lower() for option in _all(named, b"connection")]
    return b"close" in options or (minor == b"0" and b"keep-alive" not in options)


def _body(data: bytes, at: int, named: list[tuple[bytes, bytes]], minor: bytes) -> tuple[bytes, int] | None:
    """Return the body and where it ends; None when it is wrong or not whole (RFC 9112 §6.3)."""
    lengths, codings = _all(named, b"content-length"), _all(named, b"transfer-encoding")
    if codings:
        if lengths or minor == b"0" or [coding.lower() for coding in codings] != [b"chunked"]:
            return None
        return _chunks(data, at)
    if not lengths:
        return b"", at
    if len(set(lengths)) != 1 or not lengths[0].isdigit():
        return None
    size = int(lengths[0][-18:]) if not lengths[0][:-18].strip(b"0") else len(data) + 1
    return (data[at : at + size], at + size) if at + size <= len(data) else None


def _chunks(data: bytes, at: int) -> tuple[bytes, int] | None:
    body = b""
    while found := SIZE.match(data, at):
        size, at = int(found[1], 16), found.end()
        if size == 0:
            return _behind_trailers(data, at, body)
        if data[at + size : at + size + 2] != b"\r\n":
            return None
        body += data[at : at + size]
        at += size + 2
    return None


def _behind_trailers(data: bytes, at: int, body: bytes) -> tuple[bytes, int] | None:
    while (end := data.find(b"\r\n", at)) > at:
        if FIELD.fullmatch(data[at:end]) is None:
            return None
        at = end + 2
    return (body, at + 2) if end == at else None
