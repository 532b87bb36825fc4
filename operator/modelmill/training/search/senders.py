"""Who sends a report: a token that is bound to a pod, as the API server reviews it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from modelmill.contracts.names import REPORTS_AUDIENCE
from modelmill.engine.errors import ApiError, Forbidden
from modelmill.kube.objects import Resource
from modelmill.kube.resources import TOKEN_REVIEWS
from modelmill.kube.texts import fitted

KEPT_SECONDS: Final = 60.0
"""For so long an answer is good: a pod that is gone reports no longer than that."""
MOST_KEPT: Final = 4_096
AT_A_TIME: Final = 8
MAX_TOKEN: Final = 4_096
POD_NAME: Final = "authentication.kubernetes.io/pod-name"
POD_UID: Final = "authentication.kubernetes.io/pod-uid"
"""Claims of a token that is bound to a pod, in `status.user.extra`. Source: Kubernetes, Managing Service Accounts."""


class Reviews(Protocol):
    """What is needed of the API server's client."""

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST the object. Raises ApiError."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The pod that a token is bound to."""

    pod: str
    uid: str


class SenderError(Exception):
    """Nobody whose reports are taken. code: of the answer, 401, 403, 429 or 503. broken: the operator itself lacks a right."""

    def __init__(self, code: int, text: str, *, broken: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.broken = broken


class Senders:
    """Reviews tokens at the API server, and knows those that it found good for a while, by their hash."""

    def __init__(self, reviews: Reviews, clock: Callable[[], float] = time.monotonic) -> None:
        self._reviews = reviews
        self._clock = clock
        self._known: dict[bytes, tuple[float, Sender]] = {}
        self._turns = asyncio.Semaphore(AT_A_TIME)

    async def of(self, authorization: str) -> Sender:
        """Return the sender by the header of a request. Raises SenderError."""
        scheme, _, given = authorization.partition(" ")
        token = given.strip()
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN or not token.isascii():
            raise SenderError(401, "a bearer token is needed: that of the file MODELMILL_REPORT_TOKEN")
        key = hashlib.sha256(token.encode()).digest()
        until, sender = self._known.get(key, (0.0, None))
        if sender is not None and until > self._clock():
            return sender
        if self._turns.locked():
            raise SenderError(429, "too many tokens are reviewed at this moment: report again later")
        async with self._turns:
            sender = _sender(await self._reviewed(token))
        self._known.pop(key, None)
        while len(self._known) >= MOST_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (self._clock() + KEPT_SECONDS, sender)
        return sender

    async def _reviewed(self, token: str) -> Mapping[str, Any]:
        body = {
            "apiVersion": TOKEN_REVIEWS.api_version,
            "kind": TOKEN_REVIEWS.kind,
            "metadata": {},
            "spec": {"token": token, "audiences": [REPORTS_AUDIENCE]},
        }
        try:
            reviewed: Mapping[str, Any] = (await self._reviews.create(TOKEN_REVIEWS, body)).get("status") or {}
        except Forbidden as error:
            raise SenderError(503, "the operator may not create tokenreviews", broken=True) from error
        except ApiError as error:
            raise SenderError(503, f"the token cannot be reviewed at this moment: {error.reason}") from error
        return reviewed


def _sender(reviewed: Mapping[str, Any]) -> Sender:
    # An API server that does not know of audiences names none: its word is not about this one.
    if not reviewed.get("authenticated") or REPORTS_AUDIENCE not in (reviewed.get("audiences") or ()):
        why = fitted(str(reviewed.get("error") or "it is of another audience, or has expired"), 200)
        raise SenderError(401, f"the token is not good for {REPORTS_AUDIENCE}: {why}")
    extra = (reviewed.get("user") or {}).get("extra") or {}
    name, uid = ((extra.get(key) or [""])[0] for key in (POD_NAME, POD_UID))
    if not name or not uid:
        raise SenderError(403, "the token is not bound to a pod: use that of the trial's own pod")
    return Sender(name, uid)
