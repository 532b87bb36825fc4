"""Compressed bodies of requests, bounded in what they become."""

from __future__ import annotations

import zlib

from modelmill_server.queries.columns import RejectedError, bad

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
