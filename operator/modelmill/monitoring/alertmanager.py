"""What Alertmanager's webhook says, version 4: parsed tolerantly, every text bounded.

Source: Alertmanager, notify/webhook and template.Data; newer servers add fields, older ones lack some, so unknown fields are
ignored and none but `alerts` is required.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from modelmill.api.base import Alert
from modelmill.api.fingerprint import short_hash
from modelmill.api.monitoring import EMBEDDED_PREFIX, KINDS
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.texts import fitted

FIRING = "firing"
RESOLVED = "resolved"
KIND_LABEL = "modelmill_kind"
MAX_TEXT = 4096
MAX_ALERTS = 24
"""Recorded of an object. A status has room for more: those that the operator finds itself must not find it full."""
FIRST_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""No alert began or ended before: senders write the year 1 where they have no time."""
AHEAD: Final = timedelta(minutes=5)
"""How far the clock of a sender may be ahead. As far before the start of an alert rows count as new."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert of a notification. `id` is the identity of the episode, `fingerprint` that of its labels.

    Times are UTC with whole seconds. ends_at: of a resolved one, if it is told. believed: whether the start is the one that was
    told; otherwise it is the time at which the notice was heard.
    """

    firing: bool
    id: str
    starts_at: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fingerprint: str | None = None
    ends_at: str | None = None
    believed: bool = True

    @property
    def kind(self) -> str | None:
        """One of KINDS: from the label `modelmill_kind`, else from the end of the alert's name."""
        told = self.labels.get(KIND_LABEL)
        if told is not None:
            return told if told in KINDS else None
        name = self.labels.get("alertname", "")
        ends = [kind for kind in KINDS if name.endswith(kind)]
        return max(ends, key=len, default=None)

    def recorded(self) -> Alert:
        """Return the alert as `status.alerts` keeps it. Raises ValueError for one without a kind."""
        kind = self.kind
        if kind is None:
            raise ValueError(f"alert {self.id} has no kind")
        return Alert(
            id=self.id,
            kind=kind,
            starts_at=self.starts_at,
            name=fitted(self.labels.get("alertname", ""), 128) or "unnamed",
            feature=fitted(self.labels.get("feature") or self.annotations.get("feature", ""), 128) or None,
            version=fitted(self.labels.get("model_version", ""), 63) or None,
            value=fitted(self.annotations.get("value", ""), 32) or None,
            message=fitted(self.annotations.get("summary", ""), 1024) or None,
            fingerprint=self.fingerprint,
        )


@dataclass(frozen=True, slots=True)
class Notification:
    """One POST. malformed: alerts that cannot be read. truncated: alerts that Alertmanager left out (max_alerts)."""

    notices: tuple[Notice, ...]
    malformed: int
    truncated: int


class NotificationError(ValueError):
    """A body that is no notification; the text says why."""


def is_full(ids: Iterable[str]) -> bool:
    """Tell whether no other alert is recorded beside these, of which the operator's own do not count."""
    return sum(not one.startswith(EMBEDDED_PREFIX) for one in ids) >= MAX_ALERTS


def parse(body: bytes, now: datetime) -> Notification:
    """Return the notification that is heard now. Raises NotificationError for what is no JSON object with a list `alerts`."""
    try:
        document = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NotificationError(f"the body is not JSON: {error}") from None
    except (ValueError, RecursionError):
        raise NotificationError("the body is not JSON that is read: too deep, or a number of too many digits") from None
    if not isinstance(document, dict) or not isinstance(document.get("alerts"), list):
        raise NotificationError("the body is no object with a list `alerts`")
    notices = [_notice(raw, now) for raw in document["alerts"]]
    truncated = document.get("truncatedAlerts")
    return Notification(
        notices=tuple(notice for notice in notices if notice is not None),
        malformed=notices.count(None),
        truncated=truncated if isinstance(truncated, int) and truncated > 0 else 0,
    )


def _notice(raw: Any, now: datetime) -> Notice | None:
    """Return one alert, or None when it has no readable status, labels or start.

    That it fires is true whatever the sender's clock says: a start that cannot be is the time at which it is heard. So is an
    end that is to come, and one before all time where the start does not say which episode is over.
    """
    if not isinstance(raw, dict) or raw.get("status") not in (FIRING, RESOLVED):
        return None
    labels = _texts(raw.get("labels"))
    told, ended = _moment(raw.get("startsAt")), _moment(raw.get("endsAt"))
    if told is None:
        return None
    believed = FIRST_TIME <= told <= now + AHEAD
    moment = told if believed else now
    if ended is None or ended < FIRST_TIME:
        ended = None if believed else now
    elif ended > now + AHEAD:
        ended = now
    fingerprint = raw.get("fingerprint")
    if not isinstance(fingerprint, str) or not fingerprint:
        fingerprint = short_hash(labels)
    return Notice(
        firing=raw["status"] == FIRING,
        id=short_hash(fingerprint, moment.isoformat()),
        starts_at=timestamp(moment),
        labels=labels,
        annotations=_texts(raw.get("annotations")),
        fingerprint=short_hash(fingerprint),
        ends_at=timestamp(ended) if ended is not None else None,
        believed=believed,
    )


def _moment(raw: Any) -> datetime | None:
    """Return a time; None for what is none."""
    try:
        return parse_timestamp(str(raw))
    except (ValueError, OverflowError):
        return None


def _texts(raw: Any) -> dict[str, str]:
    """Return the texts of a map, bounded; anything else is left out, and null is an empty map."""
    if not isinstance(raw, dict):
        return {}
    return {name: value[:MAX_TEXT] for name, value in raw.items() if isinstance(value, str)}
