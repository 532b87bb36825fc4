"""A thin asynchronous client of the Kubernetes API: plain objects in, plain objects out."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from prometheus_client import Counter, Histogram

from modelmill.engine import decoding, metrics
from modelmill.engine.errors import ApiError, Expired, LoginError, ServerFailure, Unreachable, api_error
from modelmill.engine.login import Login
from modelmill.kube.objects import Resource

T = TypeVar("T")

FIELD_MANAGER = "modelmill"
# Not `connect`: that would count the wait for a free connection of the pool as well.
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
PAGE = 500
LIST_TRIES = 3
"""How often a list is begun whose pages expire while they are read."""
REFUSAL_BYTES = 64 * 1024
"""How much is read of a stream that is refused: a Status object, or what a proxy says."""
CONNECTIONS = 64
"""Requests at a time; more wait. Each of the 48 workers has one or a few. A watch stream has a connection of its own."""


class Client:
    """Requests to one API server over one pool of connections. Every error is one of `errors.ApiError`."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self.session = self._new_session(CONNECTIONS)
        # A stream keeps its connection, so that in the pool of the requests a few dozen would leave none.
        self._streams = self._new_session(0)

    def _new_session(self, connections: int) -> aiohttp.ClientSession:
        """Return a pool. connections: how many at most, 0: no limit."""
        tls = self._login.tls if self._login.tls is not None else False
        connector = aiohttp.TCPConnector(limit=connections, ssl=tls)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=TIMEOUT,
            json_serialize=_dumps,
            middlewares=(self._authenticate,),
            # Inside a cluster packing and unpacking lists costs more than it saves.
            headers={"Accept-Encoding": "identity"},
        )

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._login.server

    async def close(self) -> None:
        """Close the connections."""
        await self.session.close()
        await self._streams.close()

    async def _authenticate(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send the request with our identity, and once more when that was refused and there is a newer one.

        A login that fails is an outage like any other: to be tried again.
        """
        try:
            sent = await self._login.headers()
            request.headers.update(sent)
            response = await handler(request)
            if response.status != 401 or not await self._login.refused(sent):
                return response
            # Closed, not given back: the connection may be bound to a certificate that has expired.
            response.close()
            request.headers.update(await self._login.headers())
        except LoginError as error:
            raise aiohttp.ClientConnectionError(str(error)) from error
        return await handler(request)

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object. Raises NotFound."""
        return await self._send("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
    ) -> tuple[list[dict[str, Any]], str]:
        """Return all objects, read in pages, and the resourceVersion of the list."""
        for tries in range(1, LIST_TRIES + 1):
            items: list[dict[str, Any]] = []
            version = ""
            try:
                async for page in self.pages(resource, namespace, label_selector):
                    items += map(decoding.whole, page.items)
                    version = page.version
            except Expired:
                if tries == LIST_TRIES:
                    raise
            else:
                break
        # Items of a typed list carry neither apiVersion nor kind.
        for item in items:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return items, version

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> AsyncIterator[decoding.Page]:
        """Yield the pages of a list, whose objects are not decoded yet. All have the version of the first.

        Raises Expired when the API server knows the place of the next page no more; the list must begin anew then.
        """
        query = {"limit": str(PAGE)} | _selectors(label_selector, field_selector)
        while True:
            page = await self._exchange(decoding.page, "GET", resource.path(namespace), query=query)
            yield page
            if not page.next:
                return
            query["continue"] = page.next

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        version: str,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        seconds: int,
        silent_seconds: float,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give a watch stream from a version on, as pieces of bytes that are cut anywhere.

        The API server ends it after so many `seconds`; without a byte for `silent_seconds` it is Unreachable. Raises ApiError.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        } | _selectors(label_selector, field_selector)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT.sock_connect, sock_read=silent_seconds)
        url = self._login.server + resource.path(namespace)
        try:
            async with self._streams.get(url, params=query, timeout=timeout) as response:
                _counters(str(response.status), "WATCH")[0].inc()
                if response.status >= 400:
                    raise _refusal(response, await response.content.read(REFUSAL_BYTES))
                yield response.content.iter_any()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(0, type(error).__name__, f"WATCH {url}: {error}") from error

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST the object. Raises AlreadyExists."""
        path = resource.path(body["metadata"].get("namespace"))
        return await self._send("POST", path, body, query={"fieldManager": FIELD_MANAGER})

    async def apply(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply with force: what we state is ours, what we do not state is left alone."""
        path = resource.path(body["metadata"]["namespace"], body["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._send("PATCH", path, body, query=query, content_type="application/apply-patch+yaml")

    async def replace(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        """PUT the object with its resourceVersion. Raises Conflict when it is out of date."""
        path = resource.path(body["metadata"].get("namespace"), body["metadata"]["name"])
        return await self._send("PUT", path, body, query={"fieldManager": FIELD_MANAGER})

    async def replace_status(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        """PUT the status of the object with its resourceVersion. Raises Conflict when it is out of date."""
        path = resource.path(body["metadata"]["namespace"], body["metadata"]["name"], "status")
        return await self._send("PUT", path, body, query={"fieldManager": FIELD_MANAGER})

    async def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """JSON merge patch (RFC 7396)."""
        path, query = resource.path(namespace, name), {"fieldManager": FIELD_MANAGER}
        return await self._send("PATCH", path, body, query=query, content_type="application/merge-patch+json")

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "") -> bool:
        """Delete in the background, only when the object still has this uid, and this version if one is given.

        Raises NotFound, Conflict.

        Return whether it is gone: one with finalizers is there until they are taken away, and is the answer then.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid} | ({"resourceVersion": version} if version else {}),
        }
        answer = await self._send("DELETE", resource.path(namespace, name), options)
        return bool(answer.get("kind") == "Status")

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        return await self._exchange(decoding.whole, method, path, body, query, content_type)

    async def _exchange(
        self,
        read: Callable[[bytes], T],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> T:
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = _dumps(body).encode()
        began = time.monotonic()
        code, raw = "error", b""
        try:
            async with self.session.request(
                method, self._login.server + path, params=query, data=data, headers=headers
            ) as response:
                code = str(response.status)
                raw = await response.read()
                if response.status >= 400:
                    raise _refusal(response, raw)
                return read(raw)
        except decoding.UNREADABLE as error:
            # A proxy in between, or half an answer.
            raise ServerFailure(500, "NoJSON", f"{method} {path}: {raw[:300].decode(errors='replace')}") from error
        except (TimeoutError, aiohttp.ClientError) as error:
            raise Unreachable(0, type(error).__name__, f"{method} {path}: {error}") from error
        finally:
            requests, seconds = _counters(code, method)
            requests.inc()
            seconds.observe(time.monotonic() - began)


@functools.cache
def _counters(code: str, method: str) -> tuple[Counter, Histogram]:
    """Finding a labelled metric costs as much as counting it ten times."""
    return metrics.REQUESTS.labels(code, method), metrics.REQUEST_SECONDS.labels(method)


def _refusal(response: aiohttp.ClientResponse, raw: bytes) -> ApiError:
    after = response.headers.get("Retry-After", "")
    seconds = float(after) if after.isascii() and after.isdigit() else None
    try:
        status = decoding.status(raw)
    except decoding.UNREADABLE:
        return api_error(response.status, "", raw[:300].decode(errors="replace"), seconds)
    return api_error(response.status, status.reason, status.message, seconds)


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    both = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: text for name, text in both.items() if text}


def _dumps(body: Any) -> str:
    return json.dumps(body, separators=(",", ":"))
