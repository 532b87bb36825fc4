"""Bodies of requests: bounded in size and in the time they may take to arrive."""

from __future__ import annotations

import asyncio
import time
import zlib
from typing import Any

from modelmill_server.columns import RejectedError, bad

READ_ANYWAY = (
    4  # times the limit: a body up to there is read to its end, since its client would not see the answer before
)
ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class BodyReader:
    """Reads bodies; belongs to the event loop. most: bytes, also after decompression. seconds: from head to last byte."""

    def __init__(self, most: int, seconds: int) -> None:
        self._most = most
        self._seconds = seconds
        self._reading: dict[asyncio.Task[Any], float] = {}

    async def read(self, scope: Any, proto: Any) -> bytes:
        """Return the body of a request, decompressed.

        Raises RejectedError: 413 over the limit, 408 when it comes too slowly, 400 when it cannot be decompressed, 415 for an
        encoding that is not known. Raises granian's ProtocolClosed when the client has left.
        """
        headers = scope.headers
        length = headers.get("content-length")
        if length is not None and int(length) > READ_ANYWAY * self._most:
            raise _too_large(self._most)
        task = asyncio.current_task()
        assert task is not None
        self._reading[task] = time.monotonic()
        try:
            if length is not None and int(length) <= self._most:
                body = bytes(await proto())
            elif length is None and "transfer-encoding" not in headers:
                body = b""
            else:
                body = await _bounded(proto, self._most, discard="expect" not in headers)
        except asyncio.CancelledError:
            if task not in self._reading:  # cancelled by cut_slow
                task.uncancel()
                raise RejectedError(408, f"the body did not arrive within {self._seconds} s") from None
            raise
        finally:
            self._reading.pop(task, None)
        encoding = headers.get("content-encoding")
        return body if encoding is None else self._decompressed(body, encoding)

    def cut_slow(self) -> None:
        """End the requests whose body takes longer than its time. To be called about once a second."""
        late = time.monotonic() - self._seconds
        for task, since in list(self._reading.items()):
            if since < late:
                del self._reading[task]
                task.cancel()

    def _decompressed(self, body: bytes, encoding: str) -> bytes:
        if encoding == "identity":
            return body
        bits = ENCODINGS.get(encoding)
        if bits is None:
            raise RejectedError(415, f"content-encoding {encoding[:50]!r} is not known: use gzip or deflate")
        stream = zlib.decompressobj(bits)
        try:
            plain = stream.decompress(body, self._most + 1)
        except zlib.error as error:
            raise bad(f"the body is not {encoding}: {error}") from None
        if len(plain) > self._most:
            raise RejectedError(413, f"the decompressed request is larger than {self._most} bytes")
        if not stream.eof:
            raise bad(f"the {encoding} body ends too early")
        return plain


async def _bounded(proto: Any, most: int, *, discard: bool) -> bytes:
    """Return a body that came without a length, or in pieces, of at most `most` bytes. Raises RejectedError (413).

    A body that is somewhat too large is read to its end, since a client that is still sending would not see the answer.
    """
    chunks: list[bytes] = []
    seen = 0
    async for chunk in proto:
        seen += len(chunk)
        if seen <= most:
            chunks.append(chunk)
        elif not discard or seen > READ_ANYWAY * most:
            break
        else:
            chunks.clear()
    if seen > most:
        raise _too_large(most)
    return b"".join(chunks)


def _too_large(most: int) -> RejectedError:
    return RejectedError(413, f"the request is larger than {most} bytes")
