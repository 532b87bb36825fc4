"""Whether a run starts now: the rows of the table, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelmill.training.triggers.reason import Hold, Reason, Trigger
from modelmill.training.triggers.table import TRIGGERS
from modelmill.training.view import View

MAX_REASONS = 32
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Waiting:
    """A reason that is held back."""

    reason: Reason
    hold: Hold


@dataclass(frozen=True, slots=True)
class Start:
    """A run to start now. unattended: nobody asked for it."""

    kind: str
    message: str
    unattended: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about the reasons to run.

    start: None when no run starts now. occasions: the unattended reasons, all of which a run that starts now answers.
    waiting: reasons that are held back, for the status; both are at most MAX_REASONS.
    """

    start: Start | None = None
    occasions: tuple[Reason, ...] = ()
    waiting: tuple[Waiting, ...] = ()


def decide(view: View, table: Sequence[Trigger] = TRIGGERS) -> Decision:
    """Return whether a run starts now. The first trigger that nothing holds back starts it, and it answers all reasons."""
    rows = [(trigger, trigger.reasons(view)) for trigger in table]
    unattended = [reason for trigger, reasons in rows if trigger.unattended for reason in reasons]
    occasions = tuple(unattended[:MAX_REASONS])
    waiting: list[Waiting] = []
    for trigger, reasons in rows:
        if not reasons:
            continue
        hold = next((hold for check in trigger.holds if (hold := check(view)) is not None), None)
        if hold is None:
            return Decision(Start(trigger.kind, _together(reasons), trigger.unattended), occasions)
        waiting += [Waiting(reason, hold) for reason in reasons]
    return Decision(None, occasions, tuple(waiting[:MAX_REASONS]))


def _together(reasons: Sequence[Reason]) -> str:
    more = " and more" if len(reasons) > SHOWN else ""
    return ", ".join(reason.message for reason in reasons[:SHOWN]) + more
