"""Leader election over a Lease: one process works, the others stand by.

Source: k8s.io/client-go tools/leaderelection; 15 s lease, 10 s to renew it, tried every 2 s.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from modelmill.engine import metrics
from modelmill.engine.client import Client
from modelmill.engine.errors import AlreadyExists, ApiError, Conflict, NotFound
from modelmill.kube.resources import LEASES

LEASE_SECONDS = 15
RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Election:
    """A candidate. `acquire` returns when this process leads; `keep` renews and ends the process when it cannot.

    leading: whether this process holds the lease. reached: whether the API server has answered.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        # When the holder's record last changed, by our own clock: clocks of other machines are not trusted.
        self._observed: tuple[str, float] = ("", 0.0)
        self.leading = False
        self.reached = False

    async def acquire(self) -> None:
        """Wait until this process is the leader."""
        while True:
            try:
                if await self._try():
                    self.leading = True
                    metrics.LEADER.labels(self._name).set(1)
                    log.info("leading", lease=f"{self._namespace}/{self._name}", identity=self._identity)
                    return
            except Conflict:
                log.info("another candidate was faster", identity=self._identity)
            except ApiError as error:
                log.warning("election", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def keep(self) -> None:
        """Renew for ever. A lease that could not be renewed in time may have a new holder: leave at once."""
        renewed = self._clock()
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            # The lease runs from the moment that was sent, not from the one in which the answer came.
            began = self._clock()
            try:
                async with asyncio.timeout(max(renewed + RENEW_SECONDS - began, 0.0)):
                    if await self._try():
                        renewed = began
                    else:
                        self._leave("another process holds the lease")
            except (ApiError, TimeoutError) as error:
                log.warning("lease not renewed", error=str(error) or "no answer in time")
            if self._clock() - renewed > RENEW_SECONDS:
                self._leave("the lease could not be renewed")

    async def release(self) -> None:
        """Let a standby take over at once."""
        if not self.leading:
            return
        self.leading = False
        try:
            # Read anew: a renewal may have been on its way when this process was told to stop.
            lease = await self._client.get(LEASES, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") == self._identity:
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                await self._client.replace(LEASES, {**lease, "spec": spec})
        except ApiError as error:
            log.warning("lease not released", error=str(error))

    def _leave(self, why: str) -> None:
        log.error("leadership lost", reason=why)
        # Not sys.exit: a reconciliation in progress must not make one more write.
        os._exit(1)

    async def _try(self) -> bool:
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
        except NotFound:
            self.reached = True
            return await self._make()
        self.reached = True
        spec = lease["spec"]
        holder = spec.get("holderIdentity") or ""
        if holder and holder != self._identity and not self._expired(lease):
            return False
        mine = holder == self._identity
        transitions = int(spec.get("leaseTransitions") or 0) + (0 if mine else 1)
        wanted = {**self._record(transitions), "acquireTime": spec.get("acquireTime") if mine else _now()}
        await self._client.replace(LEASES, {**lease, "spec": wanted})
        return True

    async def _make(self) -> bool:
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {**self._record(0), "acquireTime": _now()},
        }
        try:
            await self._client.create(LEASES, body)
        except AlreadyExists:
            return False
        return True

    def _expired(self, lease: dict[str, Any]) -> bool:
        record = lease["metadata"]["resourceVersion"]
        if record != self._observed[0]:
            self._observed = (record, self._clock())
            return False
        duration = float(lease["spec"].get("leaseDurationSeconds") or LEASE_SECONDS)
        return self._clock() - self._observed[1] > duration

    def _record(self, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
