"""Asks a Prometheus server for single numbers: GET /api/v1/query (Prometheus documentation, HTTP API, instant queries).

The server is the admin's; the queries are the tenants'. So no redirect is followed, bytes and time are bounded, and each
namespace has its own slots.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from modelmill.kube.objects import Key
from modelmill.kube.texts import fitted
from modelmill.measuring.asking import Questions

QUERY_SECONDS = 5.0
MAX_BYTES = 64 * 1024
MAX_CONNECTIONS = 32
SLOTS = 2
"""Queries of one namespace that are asked at once."""
MAX_WORDS = 200
"""Characters of the server's own words that are told."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gives. value: None when there is none, an empty result or NaN. error: why the query has no answer."""

    value: float | None = None
    error: str = ""


Answers = Mapping[str, Answer]
"""By query."""


@dataclass(frozen=True, slots=True)
class Server:
    """The admin's Prometheus. url: empty for none. namespace_parameter: added to each query with the tenant's namespace.

    prom-label-proxy takes such a parameter and lets the query see that namespace alone.
    """

    url: str = ""
    namespace_parameter: str = ""


class Prometheus:
    """Asks in the background."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._questions: Questions[Answers] = Questions(QUERY_SECONDS, MAX_CONNECTIONS, SLOTS)

    async def answers(self, key: Key, queries: Sequence[str]) -> Answers | None:
        """Return the answers to the queries of an object; None while some are missing: call again with the same key."""
        if not queries:
            return {}
        if not self._server.url:
            none = Answer(error="the operator has no Prometheus: an admin sets analysis.prometheus.url of the chart")
            return dict.fromkeys(queries, none)
        return await self._questions.answer(key, lambda: self._all(key.namespace, queries))

    def forget(self, key: Key) -> None:
        """Give a question up that nobody will come back for."""
        self._questions.forget(key)

    async def close(self) -> None:
        """Give all questions up and close the connections."""
        await self._questions.close()

    async def _all(self, namespace: str, queries: Sequence[str]) -> Answers:
        slots = self._questions.slots(namespace)
        found = await asyncio.gather(*(self._one(slots, namespace, query) for query in queries))
        return dict(zip(queries, found, strict=True))

    async def _one(self, slots: asyncio.Semaphore, namespace: str, query: str) -> Answer:
        parameters = {"query": query, "timeout": f"{QUERY_SECONDS:g}s"}
        if self._server.namespace_parameter:
            parameters[self._server.namespace_parameter] = namespace
        async with slots:
            try:
                return read(await self._body(parameters))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                return Answer(error=f"Prometheus does not answer: {type(error).__name__}")
            except ValueError as error:
                return Answer(error=str(error))

    async def _body(self, parameters: Mapping[str, str]) -> bytes:
        """Return the body of the answer. Raises ValueError for one that is a redirect or too long, and what aiohttp raises."""
        url = f"{self._server.url.rstrip('/')}/api/v1/query"
        async with self._questions.session.get(url, params=parameters, allow_redirects=False) as response:
            if response.status >= 500 or 300 <= response.status < 400:
                raise ValueError(f"Prometheus answers with status {response.status}")
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > MAX_BYTES:
                    raise ValueError(
                        f"Prometheus answers with more than {MAX_BYTES} bytes: aggregate the query to one series"
                    )
            return bytes(body)


def read(body: bytes) -> Answer:
    """Return the one number of a body. Raises ValueError, for people, for another one."""
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("what answers is no Prometheus: its body is no JSON") from None
    words = told if isinstance(told, dict) else {"error": "its body is no object"}
    if words.get("status") != "success":
        raise ValueError(
            f"Prometheus refuses the query: {fitted(str(words.get('error', 'without a word')), MAX_WORDS)}"
        )
    data = words.get("data")
    kind, result = (data.get("resultType"), data.get("result")) if isinstance(data, dict) else (None, None)
    if kind == "vector" and isinstance(result, list):
        if len(result) > 1:
            raise ValueError(f"the query gives {len(result)} series: aggregate it to one, e.g. by sum(...)")
        if not result:
            return Answer()
        return _number(result[0].get("value") if isinstance(result[0], dict) else None)
    if kind == "scalar":
        return _number(result)
    raise ValueError(f"the query gives a {fitted(str(kind), 20)}, no number")


def _number(sample: Any) -> Answer:
    """Return the value of a sample, [time, text]. Raises ValueError when it is none."""
    if not isinstance(sample, list) or len(sample) != 2 or not isinstance(sample[1], str):
        raise ValueError("what answers is no Prometheus: a sample is no pair of time and text")
    try:
        value = float(sample[1])
    except ValueError:
        raise ValueError("what answers is no Prometheus: a value is no number") from None
    return Answer(None if math.isnan(value) else value)
