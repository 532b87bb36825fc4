"""Runs by the clock: once for what was missed, limited, and every decision says why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from modelmill.engine.interface import Plan
from modelmill.kube.conditions import find, timestamp
from modelmill.workloads.containers import Image
from tests.support import objects as o
from tests.unit.training.planning import plan, status_of, view

TRAINER = Image("trainer:1")
HOURLY = {"cron": "0 * * * *"}
Object = dict[str, Any]


class Clock:
    """A TrainingJob with a schedule, whose first run has ended, and a clock that is told."""

    def __init__(self, schedule: Mapping[str, Any] | None = HOURLY, **spec: Any) -> None:
        retrain = {"cooldownSeconds": 0, "maxConsecutiveFailures": 2, **spec.pop("retrain", {})}
        triggers = {"schedule": dict(schedule)} if schedule is not None else {}
        self.job: Object = o.training_job(triggers=triggers, retrain=retrain, **spec)
        self.status: Object = {}
        self.jobs: dict[str, Object] = {}
        self.now = o.NOW
        self.plan()
        self.end()

    def plan(self, seconds: float = 0) -> Plan:
        """Plan once, so many seconds after the beginning, 03:04:05."""
        self.now = o.later(seconds) if seconds else self.now
        made = plan(view(o.with_status(self.job, self.status), now=self.now, jobs=self.jobs), TRAINER)
        self.status = status_of(made)
        self.jobs |= {one["metadata"]["name"]: o.job(one) for one in made.create}
        return made

    def end(self, at: datetime | None = None, outcome: str = "Published") -> None:
        """Let the run in progress end."""
        run = self.status.pop("currentRun")
        del self.jobs[run["job"]]
        names = ("number", "reason", "job", "startTime")
        record = {name: run[name] for name in names} | {"triggers": run.get("triggers", [])}
        record |= {"outcome": outcome, "attempts": 1, "finishTime": timestamp(at or self.now)}
        self.status |= {"lastRun": record, "runs": [record, *self.status.get("runs", ())]}

    def waits(self) -> list[tuple[str, str]]:
        return [(one["reason"], one["message"]) for one in self.status.get("pendingTriggers", ())]


def test_the_next_time_is_told_and_a_run_starts_when_it_comes() -> None:
    clock = Clock()
    made = clock.plan()
    assert clock.status["nextScheduleTime"] == "2026-01-02T04:00:00Z"
    assert made.requeue_after == 3355
    assert made.create == ()
    made = clock.plan(3355)
    (job,) = made.create
    assert job["kind"] == "Job"
    assert clock.status["currentRun"]["reason"] == "Schedule"
    assert "scheduled for 2026-01-02T04:00:00Z" in made.events[0].message
    assert clock.status["nextScheduleTime"] == "2026-01-02T05:00:00Z"


def test_times_that_were_missed_make_one_run() -> None:
    clock = Clock()
    clock.plan()
    made = clock.plan(10 * 3600)
    assert len(made.create) == 1
    assert "scheduled for 2026-01-02T04:00:00Z, and for later times that were missed" in made.events[0].message
    assert clock.status["nextScheduleTime"] == "2026-01-02T14:00:00Z"
    clock.end()
    assert clock.plan().create == ()


def test_that_later_times_are_missed_too_is_told_when_the_first_one_is() -> None:
    clock = Clock()
    clock.plan()
    clock.job = {**clock.job, "spec": {**clock.job["spec"], "runPolicy": {"suspend": True}}}
    made = clock.plan(3355)
    assert "missed" not in clock.waits()[0][1]
    assert made.requeue_after == 3600
    made = clock.plan(3355 + 3600)
    assert "and for later times that were missed" in clock.waits()[0][1]
    assert made.requeue_after is None


def test_a_schedule_that_is_new_or_changed_has_missed_nothing() -> None:
    """A TrainingJob of last month that gets a schedule does not run at once for all that it would have missed."""
    clock = Clock(None)
    assert "nextScheduleTime" not in clock.status
    clock.job["spec"]["triggers"] = {"schedule": {"cron": "0 4 * * *"}}
    assert clock.plan(86_400).create == ()
    assert clock.status["nextScheduleTime"] == "2026-01-03T04:00:00Z"
    clock.job["spec"]["triggers"] = {"schedule": {"cron": "0 3 * * *", "timeZone": "Asia/Seoul"}}
    assert clock.plan(2 * 86_400).create == (), "the old time was due, and is of no schedule any more"
    assert clock.status["nextScheduleTime"] == "2026-01-04T18:00:00Z"
    clock.job["spec"]["triggers"] = {}
    clock.plan()
    assert not {"nextScheduleTime", "scheduleHash"} & clock.status.keys()


def test_a_clock_that_is_set_back_starts_no_run_twice() -> None:
    clock = Clock()
    clock.plan()
    assert clock.plan(3355).create
    clock.end()
    assert clock.plan(3000).create == ()
    assert clock.plan(3400).create == ()
    assert clock.status["nextScheduleTime"] == "2026-01-02T05:00:00Z"


def test_a_time_that_comes_while_a_run_is_in_progress_waits_and_says_so() -> None:
    clock = Clock()
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    assert clock.plan(3300).create
    assert clock.status["nextScheduleTime"] == "2026-01-02T04:00:00Z", "a run before the time does not answer it"
    clock.job["metadata"]["annotations"] = {}
    clock.plan(3400)
    assert clock.waits() == [("Schedule", "scheduled for 2026-01-02T04:00:00Z: run 2 is in progress")]
    clock.end(o.later(3500))
    made = clock.plan(3500)
    assert [one["kind"] for one in made.create] == ["Job"]
    assert clock.status["currentRun"]["triggers"] == ["schedule-2026-01-02T04:00:00Z"]


def test_a_run_that_a_person_asked_for_answers_what_is_due() -> None:
    clock = Clock(runPolicy={"suspend": False})
    clock.plan()
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    assert clock.plan(3400).create
    assert clock.status["currentRun"]["reason"] == "Manual"
    assert clock.status["nextScheduleTime"] == "2026-01-02T05:00:00Z"


@pytest.mark.parametrize(
    ("spec", "status", "told"),
    [
        ({"runPolicy": {"suspend": True}}, {}, "spec.runPolicy.suspend is true"),
        ({"retrain": {"cooldownSeconds": 7200}}, {}, "cooldown until 2026-01-02T05:04:05Z"),
        ({}, {"consecutiveFailures": 2}, "2 runs in a row failed"),
        (
            {"retrain": {"maxRunsPerDay": 2}},
            {"unattendedStarts": ["2026-01-02T03:30:00Z", "2026-01-02T02:00:00Z", "2026-01-01T03:00:00Z"]},
            "2 runs that nobody asked for began in 24 hours, spec.retrain.maxRunsPerDay is 2; the next may begin at "
            "2026-01-03T02:00:00Z",
        ),
    ],
    ids=["suspended", "cooldown", "failures", "a day"],
)
def test_what_holds_a_scheduled_run_back_is_told(spec: Object, status: Object, told: str) -> None:
    clock = Clock()
    clock.plan()
    for name, value in spec.items():
        clock.job["spec"][name] = {**clock.job["spec"].get(name, {}), **value}
    clock.status |= status
    assert clock.plan(3400).create == ()
    assert [reason for reason, _ in clock.waits()] == ["Schedule"]
    assert told in clock.waits()[0][1]
    assert clock.status["nextScheduleTime"] == "2026-01-02T04:00:00Z"


def test_no_more_runs_a_day_than_are_allowed_and_those_that_are_asked_for_do_not_count() -> None:
    clock = Clock(retrain={"maxRunsPerDay": 3})
    started: list[int] = []
    for hour in range(1, 49):
        made = clock.plan(hour * 3600)
        if made.create:
            started.append(hour)
            clock.end()
        clock.job["metadata"]["annotations"] = {"modelmill.dev/run": f"{hour}"} if hour == 10 else {}
    assert started == [1, 2, 3, 11, 25, 26, 27]
    assert len(clock.status["unattendedStarts"]) == 3


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"cron": "0 3 * * *", "timeZone": "Europe/Nowhere"}, "the time zone Europe/Nowhere is not known"),
        ({"cron": "0 22-2 * * *"}, "the hour 22-2 ends before it begins"),
        ({"cron": "0 0 30 2 *"}, "spec.triggers.schedule.cron: 0 0 30 2 * is on no day"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_told_and_other_runs_go_on(schedule: Object, words: str) -> None:
    clock = Clock(schedule)
    clock.plan(100)
    for kind in ("Ready", "Stalled"):
        found = find(clock.status, kind)
        assert found is not None
        assert found["reason"] == "ScheduleInvalid"
        assert words in found["message"]
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    assert clock.plan(200).create
