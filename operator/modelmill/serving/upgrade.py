"""The server's image of this release: which services take it, and when.

A service runs the image that its revision was made with. It takes that of this release with its next version, when a person
asks by an annotation, or in its turn: so many services at a time as the operator's maxConcurrentRollouts says, in the order of
their names, each by its own rollout. Whose turn it is follows from the statuses of all services alone, so that a restart, or
another leader, goes on where it was; one that has begun counts as the first in the line until its status is seen.

One that was taken back, is stopped or is not ready is not in the line: it begins when a person asks, or with another image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from modelmill.api.resources import INFERENCE_SERVICES
from modelmill.engine.interface import World
from modelmill.engine.table import Concern
from modelmill.kube.conditions import TRUE, find, parse_timestamp
from modelmill.kube.objects import Key, Manifest
from modelmill.serving.rollout.decision import Decision
from modelmill.serving.target import refresh_text
from modelmill.serving.view import Turn, View

HOLDS_SECONDS = 3600
"""Longest time that a rollout keeps others from beginning theirs: one may wait for requests, or for a person, for ever."""


@dataclass(frozen=True, slots=True)
class Upgrades:
    """image: the server of this release. most: services that take it at a time by themselves; 0 for none."""

    image: str
    most: int

    def turn(self, service: Manifest, world: World, now: datetime) -> Turn:
        """Return whether it is the turn of a service; if not, when that may change by time alone."""
        if not self.most or not self._waits(service):
            return Turn()
        services = world.list(INFERENCE_SERVICES)
        ages = [(now - began).total_seconds() for began in map(_began, services) if began is not None]
        left = [HOLDS_SECONDS - age for age in ages if age < HOLDS_SECONDS]
        place = [_key(one) for one in services if self._waits(one)].index(_key(service))
        if place < self.most - len(left):
            return Turn(has=True)
        return Turn(again=min(left) if left and place < self.most else None)

    def concern(self) -> Concern:
        """Return whom a change of another service concerns: those whose turn is next."""
        return Concern(lambda _, world: self._next(world), reads=lambda one: (self._waits(one), _began(one)))

    def _next(self, world: World) -> Iterable[Key]:
        if not self.most:
            return ()
        return [_key(one) for one in world.list(INFERENCE_SERVICES) if self._waits(one)][: self.most]

    def _waits(self, service: Manifest) -> bool:
        """Tell whether the service has pods of another image, and nothing else to do."""
        status = _fields(service.get("status"))
        image = _fields(status.get("stable")).get("serverImage")
        if image in (None, "", self.image) or status.get("phase") != "Stable" or status.get("canary"):
            return False
        ready = find(status, "Ready") or {}
        settled = ready.get("status") == TRUE and ready.get("reason") == "Stable"
        return settled and "deletionTimestamp" not in service["metadata"]


def with_server(view: View, decision: Decision) -> Decision:
    """Return the decision that tells whether the image of this release serves, and that the annotation was answered."""
    status, turn = decision.status, view.turn
    if status.stable is None:
        return decision
    current = status.stable.server_image == view.image.name
    taken = current or (status.canary is not None and status.canary.server_image == view.image.name)
    answered = (refresh_text(view) if taken else None) or status.refreshed_annotation
    again = [one for one in (decision.again, turn.again) if one is not None]
    status = replace(status, server="Current" if current else "Older", refreshed_annotation=answered)
    return replace(decision, status=status, again=min(again, default=None))


def _began(service: Manifest) -> datetime | None:
    """Return when the service began to take another image; None when it does not."""
    status = _fields(service.get("status"))
    stable, canary = _fields(status.get("stable")), _fields(status.get("canary"))
    same = canary.get("inputs") and canary.get("inputs") == stable.get("inputs")
    return parse_timestamp(canary["startTime"]) if same else None


def _fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _key(service: Manifest) -> Key:
    return Key(service["metadata"]["namespace"], service["metadata"]["name"])
