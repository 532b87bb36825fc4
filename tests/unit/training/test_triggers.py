"""The table of triggers: its order, what holds each back, and a trigger that is added to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelmill.api.objects import read_training_job
from modelmill.training.part import view_of
from modelmill.training.triggers import holds
from modelmill.training.triggers.decision import MAX_REASONS, decide
from modelmill.training.triggers.reason import Hold, Reason, Trigger
from modelmill.training.triggers.table import TRIGGERS
from modelmill.training.view import View
from tests.support import objects as o
from tests.unit.training.planning import finished, service, view


def typed(parent: dict[str, Any], **more: Any) -> View:
    seen = view(parent, **more)
    return view_of(read_training_job(parent), seen, seen.now)


def test_person_comes_before_alerts_and_the_run_answers_both() -> None:
    parent = finished()
    parent["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    decision = decide(typed(parent, services=[service([o.alert("a1")])]))
    assert decision.start is not None
    assert (decision.start.kind, decision.start.unattended) == ("Manual", False)
    assert [one.id for one in decision.occasions] == ["a1"]


@pytest.mark.parametrize("row", TRIGGERS, ids=lambda row: row.kind)
def test_nothing_starts_a_second_run_or_one_that_is_suspended(row: Trigger) -> None:
    assert row.holds[:3] == (holds.model_of_another, holds.run_in_progress, holds.suspended)


def nightly(seen: View) -> tuple[Reason, ...]:
    """A trigger that a new file would have: an occasion a day."""
    day = f"{seen.now:%Y-%m-%d}"
    answered = {one for run in seen.status.runs for one in run.triggers}
    return () if day in answered else (Reason(day, "Schedule", f"the night of {day}"),)


def before_four(seen: View) -> Hold | None:
    due = seen.now.replace(hour=4, minute=0, second=0)
    return Hold("Early", "it is not four o'clock", due) if seen.now < due else None


SCHEDULE = Trigger("Schedule", nightly, (before_four,), unattended=True)


def test_new_trigger_is_a_row() -> None:
    parent = finished()
    early = decide(typed(parent), [*TRIGGERS, SCHEDULE])
    assert early.start is None
    (waiting,) = early.waiting
    assert waiting.hold.until == o.NOW.replace(hour=4, minute=0, second=0)
    due = decide(typed(parent, now=o.NOW + timedelta(hours=1)), [*TRIGGERS, SCHEDULE])
    assert due.start is not None
    assert (due.start.kind, [one.id for one in due.occasions]) == ("Schedule", ["2026-01-02"])


def test_reasons_are_bounded_and_shown_in_short() -> None:
    many = Trigger("Many", lambda _: [Reason(f"r{n}", "Many", f"reason {n}") for n in range(99)], (), unattended=True)
    decision = decide(typed(finished()), [many])
    assert decision.start is not None
    assert decision.start.message == "reason 0, reason 1, reason 2, reason 3 and more"
    assert len(decision.occasions) == MAX_REASONS
    held = Trigger("Many", many.reasons, (lambda _: Hold("No", "no"),), unattended=True)
    assert len(decide(typed(finished()), [held]).waiting) == MAX_REASONS


def test_episode_that_two_services_tell_of_is_one_reason() -> None:
    services = [service([o.alert("a1")]), service([o.alert("a1")])]
    assert [one.id for one in decide(typed(finished(), services=services)).occasions] == ["a1"]
