"""The rows: what starts a run, and what holds each back, the most important first."""

from __future__ import annotations

from typing import Final

from modelmill.training.triggers import alerts, holds, manual, new_data, reproduce, rows, schedule, spec_change
from modelmill.training.triggers.reason import Trigger

EVERY_RUN: Final = (holds.model_of_another, holds.run_in_progress, holds.suspended)
LIMITS: Final = (holds.too_many_in_a_row, holds.too_many_in_a_day, holds.cooldown)
"""Of runs that nobody asked for."""
OF_ALERTS: Final = (
    *EVERY_RUN, alerts.stop_and_look, holds.rolling_out, holds.rollback_first, *LIMITS, holds.too_many_of_alerts,
)  # fmt: skip
"""What is asked before the data is looked at: a look costs a pod."""

TRIGGERS: Final = (
    Trigger(spec_change.KIND, spec_change.reasons, EVERY_RUN),
    Trigger(manual.KIND, manual.reasons, EVERY_RUN),
    Trigger(reproduce.KIND, reproduce.reasons, (*EVERY_RUN, reproduce.impossible)),
    Trigger(alerts.KIND, alerts.reasons, (*OF_ALERTS, rows.too_few, holds.not_its_turn), unattended=True),
    Trigger(
        alerts.KIND, alerts.stale, (*OF_ALERTS, schedule.soon, rows.nothing_new, holds.not_its_turn), unattended=True
    ),
    Trigger(new_data.KIND, new_data.reasons, (*EVERY_RUN, *LIMITS, holds.not_its_turn), unattended=True),
    Trigger(schedule.KIND, schedule.reasons, (*EVERY_RUN, *LIMITS, holds.not_its_turn), unattended=True),
)
UNATTENDED: Final = frozenset(row.kind for row in TRIGGERS if row.unattended)
"""Kinds of runs that nobody asked for."""
