"""Compressed bodies: of requests, bounded in what they become, and of answers, where a client asks for that."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

from modelmill_server.queries.columns import RejectedError, bad

LEAST_BYTES: Final = 2048  # of an answer: a smaller one gains less than a packet
INLINE_BYTES: Final = 32 * 1024  # compressed within a millisecond; more does not belong on the event loop
LEVEL: Final = 1  # a third of the time of the usual 6, for a tenth more bytes of JSON
MOST_ACCEPTED: Final = 200  # characters of Accept-Encoding that are read: there are some ten codings in the world
ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def decompressed(body: bytes, encoding: str, most: int) -> bytes:
    """Return the body as it was before `encoding` (a value of Content-Encoding).

    Raises RejectedError: 400 when it is not of that encoding, 413 when more than `most` bytes come out, 415 for an encoding
    that is not known.
    """
    if encoding == "identity":
        return body
    bits = ENCODINGS.get(encoding)
    if bits is None:
        raise RejectedError(415, f"content-encoding {encoding[:50]!r} is not known: use gzip or deflate")
    stream = zlib.decompressobj(bits)
    try:
        plain = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise bad(f"the body is not {encoding}: {error}") from None
    if len(plain) > most:
        raise RejectedError(413, f"the decompressed request is larger than {most} bytes")
    if not stream.eof:
        raise bad(f"the {encoding} body ends too early")
    return plain


@lru_cache(256)
def chosen_encoding(accepted: str) -> str | None:
    """Return the encoding for an answer, gzip before deflate of the same weight; None for none.

    accepted: the request's Accept-Encoding, whatever it holds. Source: RFC 9110 §12.5.3.
    """
    weights: dict[str, float] = {}
    for part in accepted[:MOST_ACCEPTED].lower().split(","):
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
