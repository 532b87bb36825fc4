"""No write of a former leader: what stands between the control loop and the API server, and the alarm behind it.

A lease says who leads, but the API server does not ask for it at a write (it knows no fencing tokens). client-go says so of its
own election: "this implementation does not guarantee that only one client is acting as a leader (a.k.a. fencing)"
(tools/leaderelection/leaderelection.go, package comment): a leader that was stopped for longer than its lease goes on with
what it was about to send when it wakes up. The reasoning here, with B the moment in which the last renewal was *sent*:

- Nobody else takes the lease before B + 15 s: a candidate waits for the lease's duration from when it first *saw* that renewal,
  which is no earlier than B. No clock is compared with another one; only their rates must agree.
- A write begins only before B + 10 s, the renew deadline. So each has at least 5 s, the gap between the two, to arrive.
- What has no answer at B + 15 s is given up and its connection closed, whereupon the API server ends the request. B is that of
  the last renewal: while there are any, a write may take as long as the client lets it. The time that is left is reckoned by
  the boot clock when the write begins, and runs on the event loop's clock, which stands still while the machine is suspended.
- A process that is stopped after that look, or waits for a connection, or is busy with something long, is ended by the kernel's
  alarm at B + 12 s, of which a stopped one learns before it runs on.

What is left: a write that the network or the API server holds back for 5 s, and a stop within the few machine instructions
between alarm and send. The alarm too stands still while a machine is suspended: only the look at the boot clock sees that, and
it is done before the write waits for a connection, so that a write which waits when the machine is suspended is sent after it.
A frozen virtual machine has no clock that sees it. What comes late in spite of all this meets the last guard: each write of the
loop carries the resourceVersion or uid that it was planned on, or creates under a deterministic name.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from modelmill.engine.errors import Unreachable
from modelmill.engine.interface import Requests
from modelmill.kube.objects import Manifest, Resource

_T = TypeVar("_T")


class Fenced:
    """The API server as the control loop may use it: reads at any time, writes within the lease.

    fence: asked before each write; it returns for how many seconds that may be under way, or ends the process.
    Errors are those of the client; a write whose time is over raises Unreachable.
    """

    def __init__(self, client: Requests, fence: Callable[[], float]) -> None:
        self._client = client
        self._fence = fence
        self._under_way: set[asyncio.Timeout] = set()

    def extend(self) -> None:
        """Take that the lease was renewed: the writes that are under way may last as long as one that is sent now."""
        for limit in self._under_way:
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time() + self._fence())

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """Return the object. Raises NotFound."""
        return await self._client.get(resource, namespace, name)

    async def create(self, resource: Resource, body: Manifest) -> Manifest:
        """POST the object. Raises AlreadyExists."""
        return await self._write(lambda: self._client.create(resource, body))

    async def apply(self, resource: Resource, body: Manifest) -> Manifest:
        """Server-side apply with force. Raises Conflict, Invalid."""
        return await self._write(lambda: self._client.apply(resource, body))

    async def replace_status(self, resource: Resource, body: Manifest) -> Manifest:
        """PUT the status of the object with its resourceVersion. Raises Conflict."""
        return await self._write(lambda: self._client.replace_status(resource, body))

    async def patch(self, resource: Resource, namespace: str, name: str, body: Manifest) -> Manifest:
        """JSON merge patch. Raises Conflict."""
        return await self._write(lambda: self._client.patch(resource, namespace, name, body))

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "") -> bool:
        """Delete the object of this uid; return whether it is gone. Raises NotFound, Conflict."""
        return await self._write(lambda: self._client.delete(resource, namespace, name, uid, version))

    async def _write(self, send: Callable[[], Awaitable[_T]]) -> _T:
        try:
            async with asyncio.timeout(self._fence()) as limit:
                self._under_way.add(limit)
                try:
                    return await send()
                finally:
                    self._under_way.discard(limit)
        except TimeoutError as error:
            raise Unreachable(0, "TimeoutError", "no answer while the lease lasts") from error


def set_alarm(seconds: float) -> None:
    """Have the kernel end this process after so many seconds; 0 takes that back. Only in the main thread.

    By a handler, since the first process of a container ignores signals whose action is the default one.
    """
    if signal.getsignal(signal.SIGALRM) is not _on_alarm:
        signal.signal(signal.SIGALRM, _on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _on_alarm(*_: object) -> NoReturn:
    # Not through the logger: the signal may have come in the middle of a record.
    os.write(
        2, b'{"level": "error", "event": "leadership lost", "reason": "the process was stopped or busy for too long"}\n'
    )
    os._exit(1)
