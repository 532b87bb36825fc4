"""Bodies of requests to the operator, bounded in bytes and in time."""

from __future__ import annotations

import asyncio

from aiohttp import web

READ_SECONDS = 10.0


async def read_body(request: web.Request, most: int) -> bytes | None:
    """Return the body, or None when it is larger than `most` bytes; hardly more than that is ever held.

    Raises TimeoutError when it does not arrive within `READ_SECONDS`.
    """
    if (request.content_length or 0) > most:
        return None
    body = bytearray()
    async with asyncio.timeout(READ_SECONDS):
        async for chunk in request.content.iter_chunked(65_536):
            body += chunk
            if len(body) > most:
                return None
    return bytes(body)
