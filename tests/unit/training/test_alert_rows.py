"""An alert starts a run when there is something new to learn from, and says what it waits for."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts.result import FAILED, GATE_FAILED, PUBLISHED, UNCHANGED
from modelmill.kube.conditions import parse_timestamp, timestamp
from tests.support import objects as o
from tests.unit.training.looking import Clock
from tests.unit.training.planning import IMAGE, plan, started, status_of, view

STARTS = parse_timestamp("2026-01-02T03:00:00Z")


def clock_of(**spec: Any) -> Clock:
    """Return a clock with default thresholds on which an alert fires."""
    clock = Clock(None, {}, **spec)
    clock.fire(o.alert("a1"))
    return clock


def test_an_alert_waits_for_rows_that_were_written_since_the_drift_began() -> None:
    clock = clock_of()
    clock.plan(1)
    assert clock.run is None
    assert clock.asked.after == STARTS.timestamp() - 3600 - 300, "the time that it lasted, and five minutes"
    assert (clock.asked.min_rows, clock.asked.recent_rows) == (None, 100)
    ((_, waits),) = clock.waits()
    assert waits == (
        "ModelmillFeatureDrift: waits for 100 new rows written after 2026-01-02T01:55:00Z that run 1 has not read; "
        "the data is being looked at"
    )
    clock.finds(new=2, rows=40)
    assert clock.run is None
    ((_, waits),) = clock.waits()
    assert waits.endswith(
        ": 40 new rows in 2 new or changed objects since run 1 that were written after 2026-01-02T01:55:00Z; "
        f"spec.triggers.alerts.minNewRows is 100; the data is looked at next at {timestamp(o.later(121))}"
    )
    assert clock.told.startswith("no run: 40 new rows")
    clock.plan(121)
    clock.finds(new=3, rows=100)
    assert clock.run is not None
    assert (clock.run["reason"], clock.run["triggers"]) == ("Alert", ["a1"])
    assert clock.look is None


def test_looks_for_an_alert_come_less_often_and_end_with_it() -> None:
    clock = clock_of()
    at = 1.0
    for pause in (120, 240, 480, 900, 900):
        clock.plan(at)
        clock.finds(new=1, rows=3)
        assert clock.status["nextLookTime"] == timestamp(o.later(at + pause))
        at += pause
    clock.plan(at)
    assert clock.look is not None
    clock.fire()
    clock.plan(at + 1)
    assert clock.look is None
    assert "nextLookTime" not in clock.status
    clock.plan(at + 10_000)
    assert clock.look is None
    clock.fire(o.alert("a2", startsAt=timestamp(o.later(at + 10_000))))
    clock.plan(at + 10_000)
    assert clock.look is not None, "another episode is looked at at once: the last look is long ago"


def test_a_look_that_fails_is_told_and_starts_nothing() -> None:
    clock = clock_of()
    clock.plan(1)
    clock.fails()
    assert clock.run is None
    assert "StoreAuthFailed: the keys are none of the store's" in clock.waits()[0][1]
    assert clock.events.count("LookFailed") == 1
    assert clock.status["nextLookTime"] == timestamp(o.later(121))


def test_nothing_is_looked_at_while_something_else_holds_the_run_back() -> None:
    clock = clock_of(retrain={"cooldownSeconds": 600})
    clock.plan(1)
    assert clock.look is None
    assert "cooldown" in clock.waits()[0][1]
    clock.plan(600)
    assert clock.look is not None


def test_rows_of_the_oldest_episode_count_and_two_alerts_are_one_run() -> None:
    clock = clock_of()
    clock.fire(o.alert("a2", startsAt="2026-01-02T03:03:00Z"), o.alert("a1", kind="Quality"))
    clock.plan(1)
    assert clock.asked.after == STARTS.timestamp() + 180 - 3600 - 300, "a quality must last for five minutes only"
    clock.finds(new=1, rows=100)
    assert clock.run is not None
    assert clock.run["triggers"] == ["a1", "a2"]


def test_a_look_for_another_time_says_nothing_about_this_one() -> None:
    clock = clock_of()
    clock.plan(1)
    clock.fire(o.alert("later", startsAt="2026-01-02T03:04:00Z"))
    clock.plan(2)
    assert clock.asked.after == STARTS.timestamp() - 3900, "the look under way goes on"
    clock.finds(new=1, rows=100)
    assert clock.run is None
    clock.plan(130)
    assert clock.asked.after == STARTS.timestamp() + 240 - 3900
    clock.finds(new=1, rows=100)
    assert clock.run is not None


@pytest.mark.parametrize(("found", "runs"), [(0, False), (1, True)])
def test_one_object_suffices_for_a_model_that_is_too_old(found: int, runs: bool) -> None:
    clock = clock_of()
    clock.fire(o.alert("old", kind="Staleness", name="ModelmillStaleness"))
    clock.plan(1)
    assert (clock.asked.after, clock.asked.recent_rows) == (None, None)
    clock.finds(new=found, rows=None)
    assert (clock.run is not None) == runs


def test_data_that_are_prepared_are_counted_by_objects() -> None:
    clock = clock_of(prepare={"container": {"image": "rows:1"}})
    clock.plan(1)
    assert clock.asked.recent_rows is None
    clock.finds(new=1, rows=None)
    assert clock.run is not None


def test_no_new_rows_are_waited_for_where_none_are_asked_for() -> None:
    clock = Clock(None, {"minNewRows": 0})
    clock.fire(o.alert("a1"))
    clock.plan(1)
    assert clock.run is not None


def test_a_look_serves_new_data_and_alerts_at_once() -> None:
    clock = Clock({"everySeconds": 900, "minNewRows": 500}, {})
    clock.fire(o.alert("a1"))
    clock.plan(1)
    assert (clock.asked.min_rows, clock.asked.recent_rows) == (500, 100)
    clock.finds(new=2, rows=60)
    assert clock.run is None
    assert "spec.triggers.newData.minNewRows is 500; 60 new rows" in clock.told
    assert clock.status["nextLookTime"] == timestamp(o.later(121)), "the alert is in a hurry"
    clock.fire()
    clock.plan(122)
    assert clock.look is None
    assert clock.status["nextLookTime"] == timestamp(o.later(901))


@pytest.mark.parametrize("outcome", [GATE_FAILED, FAILED, UNCHANGED])
def test_an_alert_whose_run_did_not_help_waits_for_more_data(outcome: str) -> None:
    clock = clock_of(retrain={"maxConsecutiveFailures": 3})
    clock.plan(1)
    clock.finds(new=1, rows=150)
    assert clock.run is not None
    clock.end(outcome)
    clock.plan(2)
    assert clock.run is None, "not on the same data"
    assert "that run 2 has not read" in clock.waits()[0][1]
    clock.plan(63)
    clock.finds(new=1, rows=100)
    assert clock.run is not None
    assert clock.run["number"] == 3
    clock.end(PUBLISHED)
    clock.plan(10_000)
    assert (clock.run, clock.waits()) == (None, [])
    assert clock.status["answeredAlerts"] == ["a1"]


def test_without_new_rows_an_alert_is_answered_by_a_run_that_failed() -> None:
    clock = Clock(None, {"minNewRows": 0})
    clock.fire(o.alert("a1"))
    clock.plan(1)
    clock.end(FAILED)
    clock.plan(10_000)
    assert (clock.run, clock.waits()) == (None, [])


def test_a_version_that_is_rejected_later_leaves_the_alert_without_an_answer() -> None:
    clock = clock_of()
    clock.plan(1)
    clock.finds(new=1, rows=100)
    assert clock.run is not None
    clock.status["runs"] = [
        {"number": 2, "reason": "Alert", "triggers": ["a1"], "outcome": PUBLISHED, "version": "cars-2", "job": "cars-2",
         "attempts": 1, "startTime": timestamp(o.later(1)), "finishTime": timestamp(o.later(9))},
        *clock.status["runs"],
    ]  # fmt: skip
    clock.status["lastRun"] = clock.status["runs"][0]
    del clock.status["currentRun"]
    world = {"services": clock.services, "now": o.later(10)}
    parent = o.with_status(clock.job, clock.status)
    approved = plan(view(parent, versions=[o.model_version("cars-2")], **world), IMAGE)
    assert "pendingTriggers" not in status_of(approved)
    rejected = plan(view(parent, versions=[o.model_version("cars-2", "Rejected")], **world), IMAGE)
    assert "that run 2 has not read" in status_of(rejected)["pendingTriggers"][0]["message"]


def test_too_many_rejected_challengers_end_the_looks_too() -> None:
    clock = clock_of(retrain={"cooldownSeconds": 0})
    clock.plan(1)
    assert clock.look is not None
    clock.status["consecutiveRejections"] = 2
    clock.plan(2)
    assert clock.look is None
    ((_, waits),) = clock.waits()
    assert 'kubectl -n ml annotate trainingjobs.modelmill.dev cars modelmill.dev/run="$(date +%s)"' in waits
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    clock.plan(3)
    assert clock.run is not None
    assert clock.status["consecutiveRejections"] == 0


def test_a_run_remembers_its_data_where_alerts_will_ask() -> None:
    _, waiting = started(triggers={"alerts": {"enabled": True}})
    _, plain = started(triggers={"alerts": {"enabled": True, "minNewRows": 0}})
    assert '"listed":true' in str(waiting)
    assert '"listed":false' in str(plain)


def test_a_short_window_leaves_time_for_the_alert_to_come() -> None:
    clock = clock_of()
    (one,) = clock.services
    monitoring = {**one["spec"]["monitoring"], "drift": {"windowSeconds": 45}}
    clock.services = [{**one, "spec": {**one["spec"], "monitoring": monitoring}}]
    clock.plan(1)
    assert clock.asked.after == STARTS.timestamp() - 45 - 300
    clock = clock_of()
    clock.fire(o.alert("embedded-1"))
    clock.plan(1)
    assert clock.asked.after == STARTS.timestamp() - 300, "the operator's own begin when it began"
