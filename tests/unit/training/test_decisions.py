"""Every decision about runs that nobody asked for is told once, with its reason, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.kube.conditions import find, timestamp
from tests.support import objects as o
from tests.unit.training.looking import Clock
from tests.unit.training.planning import stable

DAY = 86_400


def clock_of(**spec: Any) -> Clock:
    """Return a clock on which alerts start runs without new rows."""
    return Clock(None, {"minNewRows": 0}, **spec)


def test_an_alert_is_held_started_and_answered_and_each_is_told_once() -> None:
    clock = clock_of(retrain={"cooldownSeconds": 600})
    clock.events.clear()
    clock.fire(o.alert("a1"))
    for second in range(1, 600, 50):
        clock.plan(second)
    (waiting,) = clock.status["pendingTriggers"]
    assert (waiting["hold"], waiting["until"]) == ("Cooldown", timestamp(o.later(600)))
    assert clock.decisions[0] == ("Held", "Cooldown", 1)
    assert clock.events == ["RetrainHeld"], "not with each second of a countdown"
    assert "cooldown until 2026-01-02T03:14:05Z" in clock.messages[-1]
    clock.plan(600)
    assert clock.run is not None
    assert clock.run["alerts"] == ["Drift"]
    assert clock.decisions[:2] == [("Started", "Alert", 1), ("Held", "Cooldown", 1)]
    assert clock.events == ["RetrainHeld", "RunStarted"]


def test_an_alert_that_is_over_before_its_run_is_told_and_flapping_is_told_once_an_hour() -> None:
    clock = clock_of(retrain={"cooldownSeconds": 10 * DAY})
    clock.events.clear()
    for turn in range(12 * 24):
        clock.fire(*([] if turn % 2 else [o.alert(f"a{turn}", startsAt=timestamp(o.later(300 * turn)))]))
        clock.plan(300 * turn + 1)
    assert clock.decisions[:2] == [("Ignored", "Resolved", 144), ("Held", "Cooldown", 144)]
    assert clock.events == ["RetrainHeld", "RetrainIgnored"]


def test_a_suspension_says_why_and_by_which_command_it_ends_and_so_does_its_end() -> None:
    clock = clock_of()
    clock.status["consecutiveFailures"] = 2
    clock.fire(o.alert("a1"))
    clock.events.clear()
    for second in (1, 100, 10_000):
        clock.plan(second)
    command = 'kubectl -n ml annotate trainingjobs.modelmill.dev cars modelmill.dev/run="$(date +%s)" --overwrite'
    assert clock.events == ["RetrainSuspended"]
    assert clock.decisions[0] == ("Suspended", "TooManyFailures", 1)
    condition = find(clock.status, "RetrainSuspended")
    assert condition is not None
    for text in (clock.messages[-1], condition["message"], clock.waits()[0][1]):
        assert command in text
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    clock.plan(10_001)
    assert clock.decisions[:2] == [("Started", "Manual", 1), ("Resumed", "RunStarted", 1)]
    assert clock.events[1:] == ["RunStarted", "RetrainResumed"]


def test_broken_data_are_no_reason_to_train_on_them() -> None:
    clock = clock_of()
    named = {"kind": "DataQuality", "name": "ModelmillDataQuality", "feature": "hp", "value": "unit"}
    broken = o.alert("q", **named, message="unit of hp changed")
    clock.fire(o.alert("a1"), broken)
    clock.plan(1)
    assert clock.run is None
    told = "InferenceService svc has the alert ModelmillDataQuality: unit of hp changed; no alert starts a run"
    assert told in clock.waits()[0][1]
    assert clock.decisions[0] == ("Held", "DataQuality", 1)
    clock.fire(o.alert("a1"), o.alert("q", **named))
    clock.plan(2)
    assert "InferenceService svc has the alert ModelmillDataQuality of hp (unit); no alert" in clock.waits()[0][1]
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    clock.plan(2)
    assert clock.run is not None, "a person may"
    clock.end()
    clock.fire(o.alert("a2"))
    clock.plan(3)
    assert clock.run is not None


@pytest.mark.parametrize("kind", ["DataQuality", "Errors"])
def test_an_alert_that_is_for_a_person_starts_nothing(kind: str) -> None:
    clock = clock_of()
    clock.status["alerts"] = [o.alert("a1", kind=kind)]
    clock.plan(1)
    assert (clock.run, clock.waits()) == (None, [])


def test_alerts_start_four_runs_a_day_where_nothing_is_said() -> None:
    clock = clock_of()
    started: list[int] = []
    for hour in range(1, 49):
        clock.fire(o.alert(f"a{hour}", startsAt=timestamp(o.later(3600 * hour))))
        clock.plan(3600 * hour)
        if clock.run is not None:
            started.append(hour)
            clock.end()
    assert started == [1, 2, 3, 4, 25, 26, 27, 28]
    assert "without spec.retrain.maxRunsPerDay it is 4" in clock.waits()[0][1]


def test_failed_runs_lengthen_the_cooldown_as_rejected_versions_do() -> None:
    clock = clock_of(retrain={"cooldownSeconds": 600, "maxConsecutiveFailures": 100})
    clock.status |= {"consecutiveFailures": 2, "consecutiveRejections": 1}
    clock.fire(o.alert("a1"))
    clock.plan(4790)
    assert clock.run is None
    assert "(longer because of 1 rejected and 2 failed in a row)" in clock.waits()[0][1]
    clock.plan(4800)
    assert clock.run is not None


def test_an_old_model_waits_for_a_schedule_that_is_near_and_that_run_answers_it() -> None:
    clock = clock_of(retrain={"cooldownSeconds": 600})
    triggers = {"alerts": {"enabled": True, "minNewRows": 0}, "schedule": {"cron": "0 0 * * *"}}
    clock.job["spec"]["triggers"] = triggers
    clock.plan(1)
    midnight = (o.NOW.replace(day=3, hour=0, minute=0, second=0) - o.NOW).total_seconds()
    clock.fire(o.alert("old", kind="Staleness", name="ModelmillStaleness"))
    clock.plan(midnight - 8000)
    (waiting,) = clock.status["pendingTriggers"]
    assert (waiting["hold"], waiting["until"]) == ("ScheduleIsNear", "2026-01-03T00:00:00Z")
    clock.plan(midnight)
    assert clock.run is not None
    assert (clock.run["reason"], clock.run["triggers"]) == ("Schedule", ["old", "schedule-2026-01-03T00:00:00Z"])
    clock.end()
    clock.plan(midnight + 10_000)
    assert clock.run is None
    clock.fire(o.alert("older", kind="Staleness", name="ModelmillStaleness"))
    clock.plan(midnight + 10_001)
    assert clock.run is not None, "the next time is far: more than a tenth of a day, and than the cooldown"


def test_drift_does_not_wait_for_the_schedule() -> None:
    clock = clock_of()
    triggers = {"alerts": {"enabled": True, "minNewRows": 0}, "schedule": {"cron": "0 * * * *"}}
    clock.job["spec"]["triggers"] = triggers
    clock.plan(1)
    clock.fire(o.alert("a1"))
    clock.plan(3300)
    assert clock.run is not None
    assert clock.run["reason"] == "Alert"


def back(clock: Clock, at: float, kind: str = "Drift") -> None:
    """Let an alert about the newest version fire, and the run for it end."""
    version = clock.status["lastRun"]["version"]
    clock.fire(o.alert(f"{version}-{kind}", kind=kind, version=version, startsAt=timestamp(o.later(at))))
    clock.plan(at)
    if clock.run is not None:
        clock.end()


def test_a_model_that_retraining_cannot_save_is_given_up() -> None:
    """Each version drifts as soon as it serves, which is then called skew."""
    clock = clock_of(retrain={"maxConsecutiveFailures": 3})
    back(clock, 1000)
    assert "unhelpfulRuns" not in clock.status or clock.status["unhelpfulRuns"] == []
    back(clock, 10_000, "Skew")
    back(clock, 20_000)
    assert clock.status["unhelpfulRuns"] == [2, 3]
    back(clock, 30_000, "Skew")
    assert clock.status["unhelpfulRuns"] == [2, 3, 4]
    assert clock.status["lastRun"]["number"] == 4, "no more cost"
    assert clock.decisions[0] == ("Suspended", "TooManyUnhelpful", 1)
    assert "3 runs of alerts in a row did not help" in clock.waits()[0][1]
    clock.fire()
    clock.plan(30 * DAY)
    assert find(clock.status, "RetrainSuspended") is not None, "neither time nor the end of the alert ends it"
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    clock.plan(30 * DAY + 1)
    assert clock.run is not None
    assert clock.status.get("unhelpfulRuns", []) == []
    assert clock.decisions[1] == ("Resumed", "RunStarted", 1)


def test_another_kind_of_alert_a_late_one_and_another_run_than_an_alerts_do_not_count() -> None:
    clock = clock_of()
    back(clock, 1000)
    back(clock, 2000, "Quality")
    assert clock.status.get("unhelpfulRuns", []) == []
    back(clock, 2000 + DAY + 1, "Quality")
    assert clock.status.get("unhelpfulRuns", []) == []
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    clock.fire()
    clock.plan(2 * DAY)
    clock.end()
    back(clock, 2 * DAY + 10, "Quality")
    assert clock.status.get("unhelpfulRuns", []) == []


def test_a_version_that_lasts_ends_the_row() -> None:
    clock = clock_of(retrain={"maxConsecutiveFailures": 3})
    for at in (1000, 10_000):
        back(clock, at)
    assert clock.status["unhelpfulRuns"] == [2]
    clock.fire()
    clock.services = [{**clock.services[0], "status": {"stable": stable("cars-2")}}]
    clock.plan(10_000 + DAY)
    assert clock.status["unhelpfulRuns"] == [2], "it does not serve"
    clock.services = [{**clock.services[0], "status": {"stable": stable("cars-3")}}]
    clock.plan(10_000 + DAY)
    assert clock.status.get("unhelpfulRuns", []) == []
