"""The two answers: a reason to run, and what holds it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelmill.training.view import View


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason to run.

    id: identity of the occasion, at most 64 characters. kind: of the trigger, CamelCase. since: when it began, if it says so.
    alert: kind of the alert that it is; empty for other reasons. changed_after: since when the change that the alert tells of
    may have been going on.
    """

    id: str
    kind: str
    message: str
    since: datetime | None = None
    alert: str = ""
    changed_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Why no run may start now.

    reason: one CamelCase word. until: when that ends by itself; None when an event or a person ends it.
    """

    reason: str
    message: str
    until: datetime | None = None


Reasons = Callable[[View], Sequence[Reason]]
Holds = Callable[[View], Hold | None]


@dataclass(frozen=True, slots=True)
class Trigger:
    """A row of the table.

    unattended: nobody asked for the run: its occasions are kept as answered, and it does not make up for failures before.
    holds: asked in this order.
    """

    kind: str
    reasons: Reasons
    holds: Sequence[Holds]
    unattended: bool = False
