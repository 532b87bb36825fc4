"""The floor: granian reads the body and answers a constant."""

from __future__ import annotations

from typing import Any

HEADERS = [("content-type", "application/json")]
ANSWER = b'{"predictions":[0]}'


async def app(scope: Any, proto: Any) -> None:
    await proto()
    proto.response_bytes(200, HEADERS, ANSWER)
