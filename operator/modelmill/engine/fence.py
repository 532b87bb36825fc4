"""No write of a former leader: what stands between the control loop and the API server, and the alarm behind it.

A lease says who leads, but the API server does not ask for it at a write (it knows no fencing tokens). client-go says so of its
own election: "this implementation does not guarantee that only one client is acting as a leader (a.k.a. fencing)"
(tools/leaderelection/leaderelection.go, package comment): a leader that was stopped for longer than its lease goes on with
what it was about to send when it wakes up. The reasoning here, with B the moment in which the last renewal was *sent*:

- Nobody else takes the lease before B + 15 s: a candidate waits for the lease's duration from when it first *saw* that renewal,
  which is no earlier than B. No clock is compared with another one; only their rates must agree.
- A write begins only before B + 10 s, the renew deadline. So each has at least 5 s, the gap between the two, to arrive.
- A process that has not renewed by B + 10 s ends. One that is stopped after that look, or busy with something long, is ended by
  the kernel's alarm at B + 12 s, of which a stopped one learns before it runs on. The connections of what has no answer yet end
  with it, whereupon the API server ends the requests. While the lease is renewed a write may take as long as any request.

What is left: a write that the network or the API server holds back for 5 s, and a stop within the few machine instructions
between alarm and send. Kernel timers stand still while a machine is suspended: only the look at the clock sees that. A frozen
virtual machine has no clock that sees it. What comes late in spite of all this meets the last guard: each write of the loop
carries the resourceVersion or uid that it was planned on, or creates under a deterministic name.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

from modelmill.engine.interface import Requests
from modelmill.kube.objects import Manifest, Resource


class Fenced:
    """The API server as the control loop may use it: reads at any time, writes within the lease.

    fence: asked before each write; it ends the process when none may begin. Errors are those of the client.
    """

    def __init__(self, client: Requests, fence: Callable[[], None]) -> None:
        self._client = client
        self._fence = fence

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """Return the object. Raises NotFound."""
        return await self._client.get(resource, namespace, name)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
    ) -> tuple[Sequence[Manifest], str]:
        """Return all objects that are selected, and the resourceVersion of the list."""
        return await self._client.list(resource, namespace, label_selector)

    async def create(self, resource: Resource, body: Manifest) -> Manifest:
        """POST the object. Raises AlreadyExists."""
        self._fence()
        return await self._client.create(resource, body)

    async def apply(self, resource: Resource, body: Manifest) -> Manifest:
        """Server-side apply with force. Raises Conflict, Invalid."""
        self._fence()
        return await self._client.apply(resource, body)

    async def replace_status(self, resource: Resource, body: Manifest) -> Manifest:
        """PUT the status of the object with its resourceVersion. Raises Conflict."""
        self._fence()
        return await self._client.replace_status(resource, body)

    async def patch(self, resource: Resource, namespace: str, name: str, body: Manifest) -> Manifest:
        """JSON merge patch. Raises Conflict."""
        self._fence()
        return await self._client.patch(resource, namespace, name, body)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> bool:
        """Delete the object of this uid; return whether it is gone. Raises NotFound, Conflict."""
        self._fence()
        return await self._client.delete(resource, namespace, name, uid)


def set_alarm(seconds: float) -> None:
    """Have the kernel end this process after so many seconds; 0 takes that back. Only in the main thread.

    By a handler, since the first process of a container ignores signals whose action is the default one.
    """
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _on_alarm(*_: object) -> NoReturn:
    # Not through the logger: the signal may have come in the middle of a record.
    os.write(
        2, b'{"level": "error", "event": "leadership lost", "reason": "the process was stopped or busy for too long"}\n'
    )
    os._exit(1)
