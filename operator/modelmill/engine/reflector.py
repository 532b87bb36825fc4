"""List and watch of our own: every change of a kind, in order and without gaps, and certain knowledge of what is gone.

The protocol is that of "Efficient detection of changes" and "Retrieving large results sets in chunks" in the Kubernetes API
concepts (kubernetes.io/docs/reference/using-api/api-concepts); the word and the rules are client-go's, in
tools/cache/reflector.go.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from types import NoneType

import aiohttp
import structlog

from modelmill.engine import decoding, metrics
from modelmill.engine.client import Client
from modelmill.engine.errors import (
    ApiError,
    Expired,
    Forbidden,
    HistorySetBack,
    Invalid,
    NotFound,
    TooManyRequests,
    Unreachable,
    api_error,
)
from modelmill.engine.interface import Watch
from modelmill.engine.listing import Listener, read_list
from modelmill.engine.unwatched import REFUSALS, Place, Unwatched
from modelmill.kube.objects import Manifest

SILENT_SECONDS = 90.0
"""A stream that tells nothing for so long is cut: a bookmark comes about once a minute, and nobody else notices that a
connection has lost its other end."""
STREAM_SECONDS = 300
"""The API server is asked to end a stream after so many seconds to twice as many, so that streams move between servers."""
WITHOUT_BOOKMARKS_SECONDS = 2 * STREAM_SECONDS + 60.0
"""A stream without bookmarks may be silent until the API server ends it."""
PAUSE_FIRST, PAUSE_LAST = 0.2, 30.0
LIST_AFTER = 5
"""After so many failures in a row from one place the list begins anew: whatever is the matter there is left behind."""
LOG_EVERY = 16
"""Of the failures of a row the first is logged, and then one of so many."""
LISTS_AT_ONCE = 8
"""Lists at a time: those of a start take no more of the connections, and of the memory, than this."""

log = structlog.get_logger(__name__)


class Reflector:
    """One place, listed and watched for ever. `closed_since` and `heard` are certain: they are set by who reads the stream.

    lists: bounds the lists at a time of all reflectors. jitter: numbers of [0, 1).
    """

    def __init__(
        self,
        client: Client,
        watch: Watch,
        namespace: str | None,
        listener: Listener,
        unwatched: Unwatched,
        lists: asyncio.Semaphore,
        *,
        silent_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.place: Place = (watch.resource, namespace)
        self.closed_since: float | None = None
        self.heard = 0.0
        self._client = client
        self._watch = watch
        self._listener = listener
        self._unwatched = unwatched
        self._lists = lists
        self._silent_seconds = silent_seconds or (SILENT_SECONDS if watch.bookmarks else WITHOUT_BOOKMARKS_SECONDS)
        self._clock = clock
        self._jitter = jitter
        self._read = decoding.Reader(watch.resource, watch.unread)
        kinds = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "LISTED", "UNKNOWN")
        self._counters = {kind: metrics.WATCH_EVENTS.labels(watch.resource.kind, kind) for kind in kinds}
        self._version = ""
        self._opened: float | None = None
        self._absent_since: float | None = None
        self._told = False
        self._failures = 0
        self._pause = 0.0

    async def run(self) -> None:
        """List, then watch from the list on, for ever. What goes wrong is tried again: a place never ends the process.

        Raises HistorySetBack.
        """
        while True:
            error: Exception | None = None
            self._told, self._opened = False, None
            try:
                if not self._version:
                    await self._list()
                await self._follow()
            except (ApiError, *decoding.UNREADABLE) as failure:
                error = failure
            except HistorySetBack:
                raise
            except Exception as failure:
                log.exception("watch failed", path=self._path)
                error = failure
            await asyncio.sleep(self._after(error))

    async def _list(self) -> None:
        resource, namespace = self.place
        async with self._lists:
            uids, version = await read_list(
                self._client,
                self._watch,
                namespace,
                self._read,
                lambda obj: self._tell(None, obj),
                self._listener.newest(resource),
            )
        self._absent_since = None
        self._listener.on_listed(resource, namespace, uids, version)
        self._version = version
        self.heard = time.time()

    async def _follow(self) -> None:
        resource, namespace = self.place
        async with self._client.watch(
            resource,
            namespace,
            self._version,
            label_selector=self._watch.label_selector,
            field_selector=self._watch.field_selector,
            seconds=int(STREAM_SECONDS * (1 + self._jitter())),
            silent_seconds=self._silent_seconds,
        ) as pieces:
            self._opened = self._clock()
            self.closed_since = None
            self._unwatched.allow(self.place)
            lines = decoding.Lines()
            async for piece in pieces:
                for line in lines.feed(piece):
                    self._take(decoding.line(line))
            lines.end()

    def _take(self, line: decoding.Line) -> None:
        if line.type in ("ADDED", "MODIFIED", "DELETED"):
            obj = self._read(line.object)
            self._tell(line.type, obj)
            self._version = obj["metadata"]["resourceVersion"]
        elif line.type == "BOOKMARK":
            self._version = decoding.version_in_bookmark(line.object)
            self._counters["BOOKMARK"].inc()
        elif line.type == "ERROR":
            status = decoding.status(line.object)
            raise api_error(status.code, status.reason, status.message)
        else:
            # Of another release: its version is not taken either.
            self._counters["UNKNOWN"].inc()
            return
        self._told = True
        self.heard = time.time()

    def _tell(self, kind: str | None, obj: Manifest) -> None:
        self._counters[kind or "LISTED"].inc()
        try:
            self._listener.on_event(self._watch.resource, kind, obj)
        except Exception:
            # One object that somebody stumbles over does not hide the others of its kind.
            meta = obj["metadata"]
            log.exception("watch event failed", path=self._path, object=f"{meta['namespace']}/{meta['name']}")

    def _after(self, error: Exception | None) -> float:
        """Take the end of a stream or a failed request; return the seconds to wait.

        A stream that told something, or held as long as the pause before it, begins the row of pauses anew: a connection that
        is cut every few seconds is taken up every few seconds, one that ends at once is asked for ever more seldom.
        """
        now = self._clock()
        held = now - self._opened if self._opened is not None else -1.0
        self._failures = 0 if self._told or held >= self._pause else self._failures + 1
        metrics.WATCH_RESTARTS.labels(self._watch.resource.kind, _cause(error)).inc()
        if self._opened is not None and self.closed_since is None:
            self.closed_since = now
        absent = isinstance(error, NotFound) or (self._watch.optional and isinstance(error, Forbidden))
        if not absent:
            self._absent_since = None
        refused = isinstance(error, ApiError) and error.status in REFUSALS
        if isinstance(error, ApiError) and refused:
            self._unwatched.refuse(self.place, error.status, quiet=self._watch.optional and error.status == 404)
            if absent:
                self._absent_since = now if self._absent_since is None else self._absent_since
                self._listener.on_absent(*self.place, now - self._absent_since)
        elif self._failures % LOG_EVERY == 1 or not (
            self._failures or isinstance(error, (NoneType, Unreachable, Expired))
        ):
            log.info("watch interrupted", path=self._path, error=repr(error), failures=self._failures)
        # A watch may be refused where a list is allowed: what the place has is then read by lists, one after each pause.
        if (
            refused
            or isinstance(error, (Expired, Invalid))
            or (self._failures >= LIST_AFTER and not isinstance(error, (Unreachable, TooManyRequests, Forbidden)))
        ):
            self._version = ""
        self._pause = min(PAUSE_FIRST * 2**self._failures, PAUSE_LAST)
        asked = (error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0
        return asked + self._pause * (0.5 + self._jitter())

    @property
    def _path(self) -> str:
        resource, namespace = self.place
        return resource.path(namespace)


class Reflectors:
    """One reflector for each kind and namespace; all namespaces when there are none."""

    def __init__(
        self,
        client: Client,
        watches: Sequence[Watch],
        namespaces: Sequence[str],
        listener: Listener,
        unwatched: Unwatched,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        lists = asyncio.Semaphore(LISTS_AT_ONCE)
        self._clock = clock
        self._unwatched = unwatched
        self._all = [
            Reflector(client, watch, namespace, listener, unwatched, lists, clock=clock)
            for watch in watches
            for namespace in namespaces or (None,)
        ]
        for watch in watches:
            of_kind = [one for one in self._all if one.place[0] == watch.resource]
            metrics.WATCH_LAST_EVENT.labels(watch.resource.kind).set_function(
                lambda of_kind=of_kind: min(one.heard for one in of_kind)  # type: ignore[misc]
            )

    def __len__(self) -> int:
        """How many streams there are."""
        return len(self._all)

    def closed_seconds(self) -> float:
        """Return for how long a stream has been closed that was open before; the longest one. Refused ones do not count."""
        now = self._clock()
        closed = [one.closed_since for one in self._all if one.place not in self._unwatched.places]
        return now - min((since for since in closed if since is not None), default=now)

    async def run(self) -> None:
        """Run them all, for ever."""
        async with asyncio.TaskGroup() as group:
            for one in self._all:
                group.create_task(one.run())


def _cause(error: Exception | None) -> str:
    """Return the label of the metric: one of ended, expired, throttled, silent, unreachable, refused, failed, broken, error."""
    if isinstance(error, ApiError) and error.status in REFUSALS:
        return "refused"
    if isinstance(error, Unreachable) and isinstance(error.__cause__, aiohttp.SocketTimeoutError):
        return "silent"
    if isinstance(error, decoding.UNREADABLE):
        return "broken"
    names = {NoneType: "ended", Expired: "expired", TooManyRequests: "throttled", Unreachable: "unreachable"}
    return names.get(type(error), "failed" if isinstance(error, ApiError) else "error")
