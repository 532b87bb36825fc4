"""Conditions in metav1 form: `lastTransitionTime` moves only with the status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelmill.kube.texts import fitted

TRUE = "True"
FALSE = "False"
UNKNOWN = "Unknown"
MAX_MESSAGE = 4000


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as a plan decides it, without time and generation."""

    type: str
    status: str
    reason: str
    message: str


def timestamp(moment: datetime) -> str:
    """Return the moment as Kubernetes writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_timestamp(text: str) -> datetime:
    """Return the aware UTC moment of an RFC 3339 text. Raises ValueError when it is none."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def merge(
    previous: Sequence[Mapping[str, Any]], wanted: Iterable[Condition], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Return the conditions to write, in the order of `wanted`.

    A condition that is not wanted any more is dropped. The transition time of one whose status is unchanged is kept. Messages
    hold texts of pods and of others, and are made fit here.
    """
    before = {condition["type"]: condition for condition in previous}
    merged = []
    for condition in wanted:
        old = before.get(condition.type)
        same = old is not None and old["status"] == condition.status
        merged.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": fitted(condition.message, MAX_MESSAGE),
                "lastTransitionTime": old["lastTransitionTime"] if old is not None and same else timestamp(now),
                "observedGeneration": generation,
            }
        )
    return merged


def find(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return the condition of this type in an object's status, or None."""
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), None)


def is_true(status: Mapping[str, Any], kind: str) -> bool:
    """Tell whether the condition of this type is True."""
    condition = find(status, kind)
    return condition is not None and condition.get("status") == TRUE
