"""One HTTP/1.1 exchange after the other with a server that may do anything: hang, drip, reset, answer without end, redirect.

Bytes are bounded here, time by the caller. Redirects are not followed, compressed bodies not read, cookies not kept.
Source: RFC 9112, sections 2.2, 4, 6.3, 7.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass
from typing import Final

HEAD_BYTES: Final = 16 * 1024
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d)[ \r]")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_LENGTH: Final = re.compile(r"\d{1,18}")


class UnreadableError(Exception):
    """What came is no answer that can be read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. status: 200 to 599. headers: by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """A connection to one address, made when it is needed and kept between exchanges. opened: when, by the loop's clock."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.opened = 0.0

    async def connect(self) -> bool:
        """Be connected, and return whether the connection is new. Raises OSError."""
        if self._streams is not None:
            return False
        self._streams = await asyncio.open_connection(self._host, self._port, limit=HEAD_BYTES)
        self.opened = asyncio.get_running_loop().time()
        return True

    async def ask(self, message: bytes, most: int) -> Reply:
        """Send a request and return the answer, whose body has `most` bytes or fewer.

        Raises OSError or EOFError where the connection ends, UnreadableError.
        """
        assert self._streams is not None, "connect comes first"
        reader, writer = self._streams
        kept = False
        try:
            writer.write(message)
            await writer.drain()
            reply, kept = await _read(reader, most)
        except (asyncio.LimitOverrunError, ValueError) as error:
            raise UnreadableError(str(error)) from None
        finally:
            if not kept:
                self.close()
        return reply

    def close(self) -> None:
        """Let go of the connection, whatever waits in it."""
        if self._streams is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._streams[1].transport.abort()
            self._streams = None


async def _read(reader: asyncio.StreamReader, most: int) -> tuple[Reply, bool]:
    """Return the answer, and whether the connection may be used again. Raises ValueError for what cannot be read."""
    head = await reader.readuntil(b"\r\n\r\n")
    begin = _STATUS_LINE.match(head)
    if begin is None:
        raise ValueError(f"no answer of HTTP/1.1: {head[:30]!r}")
    headers: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:-2]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("content-encoding", "identity") != "identity":
        raise ValueError("the answer is compressed, which was not asked for")
    kept = head.startswith(b"HTTP/1.1") and "close" not in headers.get("connection", "").lower()
    length = headers.get("content-length")
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked":
            raise ValueError("the answer has a transfer coding that is not known")
        body, kept = await _chunks(reader, most), False  # trailers are not read
    elif int(begin[1]) in (204, 304):
        body = b""
    elif length is None:
        body, kept = await _to_the_end(reader, most), False
    elif _LENGTH.fullmatch(length) is None or int(length) > most:
        raise ValueError(f"the answer has {length[:30]} bytes: more than {most} are not read")
    else:
        body = await reader.readexactly(int(length))
    return Reply(int(begin[1]), headers, body), kept


async def _chunks(reader: asyncio.StreamReader, most: int) -> bytes:
    parts: list[bytes] = []
    missing = most
    while True:
        size = _CHUNK_SIZE.fullmatch(await reader.readuntil(b"\r\n"))
        if size is None:
            raise ValueError("the answer has no size of a chunk where one has to be")
        length = int(size[1], 16)
        if not length:
            return b"".join(parts)
        missing -= length
        if missing < 0:
            raise ValueError(f"the answer has more than {most} bytes")
        parts.append(await reader.readexactly(length))
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk of the answer is longer than its size")


async def _to_the_end(reader: asyncio.StreamReader, most: int) -> bytes:
    body = bytearray()
    while part := await reader.read(HEAD_BYTES):
        body += part
        if len(body) > most:
            raise ValueError(f"the answer has more than {most} bytes")
    return bytes(body)
