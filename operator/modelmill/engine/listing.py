"""Lists, a page at a time, and who is told of what a list or a stream has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from modelmill.engine.cache import version_number
from modelmill.engine.decoding import Misshapen, Reader
from modelmill.engine.errors import HistorySetBack
from modelmill.engine.interface import Pages, Watch
from modelmill.kube.objects import Manifest, Resource

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
        """Take that the API server does not have the kind, and has said nothing else for so many seconds.

        Of an optional kind also that it may not be watched.
        """


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
