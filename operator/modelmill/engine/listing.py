"""Lists a page at a time, and the kinds that are listed again and again since their streams do not tell every deletion."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from modelmill.engine.cache import version_number
from modelmill.engine.decoding import UNREADABLE, Misshapen, Reader
from modelmill.engine.errors import ApiError, Forbidden, HistorySetBack, NotFound
from modelmill.engine.interface import Pages, Watch
from modelmill.engine.unwatched import Place
from modelmill.kube.objects import Manifest, Resource

RESYNC_SECONDS = 600.0
RESYNC_RETRY_SECONDS = 5.0
ABSENT_SECONDS = 10.0
"""A kind whose lists are all answered by 404 for so long is not installed: an API server that starts may not know it yet."""

log = structlog.get_logger(__name__)


class Listener(Protocol):
    """Who is told. Everything about one place is told in order."""

    def on_event(self, resource: Resource, kind: str | None, obj: Manifest) -> None:
        """Take ADDED, MODIFIED, DELETED, or None for an object of a list."""

    def newest(self, resource: Resource) -> int:
        """Return the highest resourceVersion of the kind that was told, 0 when nothing was."""

    def on_listed(self, resource: Resource, namespace: str | None, uids: set[str], version: str) -> None:
        """Take the end of a list: its objects have been told, and there are no others at this resourceVersion."""

    def on_absent(self, resource: Resource, namespace: str | None, seconds: float) -> None:
        """Take that the API server does not have the kind, and has said nothing else for so many seconds."""


async def read_list(
    client: Pages, watch: Watch, namespace: str | None, read: Reader, take: Callable[[Manifest], object], since: int
) -> tuple[set[str], str]:
    """List a kind a page at a time and give each object to `take`; return the uids and the resourceVersion of the list.

    since: the newest resourceVersion of the kind that is known; a list is the newest that there is, so that it cannot be of
    an older one. Raises HistorySetBack when it is; ApiError, also Expired in the middle, or one of UNREADABLE: what was taken
    by then is true all the same.
    """
    uids: set[str] = set()
    version = ""
    async for page in client.pages(watch.resource, namespace, watch.label_selector, watch.field_selector):
        for raw in page.items:
            obj = read(raw)
            uids.add(obj["metadata"]["uid"])
            take(obj)
        version = page.version
        # Others get their turn between the pages.
        await asyncio.sleep(0)
    if not version:
        raise Misshapen("a list without a resourceVersion")
    check_forward(watch.resource, version_number(version), since)
    return uids, version


def check_forward(resource: Resource, version: int, since: int) -> None:
    """Return when a resourceVersion that was just read is no older than one that was seen before it was asked for.

    Raises HistorySetBack.
    """
    if version < since:
        raise HistorySetBack(f"{resource.plural} are of resourceVersion {version}, and {since} was seen before")


class Listing:
    """Lists kinds anew, and again what could not be listed.

    A kopf stream that was cut for too long begins anew with a list, and what is not in that list any more has no event.
    Here the list itself is the witness. It is made while the stream is open already. Then each deletion is seen by one of
    the two: before the list, and the list lacks the object; after it, and the stream tells. The other way round, list
    first and stream after it, a deletion in the gap would leave a ghost in the cache; a stream that opens later therefore
    asks for another list by `on_relisted`. What list and stream both tell is sorted out by resourceVersion in the cache,
    in whichever order they come.
    """

    def __init__(self, client: Pages, watches: Sequence[Watch], namespaces: Sequence[str], listener: Listener) -> None:
        self._client = client
        self._listener = listener
        self._watches = {watch.resource: (watch, Reader(watch.resource, watch.unread)) for watch in watches}
        self._places: set[Place] = {(watch.resource, one) for watch in watches for one in namespaces or (None,)}
        self._to_list: set[Place] = set()
        self._absent: dict[Place, float] = {}
        self._relisted = asyncio.Event()

    def on_relisted(self) -> None:
        """Note that a watch stream began anew with a list."""
        self._relisted.set()

    async def anew(self) -> None:
        """List every kind once. What could not be listed is listed by `keep`."""
        self._relisted.clear()
        self._to_list = set(self._places)
        await self._list_the_rest()

    async def keep(self, resync: Callable[[], Awaitable[None]]) -> None:
        """Resync every ten minutes, and a second after a stream had to list: it may have missed deletions meanwhile."""
        due = 0.0
        while True:
            now = asyncio.get_running_loop().time()
            if now >= due:
                due = now + RESYNC_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESYNC_RETRY_SECONDS if self._to_list else due - now):
                    await self._relisted.wait()
                    await asyncio.sleep(1)
                    due = 0.0
            if asyncio.get_running_loop().time() >= due:
                await resync()
            else:
                await self._list_the_rest()

    async def _list_the_rest(self) -> None:
        for place in sorted(self._to_list, key=str):
            if await self._list(place):
                self._to_list.discard(place)

    async def _list(self, place: Place) -> bool:
        """List one place; tell whether it need not be listed again."""
        resource, namespace = place
        watch, read = self._watches[resource]
        try:
            uids, version = await read_list(
                self._client,
                watch,
                namespace,
                read,
                lambda obj: self._listener.on_event(resource, None, obj),
                self._listener.newest(resource),
            )
        except NotFound:
            now = asyncio.get_running_loop().time()
            seconds = now - self._absent.setdefault(place, now)
            self._listener.on_absent(resource, namespace, seconds)
            return seconds >= ABSENT_SECONDS
        except (ApiError, *UNREADABLE) as error:
            self._absent.pop(place, None)
            # What is forbidden is told by whoever watches it.
            (log.debug if isinstance(error, Forbidden) else log.warning)("resync failed", error=str(error))
            return False
        self._absent.pop(place, None)
        self._listener.on_listed(resource, namespace, uids, version)
        return True
