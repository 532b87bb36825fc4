"""The mirror: a bounded queue of answered requests, and a few connections that ask the shadow the same.

Whether there is a shadow, and what is asked of it, is in a file that is looked at each second, so that a server need not be
started anew for it; the address is a setting. Everything runs on the event loop in short pieces, after the live answer; a long
comparison runs on one thread. What finds no place in the queue is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from prometheus_client.core import Metric

from modelmill.contracts import names
from modelmill.contracts import shadow as contract
from modelmill.contracts.shadow import Shadow
from modelmill_server.core.model import ServedModel
from modelmill_server.failure import StartError
from modelmill_server.http.exchange import Line, Reply, UnreadableError
from modelmill_server.http.messages import Answer, Request
from modelmill_server.protocols.answers import BINARY_HEADER
from modelmill_server.settings import Settings
from modelmill_server.shadow import counts as counted
from modelmill_server.shadow.agreement import STATUS, difference
from modelmill_server.shadow.counts import Counts

log = logging.getLogger("modelmill_server")

LOOK_SECONDS = 1.0  # between two looks at the file
FORWARDED: Final = ("content-type", "content-encoding", BINARY_HEADER)
"""Headers that say how to read the body. No others are sent: credentials and cookies are for who was asked."""


@dataclass(frozen=True, slots=True)
class MirrorBounds:
    """Bounds of a mirror.

    queue_requests, queue_bytes: what waits or is being asked; bytes of requests and their live answers. each_bytes: largest
    request, and largest live answer, that is mirrored. lines: how many requests are asked at once. line_seconds: a connection
    is made anew after them, so that new pods get their share. patience_seconds: for an answer of the shadow, beside four times
    what the live one took. pause_seconds: after the shadow could not be reached. inline_bytes: larger answers are compared
    on a thread.
    """

    queue_requests: int = 256
    queue_bytes: int = 8 * 1024 * 1024
    each_bytes: int = 1024 * 1024
    lines: int = 4
    line_seconds: float = 10.0
    patience_seconds: float = 10.0
    pause_seconds: float = 1.0
    inline_bytes: int = 16 * 1024


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request that waits, with the answer that its client got. seconds: that the live answer took."""

    shadow: Shadow
    counts: Counts
    path: str
    request: Request
    answer: Answer
    seconds: float

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.request.body) + len(self.answer[1])


def open_mirror(settings: Settings, model: ServedModel) -> Mirror | None:
    """Return the mirror that the settings ask for, or None. Raises StartError (ConfigInvalid) naming the variable."""
    url, file = settings.shadow_url, settings.shadow_file
    if url is None or file is None:
        if url is not None or file is not None:
            raise StartError(
                "ConfigInvalid", f"{names.ENV_SHADOW_URL} and {names.ENV_SHADOW_FILE} go together: set both"
            )
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if host is None or url not in (f"http://{parts.netloc}", f"http://{parts.netloc}/") or "@" in parts.netloc:
        raise StartError(
            "ConfigInvalid", f"{names.ENV_SHADOW_URL} is {url[:200]!r}: it must be http://HOST or http://HOST:PORT"
        )
    return Mirror(host, port, file, (model.name, model.version))


class Mirror:
    """Mirrors requests of one server; belongs to the event loop."""

    def __init__(
        self, host: str, port: int, file: Path, labels: tuple[str, str], bounds: MirrorBounds | None = None
    ) -> None:
        """host, port: where the shadow is. file: what `contracts.shadow` reads. labels: name and version of the model."""
        self._host, self._port = host, port
        self._file = file
        self._labels = labels
        self._bounds = bounds or MirrorBounds()
        self._shadow: Shadow | None = None
        self._seen: tuple[int, int, int] | None = None  # of the file: when it was looked at, it was this one
        self._counts: dict[tuple[str, str], Counts] = {}
        self._queue: asyncio.Queue[_Asked] = asyncio.Queue()
        self._held_requests = self._held_bytes = 0
        self._comparing = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look at the file and to mirror."""
        self._look()
        self._tasks = [asyncio.create_task(self._watch())]
        self._tasks += [asyncio.create_task(self._work()) for _ in range(self._bounds.lines)]

    async def close(self) -> None:
        """Mirror no more; what waits is forgotten."""
        self._shadow = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._comparing.shutdown(wait=False, cancel_futures=True)

    def wants(self) -> bool:
        """Tell whether the next request is in the sample."""
        shadow = self._shadow
        return shadow is not None and random.random() < shadow.sample_ratio  # noqa: S311 - a sample, not a secret

    def offer(self, path: str, request: Request, answer: Answer) -> None:
        """Mirror a request that was answered by the model, if there is room. Never blocks, never raises."""
        shadow, bounds = self._shadow, self._bounds
        if shadow is None or answer[0] != 200:
            return
        counts = self._counts[shadow.version, shadow.revision]
        asked = _Asked(shadow, counts, path, request, answer, time.perf_counter() - request.begin)
        if max(len(request.body), len(answer[1])) > bounds.each_bytes:
            counts.dropped[counted.TOO_LARGE] += 1
        elif self._held_requests >= bounds.queue_requests or self._held_bytes + asked.size > bounds.queue_bytes:
            counts.dropped[counted.QUEUE_FULL] += 1
        else:
            self._held_requests += 1
            self._held_bytes += asked.size
            self._queue.put_nowait(asked)

    def families(self) -> Iterable[Metric]:
        """Yield the families of what was mirrored, of the last revisions that were shadows."""
        return counted.families(self._labels, self._counts)

    # The file.

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        """Take what the file says, if it is another one than before."""
        try:
            state = self._file.stat()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
        except OSError:
            seen = None
        if seen == self._seen:
            return
        self._seen, told = seen, None
        if seen is not None:
            try:
                with self._file.open("rb") as stream:
                    told = contract.decode(stream.read(contract.MAX_BYTES))
            except (OSError, ValueError, RecursionError) as error:
                log.warning("shadow: %s: %s; nothing is mirrored", self._file, error)
        if told == self._shadow:
            return
        if told is not None:
            # The newest is last, the oldest goes.
            key = (told.version, told.revision)
            self._counts[key] = self._counts.pop(key) if key in self._counts else Counts()
            for old in list(self._counts)[: -counted.KEPT_REVISIONS]:
                del self._counts[old]
            log.info("shadow: %g of the requests are mirrored to %s, revision %s", told.sample_ratio, *key)
        else:
            log.info("shadow: nothing is mirrored")
        self._shadow = told

    # The shadow is asked.

    async def _work(self) -> None:
        """Ask one request after the other on a connection of its own."""
        loop = asyncio.get_running_loop()
        line, of = Line(self._host, self._port), None
        try:
            while True:
                try:
                    async with asyncio.timeout(self._bounds.line_seconds):
                        asked = await self._queue.get()
                except TimeoutError:
                    line.close()
                    continue
                try:
                    if asked.shadow != self._shadow:
                        continue
                    if of != asked.shadow.revision or loop.time() - line.opened > self._bounds.line_seconds:
                        line.close()
                        of = asked.shadow.revision
                    await self._ask(line, asked)
                except Exception:
                    log.exception("shadow: a request could not be compared")
                    line.close()
                finally:
                    self._held_requests -= 1
                    self._held_bytes -= asked.size
                    del asked
        finally:
            line.close()

    async def _ask(self, line: Line, asked: _Asked) -> None:
        counts, loop = asked.counts, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._bounds.patience_seconds + 4 * asked.seconds):
                new = await line.connect()
                begin = loop.time()
                try:
                    reply = await line.ask(self._message(asked), self._most(asked))
                except (OSError, EOFError):
                    if new:
                        raise
                    # A connection that was kept may have been closed meanwhile: that says nothing about the shadow.
                    await line.connect()
                    begin = loop.time()
                    reply = await line.ask(self._message(asked), self._most(asked))
        except TimeoutError:
            counts.results[contract.TIMEOUT] += 1
            line.close()
        except UnreadableError:
            counts.results[contract.UNREADABLE] += 1
        except (OSError, EOFError):
            counts.results[contract.UNREACHABLE] += 1
            await asyncio.sleep(self._bounds.pause_seconds)
        else:
            await self._compare(asked, reply, loop.time() - begin)

    async def _compare(self, asked: _Asked, reply: Reply, seconds: float) -> None:
        counts, found = asked.counts, None
        if reply.status != 200:
            found = STATUS
        else:
            body, headers = asked.answer[1], dict(asked.answer[2])
            live, other = (body, headers), (reply.body, reply.headers)
            try:
                if max(len(body), len(reply.body)) <= self._bounds.inline_bytes:
                    found = difference(live, other, asked.shadow)
                else:
                    loop = asyncio.get_running_loop()
                    found = await loop.run_in_executor(self._comparing, difference, live, other, asked.shadow)
            except ValueError:
                counts.results[contract.UNREADABLE] += 1
                return
        counts.answered(reply.status, seconds)
        if reply.status >= 500:
            return  # a failure, not another opinion
        counts.compared += 1
        if found is not None:
            counts.disagreed[found] += 1

    def _message(self, asked: _Asked) -> bytes:
        request = asked.request
        headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
        host = f"[{self._host}]" if ":" in self._host else self._host
        headers |= {"host": f"{host}:{self._port}", contract.HEADER: quote(self._labels[1])}
        lines = [f"POST {quote(asked.path, safe='/:')} HTTP/1.1", f"content-length: {len(request.body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join((*lines, "", "")).encode("latin-1") + request.body

    def _most(self, asked: _Asked) -> int:
        """Return how many bytes of an answer are read: a multiple of the live one, which is of the same rows."""
        return min(self._bounds.each_bytes, 4 * len(asked.answer[1]) + 4096)
