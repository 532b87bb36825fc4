"""Bodies of requests to the operator, bounded in bytes and in time."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

READ_SECONDS = 10.0


async def read_body(request: web.Request, most: int) -> bytes | None:
    """Return the body, or None when it is larger than `most` bytes; hardly more than that is ever held.

    Raises TimeoutError when it does not arrive within `READ_SECONDS`, HTTPBadRequest when it ends in the middle or is not
    encoded as its head says.
    """
    if (request.content_length or 0) > most:
        return None
    body = bytearray()
    async with asyncio.timeout(READ_SECONDS):
        try:
            async for chunk in request.content.iter_chunked(65_536):
                body += chunk
                if len(body) > most:
                    return None
        except (ConnectionError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError) as error:
            raise web.HTTPBadRequest(text=f"the body cannot be read: {type(error).__name__}") from error
    return bytes(body)
