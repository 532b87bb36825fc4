"""The head of a request: from its bytes to what it asks, or the reason why it is refused. Source: RFC 9110, RFC 9112.

What two readers may understand differently is refused and not repaired, because one of them may stand in front of the other:
a line that ends with a bare LF, a folded line, a space before the colon, two lengths, a length beside chunks, two hosts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

MAX_HEAD_BYTES = 64 * 1024
MAX_FIELDS = 200
MOST_HOST_CHARACTERS = 300  # a name has at most 255 (RFC 1035), and there is a port
MOST_DIGITS = 19  # of a length: below 2^64
KNOWN_BYTES = 1024  # a head up to there is remembered
KNOWN_HEADS = 256
TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
FIELDS = rb"(?:" + TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+"
LINE = re.compile(rb"(" + TOKEN + rb" [!-~]++) HTTP/([0-9])\.([0-9])\r\n")
HEAD = re.compile(LINE.pattern + rb"(" + FIELDS + rb")\r\n")
TRAILER = re.compile(FIELDS + rb"\r\n")
BEGIN = re.compile(TOKEN + rb"(?: |\Z)|\r?\Z")
"""How a head begins, as far as it is here."""
NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r[^\n]")
"""What is in no head: control characters, and line ends that are no CRLF."""
HOST = re.compile(
    r"(?:(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._~-]+)?\])(?::[0-9]*)?"
)
ABSOLUTE = re.compile(rf"https?://{HOST.pattern}(/[^?#]*)?(?:[?#].*)?", re.IGNORECASE)
OWS = " \t"


class HeadError(Exception):
    """The head is refused. status: what its client is answered."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Head:
    """What a head says. It may belong to many requests: nothing in it is to be changed.

    path: without query, percent-decoded. headers: by lower-case name; the values of lines with the same name are joined by
    commas (RFC 9110, 5.3). keep: whether the connection is to be kept. length: of the body; 0 when it comes in chunks.
    expects: the client waits for a word before it sends the body. size: in bytes.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    keep: bool
    length: int
    chunked: bool
    expects: bool
    size: int


def read_head(raw: bytes) -> Head:
    """Return what a head says, from its first byte to the empty line. Raises HeadError.

    Clients send the same head again and again: short ones are remembered.
    """
    return _known(raw) if len(raw) <= KNOWN_BYTES else _read(raw)


def _read(raw: bytes) -> Head:
    if len(raw) > MAX_HEAD_BYTES:
        raise too_large(raw)
    match = HEAD.fullmatch(raw)
    if match is None:
        raise no_http(raw)
    line, major, minor, fields = match.groups()
    if major != b"1":
        raise HeadError(505, f"HTTP/{major.decode()}.{minor.decode()} is not spoken here: use HTTP/1.1")
    method, path = _known_target(line) if len(line) <= KNOWN_BYTES else _target(line)
    if fields.count(b"\r\n") > MAX_FIELDS:
        raise HeadError(431, f"the request has more than {MAX_FIELDS} headers")
    headers = _headers(fields)
    old = minor == b"0"
    host = headers.get("host")
    if host is None and not old:
        raise HeadError(400, "a request of HTTP/1.1 needs the header Host")
    if host is not None and (len(host) > MOST_HOST_CHARACTERS or not _is_host(host)):
        raise HeadError(400, f"the header Host is {host[:50]!r}: it must be one name and may have a port")
    length, chunked = _framing(headers, old)
    keep = not old
    if "connection" in headers:
        options = [word.strip(OWS) for word in headers["connection"].lower().split(",")]
        keep = "close" not in options and (not old or "keep-alive" in options)
    expects = not old and "expect" in headers and headers["expect"].lower() == "100-continue"
    return Head(method, path, headers, keep, length, chunked, expects, len(raw))


_known = lru_cache(KNOWN_HEADS)(_read)


@lru_cache(KNOWN_HEADS)
def _is_host(text: str) -> bool:
    return HOST.fullmatch(text) is not None


def too_large(raw: bytes) -> HeadError:
    """Return the refusal of a head, whole or not, that is too large."""
    if BEGIN.match(raw) is None or NO_TEXT.search(raw, 0, MAX_HEAD_BYTES):
        return no_http(raw[:MAX_HEAD_BYTES])
    if b"\r\n" not in raw[:MAX_HEAD_BYTES]:
        return HeadError(414, f"the request line is larger than {MAX_HEAD_BYTES} bytes")
    return HeadError(431, f"the head of the request is larger than {MAX_HEAD_BYTES} bytes")


def no_http(raw: bytes) -> HeadError:
    """Return the refusal of a head, whole or not, that has not the right form."""
    return HeadError(400, f"this is not HTTP: {_what_is_wrong(raw)}")


def _headers(fields: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in fields.decode("latin-1").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in headers:
            headers[name] += f", {value.strip(OWS)}"
        else:
            headers[name] = value.strip(OWS)
    return headers


def _framing(headers: Mapping[str, str], old: bool) -> tuple[int, bool]:
    """Return the length of the body, and whether it comes in chunks (RFC 9112, 6.1 and 6.3). Raises HeadError."""
    length = headers.get("content-length")
    if "transfer-encoding" in headers:
        encoding = headers["transfer-encoding"]
        if old:
            raise HeadError(400, "HTTP/1.0 has no transfer-encoding")
        if length is not None:
            raise HeadError(400, "the request has a transfer-encoding and a content-length: send one of them")
        codings = [word.strip(OWS) for word in encoding.lower().split(",")]
        if "chunked" in codings[:-1] or not all(codings):
            raise HeadError(400, f"transfer-encoding {encoding[:50]!r}: chunked must come once, and last")
        if codings != ["chunked"]:
            raise HeadError(501, f"transfer-encoding {encoding[:50]!r} is not known: use chunked")
        return 0, True
    if length is None:
        return 0, False
    if not (length.isascii() and length.isdigit() and len(length) <= MOST_DIGITS):
        raise HeadError(400, f"content-length is {length[:50]!r}: it must be one number of bytes")
    return int(length), False


def _target(line: bytes) -> tuple[str, str]:
    """Return method and path of a request line whose target has origin or absolute form (RFC 9112, 3.2). Raises HeadError."""
    method, _, target = line.decode().partition(" ")
    if method == "CONNECT":
        raise HeadError(501, "CONNECT is not supported")
    if target.startswith("/"):
        path = target.partition("?")[0]
    elif match := ABSOLUTE.fullmatch(target):
        path = match[1] or "/"
    elif target == "*" and method == "OPTIONS":
        path = "/"  # the server as a whole
    else:
        raise HeadError(400, f"the target of the request is {target[:50]!r}: it must be a path or an http address")
    return method, unquote(path) if "%" in path else path


_known_target = lru_cache(KNOWN_HEADS)(_target)


def _what_is_wrong(raw: bytes) -> str:
    """Return, in words, what is wrong with a head that is not of the right form."""
    if NO_TEXT.search(raw):
        return "a control character, or the end of a line that is not CRLF"
    match = LINE.match(raw)
    if match is None:
        return "a request begins with METHOD TARGET HTTP/1.1"
    for line in raw[match.end() :].split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            return "a header that goes on in a second line"
        name, colon, _ = line.partition(b":")
        if line and (not colon or re.fullmatch(TOKEN, name) is None):
            return f"{line[:50].decode('latin-1')!r} is no header"
    return "the head has not the right form"
