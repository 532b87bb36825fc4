"""Reads the counters of pods: GET http://POD:8080/metrics.

Whoever runs a pod decides what it answers and when, so nothing that a pod does may cost another tenant its operator: no
redirect is followed, no address is asked that cannot be a pod's own, bytes, lines and time are bounded, each namespace has its
own slots, and nobody waits long for an answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import structlog

from modelmill.contracts import names
from modelmill.kube.objects import Key, Manifest
from modelmill.measuring.asking import Questions
from modelmill.measuring.exposition import NeededLines, parse
from modelmill.measuring.samples import Sample

POD_SECONDS = 2.0
ALL_SECONDS = 10.0
"""Longest time that the pods of one object are asked; those that were not heard by then did not answer."""
MAX_BYTES = 4 * 1024 * 1024
SLOTS = 8
"""Pods of one namespace that are asked at once."""
MAX_CONNECTIONS = 512
PARSERS = 2

T = TypeVar("T")
Counted = Mapping[str, Sample]
"""Counters since each pod's start, by the pod's uid. A pod that did not answer is not there."""

log = structlog.get_logger(__name__)


def host_of(pod: Manifest) -> str | None:
    """Return the pod's address as it stands in a URL; None when it has none of its own.

    A pod on the node's network has the node's address, behind which other programs listen. Addresses of the operator's own
    pod, of a link (where clouds have their metadata) and of groups are no pod's.
    """
    status = pod.get("status") or {}
    nodes = {status.get("hostIP"), *(one.get("ip") for one in status.get("hostIPs") or ())}
    try:
        address = ipaddress.ip_address(status.get("podIP") or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if str(address) in nodes or status["podIP"] in nodes:
        return None
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        return None
    return f"[{address}]" if address.version == 6 else str(address)


class PageScraper(Generic[T]):
    """Asks pods in the background. A pod that does not answer is left out: readiness deals with it.

    read: makes what is returned of the needed lines of a pod's page, in a thread; raises ValueError for a page that it cannot
    read. lines: makes what keeps the needed lines. port: of the pods.
    """

    def __init__(
        self, read: Callable[[str], T], lines: Callable[[], NeededLines] = NeededLines, port: int = names.HTTP_PORT
    ) -> None:
        self._read = read
        self._lines = lines
        self._port = port
        self._parsers = ThreadPoolExecutor(PARSERS, thread_name_prefix="exposition")
        self._questions: Questions[Mapping[str, T]] = Questions(POD_SECONDS, MAX_CONNECTIONS, SLOTS)

    async def counted(self, key: Key, pods: Sequence[Manifest]) -> Mapping[str, T] | None:
        """Return what the pods of an object counted; None while some have not answered: call again with the same key."""
        return await self._questions.answer(key, lambda: self._all(key.namespace, pods))

    def forget(self, key: Key) -> None:
        """Give a question up that nobody will come back for."""
        self._questions.forget(key)

    async def close(self) -> None:
        """Give all questions up and close the connections."""
        await self._questions.close()

    async def _all(self, namespace: str, pods: Sequence[Manifest]) -> Mapping[str, T]:
        slots = self._questions.slots(namespace)
        counted: dict[str, T] = {}
        try:
            async with asyncio.timeout(ALL_SECONDS), asyncio.TaskGroup() as group:
                for pod in pods:
                    group.create_task(self._one(slots, pod, counted))
        except TimeoutError:
            log.debug("some pods were not asked in time", namespace=namespace, asked=len(pods), answered=len(counted))
        return counted

    async def _one(self, slots: asyncio.Semaphore, pod: Manifest, counted: dict[str, T]) -> None:
        host = host_of(pod)
        if host is None:
            return
        try:
            async with slots:
                text = await self._needed(f"http://{host}:{self._port}/metrics")
                loop = asyncio.get_running_loop()
                counted[pod["metadata"]["uid"]] = await loop.run_in_executor(self._parsers, self._read, text)
        except Exception as error:  # libraries that read a stranger's bytes may raise anything
            log.debug("no metrics", pod=pod["metadata"]["name"], error=repr(error))

    async def _needed(self, url: str) -> str:
        """Return the needed lines of the page. Raises ValueError for one that is not 200, compressed or too long."""
        async with self._questions.session.get(url, allow_redirects=False) as response:
            if response.status != 200 or response.headers.get("Content-Encoding", "identity") != "identity":
                raise ValueError(f"status {response.status}")
            lines, size = self._lines(), 0
            async for piece in response.content.iter_any():
                size += len(piece)
                if size > MAX_BYTES:
                    raise ValueError(f"more than {MAX_BYTES} bytes")
                lines.feed(piece)
            return lines.text()


class Scraper(PageScraper[Sample]):
    """Asks pods for what a rollout is measured by."""

    def __init__(self, port: int = names.HTTP_PORT) -> None:
        super().__init__(parse, port=port)
