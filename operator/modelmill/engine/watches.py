"""The operator's own kinds, watched by kopf: raw events into the cache, changed keys into the queue.

kopf gives connections, reconnection and bookmarks. Its state-tracking handlers are not used: they write twice per object,
keep annotations and are edge-triggered. All other kinds are watched by `engine.reflector`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import aiohttp
import kopf
import structlog

from modelmill.engine import metrics
from modelmill.engine.client import CONNECTIONS, Client
from modelmill.engine.errors import ApiError
from modelmill.engine.interface import Watch
from modelmill.engine.unwatched import REFUSALS, Place, Unwatched
from modelmill.kube.objects import Manifest, Resource

OPEN_SECONDS = 5.0
"""So long a start waits for all streams; those that open later are listed again when they do."""
HOLD_SECONDS = 10.0
"""After this a request of kopf that was refused is made again."""
LOOK_SECONDS = 15.0
PAUSE_FIRST, PAUSE_LAST = 1.0, 30.0

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
    `on_relisted` is called when a stream is open for the first time, and when it is open again after that.
    """

    def __init__(
        self,
        watches: Sequence[Watch],
        namespaces: Sequence[str],
        on_relisted: Callable[[], None],
        unwatched: Unwatched,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places: dict[str, Place] = {
            watch.resource.path(namespace): (watch.resource, namespace)
            for watch in watches
            for namespace in namespaces or (None,)
        }
        self._responses: dict[str, aiohttp.ClientResponse] = {}
        self._listed = set(self._places)
        self._held: set[str] = set()
        self._closed_since: dict[str, float] = {}
        self._on_relisted = on_relisted
        self._unwatched = unwatched
        self._clock = clock
        self._opened = asyncio.Event()

    def __len__(self) -> int:
        """How many streams there are: one for each kind and namespace."""
        return len(self._places)

    async def wait_open(self) -> None:
        """Wait until every kind has been watched, but not for long: one that is not installed is not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OPEN_SECONDS):
                await self._opened.wait()

    def closed_seconds(self) -> float:
        """Return for how long a stream has been closed, as far as calls of this method have seen; the longest one.

        What is refused is not counted, nor what was never open.
        """
        now = self._clock()
        for path, response in self._responses.items():
            if response.closed and self._places[path] not in self._unwatched.places:
                self._closed_since.setdefault(path, now)
            else:
                self._closed_since.pop(path, None)
        return now - min(self._closed_since.values(), default=now)

    def forgotten(self) -> Collection[Place]:
        """Return what has no stream, and that kopf does not even ask for."""
        return [
            place
            for path, place in self._places.items()
            if path not in self._held and (path not in self._responses or self._responses[path].closed)
        ]

    async def observe(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Pass a request of kopf on (a middleware of aiohttp).

        One for an own kind that is refused, or that the API server fails at, is held and made again: told of that, kopf would
        end after a while, and with it the streams of the other kinds.
        """
        path = request.url.path
        if path not in self._places:
            return await handler(request)
        try:
            while True:
                response = await handler(request)
                if response.status not in REFUSALS and response.status < 500:
                    break
                response.close()
                self._held.add(path)
                if response.status in REFUSALS:
                    self._unwatched.refuse(self._places[path], response.status)
                await asyncio.sleep(HOLD_SECONDS)
        finally:
            self._held.discard(path)
        if response.status < 400:
            self._passed(path, response, watch="watch" in request.url.query)
        return response

    def _passed(self, path: str, response: aiohttp.ClientResponse, *, watch: bool) -> None:
        if not watch:
            self._listed.add(path)
            return
        self._responses[path] = response
        self._unwatched.allow(self._places[path])
        if path in self._listed:
            self._listed.discard(path)
            self._on_relisted()
        if len(self._responses) == len(self._places):
            self._opened.set()


class Frame:
    """kopf's operator. It is started again when it ends, and when a kind is there that it does not look for.

    kopf looks for kinds that are installed later, or again, only when all namespaces are watched.
    """

    def __init__(
        self,
        client: Client,
        watches: Sequence[Watch],
        namespaces: Sequence[str],
        on_event: OnEvent,
        streams: Streams,
        unwatched: Unwatched,
    ) -> None:
        self._client = client
        self._watches = watches
        self._namespaces = namespaces
        self._on_event = on_event
        self._streams = streams
        self._unwatched = unwatched

    async def run(self, on_started: Callable[[], None]) -> None:
        """Run for ever. on_started: called when kopf has put its own signal handlers in place of ours."""
        pause = PAUSE_FIRST
        while True:
            began = time.monotonic()
            operator = asyncio.create_task(self._operator(on_started))
            missing = asyncio.create_task(self._missing())
            try:
                await asyncio.wait((operator, missing), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (operator, missing):
                    task.cancel()
                await asyncio.wait((operator, missing))
            why = str(missing.result()) if not missing.cancelled() else repr(_failure(operator))
            for watch in self._watches:
                metrics.WATCH_RESTARTS.labels(watch.resource.kind, "kopf").inc()
            pause = PAUSE_FIRST if time.monotonic() - began > PAUSE_LAST else min(2 * pause, PAUSE_LAST)
            log.warning("kopf is started again", why=why, seconds=pause)
            await asyncio.sleep(pause)

    async def _operator(self, on_started: Callable[[], None]) -> None:
        namespaced = bool(self._namespaces)
        tasks = await kopf.spawn_tasks(
            registry=build_registry(self._client, self._watches, self._on_event, self._streams),
            settings=build_settings(self._watches, namespaced=namespaced),
            standalone=True,
            clusterwide=not namespaced,
            namespaces=list(self._namespaces),
        )
        on_started()
        await kopf.run_tasks(tasks, ignored=_Everyone())

    async def _missing(self) -> Resource:
        """Return a kind that the API server has listed twice while kopf did not look for it."""
        before: set[Place] = set()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            there = {place for place in self._streams.forgotten() if await self._is_there(place)}
            for resource, _ in there & before:
                return resource
            before = there

    async def _is_there(self, place: Place) -> bool:
        try:
            await anext(self._client.pages(*place))
        except ApiError as error:
            if error.status in REFUSALS:
                self._unwatched.refuse(place, error.status)
            return False
        return True


class _Everyone(Collection[asyncio.Task[Any]]):
    """All tasks of the process: when kopf ends, it cancels every one that began after it, as if there were only its own."""

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


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
