"""Leader election over a Lease: one process works, the others stand by.

Source: k8s.io/client-go tools/leaderelection; 15 s lease, 10 s to renew it, tried every 2 s. Unlike there, a process that finds
its own name in the Lease takes it at once: it is the same pod, whose former process has ended. `acquireTime` tells the two
apart, so that of two living processes with one name the older one leaves.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

import structlog

from modelmill.engine import metrics
from modelmill.engine.client import Client
from modelmill.engine.errors import AlreadyExists, ApiError, Conflict, NotFound
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import LEASES
from modelmill.kube.texts import fitted

LEASE_SECONDS = 15
RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0
ALARM_SECONDS = RENEW_SECONDS + RETRY_SECONDS
"""After the last renewal was sent. A process that runs leaves before that, with words."""
MOST_TRANSITIONS = 2**31 - 1
MOST_SECONDS = 60
"""Seconds for which another's record is respected at most; this program writes `LEASE_SECONDS`, more comes by hand."""

log = structlog.get_logger(__name__)


def boot_time() -> float:
    """Return seconds by a clock that only goes forward, and goes on while the machine is suspended, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Election:
    """A candidate. `acquire` returns when this process leads; `keep` renews and ends the process when it cannot.

    leading: whether this process holds the lease. reached: whether the API server has answered.
    clock: seconds. leave: ends the process with an exit code, at once: not by an exception, since a reconciliation in progress
    must not make one more write. alarm: ends the process after so many seconds whatever it does then; 0 takes that back.
    on_renewed: called whenever the lease runs anew.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float] = boot_time,
        leave: Callable[[int], NoReturn] = os._exit,
        alarm: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._leave = leave
        self._alarm = alarm
        # Another's record as it was first seen, and until when it is to be respected by our own clock: clocks of other
        # machines are not trusted.
        self._observed: Manifest = {}
        self._respected_until = -math.inf
        # When the last renewal that the API server took was sent, and what tells our time in the Lease from another one.
        self._renewed = -math.inf
        self._acquired = ""
        self.on_renewed: Callable[[], None] = lambda: None
        self.leading = False
        self.reached = False

    async def acquire(self) -> None:
        """Wait until this process is the leader."""
        while True:
            try:
                in_the_way = await self._try()
                # An answer that took too long is no lease to begin with; it is renewed first.
                if in_the_way is None and self._age() < RENEW_SECONDS:
                    self.leading = True
                    metrics.LEADER.labels(self._name).set(1)
                    log.info("leading", lease=f"{self._namespace}/{self._name}", identity=self._identity)
                    return
            except (AlreadyExists, Conflict):
                log.info("another candidate was faster", identity=self._identity)
            except ApiError as error:
                log.warning("election", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def keep(self) -> None:
        """Renew for ever. A lease that could not be renewed in time may have a new holder: leave at once."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                async with asyncio.timeout(max(RENEW_SECONDS - self._age(), 0.0)):
                    in_the_way = await self._try()
                    if in_the_way is not None:
                        self._end(in_the_way)
            except (ApiError, TimeoutError) as error:
                log.warning("lease not renewed", error=str(error) or "no answer in time")
            if self._age() > RENEW_SECONDS:
                self._end("the lease could not be renewed")

    def fence(self) -> float:
        """Return for how many seconds a write that is sent now may be under way; end the process when none may be sent.

        `engine.fence` says why.
        """
        age = self._age()
        if not self.leading or age >= RENEW_SECONDS:
            self._end("a write came after the end of the lease")
        return LEASE_SECONDS - age

    async def release(self) -> None:
        """Let a standby take over at once."""
        if not self.leading:
            return
        self.leading = False
        self._alarm(0)
        try:
            # Read anew: a renewal may have been on its way when this process was told to stop.
            lease = await self._client.get(LEASES, self._namespace, self._name)
            spec = _spec(lease)
            if self._is_ours(spec):
                released = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                await self._client.replace(LEASES, {**lease, "spec": released})
        except ApiError as error:
            log.warning("lease not released", error=str(error))

    def _age(self) -> float:
        return self._clock() - self._renewed

    def _end(self, why: str) -> NoReturn:
        log.error("leadership lost", reason=why)
        self._leave(1)

    async def _try(self) -> str | None:
        """Take or renew the lease; return who is in the way, None when it is ours then. Raises ApiError."""
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
        except NotFound:
            self.reached = True
            return await self._make()
        self.reached = True
        spec = _spec(lease)
        in_the_way = self._in_the_way(spec)
        if in_the_way is not None:
            return in_the_way
        if self.leading and self._is_ours(spec):
            await self._hold(self._client.replace, lease, self._acquired, spec.get("leaseTransitions"))
        else:
            before = spec.get("leaseTransitions")
            transitions = before + 1 if isinstance(before, int) and 0 <= before < MOST_TRANSITIONS else 1
            await self._hold(self._client.replace, lease, _now(), transitions)
        return None

    async def _make(self) -> str | None:
        """Create the Lease. One that was deleted under another's hands is not free before that one's time is over."""
        if not self.leading and self._clock() <= self._respected_until:
            return "another process has held the lease that was deleted"
        meta = {"name": self._name, "namespace": self._namespace}
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta}
        await self._hold(self._client.create, body, _now(), 0)
        return None

    async def _hold(self, send: Callable[..., Any], lease: Manifest, acquired: str, transitions: int | None) -> None:
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": acquired,
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }
        # Known before the answer, which may be lost.
        self._acquired = acquired
        # The lease runs from the moment that was sent, not from the one in which the answer came.
        sent = self._clock()
        await send(LEASES, {**lease, "spec": spec})
        self._renewed = sent
        if self._age() < RENEW_SECONDS:
            self._alarm(ALARM_SECONDS - self._age())
            self.on_renewed()

    def _in_the_way(self, spec: Manifest) -> str | None:
        """Return words about another process that holds the lease, None when there is none."""
        holder = spec.get("holderIdentity") or ""
        if holder == self._identity:
            if self.leading and not self._is_ours(spec):
                return (
                    f"the Lease's acquireTime is not what this process wrote: another process named {self._identity} has taken "
                    "it (give each its own MODELMILL_POD_NAME), or somebody has edited it"
                )
            return None
        if not holder:
            return None
        if spec != self._observed:
            if holder != self._observed.get("holderIdentity"):
                log.info("another process holds the lease", holder=fitted(str(holder), 253), identity=self._identity)
            self._observed = spec
            self._respected_until = self._clock() + _duration(spec)
        elif self._clock() > self._respected_until:
            return None
        return f"another process holds the lease: {fitted(str(holder), 253)}"

    def _is_ours(self, spec: Manifest) -> bool:
        return spec.get("holderIdentity") == self._identity and spec.get("acquireTime") == self._acquired


def _spec(lease: Manifest) -> Manifest:
    spec: Manifest = lease.get("spec") or {}
    return spec


def _duration(spec: Manifest) -> float:
    """Return the holder's lease in seconds: at least ours, which a holder reckons with in any case, at most a minute."""
    seconds = spec.get("leaseDurationSeconds")
    return float(min(max(seconds, LEASE_SECONDS), MOST_SECONDS)) if isinstance(seconds, int) else float(LEASE_SECONDS)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
