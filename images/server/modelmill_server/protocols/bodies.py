"""What bodies are made of: which kinds are read, and their compression, of requests bounded in what they become, and of
answers where a client asks for that.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

from modelmill_server.queries.columns import RejectedError, bad

LEAST_BYTES: Final = 2048  # of an answer: a smaller one gains less than a packet
INLINE_BYTES: Final = 32 * 1024  # compressed within a millisecond; more does not belong on the event loop
INLINE_COMPRESSED: Final = 1024  # of a request: it becomes a thousand times as much at most
LEVEL: Final = 1  # a third of the time of the usual 6, for a tenth more bytes of JSON
MOST_READ: Final = (
    200  # characters of a header that are looked at and remembered: there are some ten codings in the world
)
MOST_MEMBERS: Final = 1024  # of a gzip body
BLOCK_BYTES: Final = 64 * 1024
READ_TYPES: Final = {"application/octet-stream", "application/x-www-form-urlencoded", "text/plain"}
"""Beside JSON: binary tensors, and what curl and browsers say where nobody told them what the body is."""
ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def is_read(content_type: str) -> bool:
    """Return whether a body of this type (a value of Content-Type) is looked at."""
    return _known_type(content_type[:MOST_READ])


@lru_cache(256)
def _known_type(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in READ_TYPES or kind.endswith(("/json", "+json"))


def decompressed(body: bytes, encoding: str, most: int) -> bytes:
    """Return the body as it was before `encoding` (a value of Content-Encoding). Source of members: RFC 1952, 2.2.

    Raises RejectedError: 400 when it is not of that encoding, 413 when more than `most` bytes come out, 415 for an encoding
    that is not known.
    """
    name = encoding.lower().removeprefix("x-")
    if name == "identity":
        return body
    if name not in ENCODINGS:
        raise RejectedError(415, f"content-encoding {encoding[:50]!r} is not known: use gzip or deflate")
    members = MOST_MEMBERS if name == "gzip" else 1
    parts: list[bytearray] = []
    at, room = 0, most
    try:
        while not parts or at < len(body):
            if len(parts) == members:
                raise bad(f"the {name} body has more than {members} members")
            plain, at = _member(body, at, ENCODINGS[name], room)
            room -= len(plain)
            if room < 0:
                raise RejectedError(413, f"the decompressed request is larger than {most} bytes")
            parts.append(plain)
    except zlib.error as error:
        raise bad(f"the body is not {name}: {error}") from None
    except EOFError:
        raise bad(f"the {name} body ends too early") from None
    return b"".join(parts)


def _member(body: bytes, at: int, bits: int, most: int) -> tuple[bytearray, int]:
    """Return what one member becomes, or of a larger one a part of more than `most` bytes, and the place behind it.

    It is given in blocks, because zlib copies what is behind the end of a member. Raises EOFError, zlib.error.
    """
    stream, view, plain = zlib.decompressobj(bits), memoryview(body), bytearray()
    while not stream.eof and len(plain) <= most:
        if at >= len(body):
            raise EOFError
        block = view[at : at + BLOCK_BYTES]
        plain += stream.decompress(block, most + 1 - len(plain))
        at += len(block) - len(stream.unused_data)
    return plain, at


def chosen_encoding(accepted: str) -> str | None:
    """Return the encoding for an answer, gzip before deflate of the same weight; None for none.

    accepted: the request's Accept-Encoding, whatever it holds. Source: RFC 9110 §12.5.3.
    """
    return _known_choice(accepted[:MOST_READ])


@lru_cache(256)
def _known_choice(accepted: str) -> str | None:
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, rest = part.partition(";")
        weights[name.strip().removeprefix("x-")] = _weight(rest)
    other = weights.get("*", 0.0)
    best = max(ENCODINGS, key=lambda name: weights.get(name, other))
    weight = weights.get(best, other)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weight(text: str) -> float:
    """Return the q of a coding, 1 without one, 0 where it is none."""
    name, _, value = text.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def compressed(body: bytes, encoding: str) -> bytes:
    """Return the body in an encoding of ENCODINGS."""
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, ENCODINGS[encoding])
    return stream.compress(body) + stream.flush()
