"""Watch streams by kopf: raw events into the cache, changed keys into the queue.

kopf gives connections, reconnection and bookmarks. Its state-tracking handlers are not used: they write twice per object,
keep annotations and are edge-triggered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import kopf
import structlog

from modelmill.engine import metrics
from modelmill.engine.client import CONNECTIONS, Client
from modelmill.engine.interface import Watch
from modelmill.kube.objects import Manifest, Resource

REMIND_SECONDS = 10.0

log = structlog.get_logger(__name__)

OnEvent = Callable[[Resource, str | None, Manifest], None]


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: one malformed last-handled annotation would silence kopf's raw handlers for its object."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Keeps nothing."""

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


class Streams:
    """Which watch streams are open, told from the requests that kopf makes: it has no other sign of it.

    kopf lists a kind anew when the place it watched from is too old, and does not tell which objects were deleted in between;
    `on_relisted` is called when a stream is open again after that.
    """

    def __init__(
        self,
        watches: Sequence[Watch],
        namespaces: Sequence[str],
        on_relisted: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        scopes: Sequence[str | None] = namespaces or (None,)
        self._responses: dict[str, aiohttp.ClientResponse | None] = {
            watch.resource.path(namespace): None for watch in watches for namespace in scopes
        }
        self._relisted: set[str] = set()
        self._closed_since: dict[str, float] = {}
        self._on_relisted = on_relisted
        self._clock = clock
        self._opened = asyncio.Event()

    def __len__(self) -> int:
        """How many streams there are: one for each kind and namespace."""
        return len(self._responses)

    async def wait_open(self) -> None:
        """Wait until every kind has been watched; what is missing is logged from time to time."""
        while not self._opened.is_set():
            try:
                async with asyncio.timeout(REMIND_SECONDS):
                    await self._opened.wait()
            except TimeoutError:
                missing = [path for path, response in self._responses.items() if response is None]
                log.warning("not watched yet; are the kinds installed, and may they be watched?", missing=missing)

    def closed_seconds(self) -> float:
        """Return for how long a stream has been closed, as far as calls of this method have seen; the longest one."""
        now = self._clock()
        for path, response in self._responses.items():
            if response is None or not response.closed:
                self._closed_since.pop(path, None)
            else:
                self._closed_since.setdefault(path, now)
        return now - min(self._closed_since.values(), default=now)

    async def observe(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Pass a request of kopf on (a middleware of aiohttp)."""
        response = await handler(request)
        path, query = request.url.path, request.url.query
        if path not in self._responses or response.status >= 400:
            return response
        if "watch" in query:
            self._responses[path] = response
            if path in self._relisted:
                self._relisted.discard(path)
                self._on_relisted()
            if all(self._responses.values()):
                self._opened.set()
        elif self._responses[path] is not None:
            self._relisted.add(path)
        return response


def build_registry(
    client: Client, watches: Sequence[Watch], on_event: OnEvent, streams: Streams
) -> kopf.OperatorRegistry:
    """Return a registry with one raw handler for each kind. Kinds are named in full: their plurals exist elsewhere too."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def _login(**_: Any) -> kopf.AiohttpSession:
        # A session of its own: kopf closes it when it stops, while the last writes still need theirs. A stream keeps its
        # connection, so that a smaller pool would never let the last of them open; the others are for lists and discovery.
        session = client.new_session(streams.observe, connections=len(streams) + CONNECTIONS)
        return kopf.AiohttpSession(server=client.server, aiohttp_session=session)

    for watch in watches:
        _register(registry, watch.resource, on_event)
    return registry


def _register(registry: kopf.OperatorRegistry, resource: Resource, on_event: OnEvent) -> None:
    types = ("ADDED", "MODIFIED", "DELETED", None)
    counters = {kind: metrics.WATCH_EVENTS.labels(resource.kind, kind or "LISTED") for kind in types}

    async def handle(event: Any, **_: Any) -> None:
        kind = event.get("type")
        if kind in counters:
            counters[kind].inc()
        on_event(resource, kind, event["object"])

    kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=f"watch-{resource.plural}")(
        handle
    )


def build_settings(watches: Sequence[Watch], *, namespaced: bool) -> kopf.OperatorSettings:
    """Return kopf's settings: no writes of its own, selectors sent to the server, workers freed at once."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = namespaced
    settings.watching.chunk_size = 500
    for watch in watches:
        if watch.label_selector:
            kind = watch.resource
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = watch.label_selector
    settings.queueing.idle_timeout = 0.5
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.persistence.finalizer = "modelmill.dev/unused"
    settings.persistence.consistency_timeout = 1.0
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.posting.enabled = False
    settings.posting.loggers = False
    return settings
