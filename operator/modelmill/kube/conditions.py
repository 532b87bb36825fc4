"""Conditions in metav1 form: `lastTransitionTime` moves only with the status."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from modelmill.kube.texts import fitted

TRUE = "True"
FALSE = "False"
UNKNOWN = "Unknown"
MAX_MESSAGE = 4000
EARLIEST = datetime(1000, 1, 1, tzinfo=UTC)
MOST_OFFSET = timedelta(hours=99, minutes=99)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Bounds of the times that are read: what a plan adds to them, or takes away, stays in the years of `datetime`."""
_LOOSE = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)t(?P<time>\d\d:\d\d:\d\d)(.\d+)?(z|(?P<sign>[-+])(?P<hours>\d\d):(?P<minutes>\d\d))",
    re.ASCII | re.IGNORECASE,
)


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
    """Return the aware UTC moment of an RFC 3339 text, no earlier than EARLIEST and no later than LATEST.

    Whoever may write a status may write every text that the API server takes for a time, and that is more than RFC 3339: see
    `_loosely`. Raises ValueError when it is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _loosely(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return max(min(moment, LATEST), EARLIEST).astimezone(UTC)


def _loosely(text: str) -> datetime:
    """Return the moment of what the API server takes for one: any offset, any separator of the fraction, any end after a t.

    Source: k8s.io/kube-openapi/pkg/validation/strfmt, IsDateTime.
    """
    found = _LOOSE.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no time of RFC 3339")
    if found["date"].startswith("0000"):
        return EARLIEST
    moment = datetime.fromisoformat(f"{found['date']}T{found['time']}+00:00")
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    return max(min(moment, LATEST), EARLIEST + MOST_OFFSET) - (-offset if found["sign"] == "-" else offset)


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
