"""What holds whatever happens: alerts that come, go and flap, runs that end in any way, data that come, clocks that jump."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.contracts.look import Seen, encode_seen
from modelmill.kube.conditions import find, timestamp
from tests.support import objects as o
from tests.unit.training.looking import Clock

Object = dict[str, Any]
KINDS = ("Drift", "Skew", "Quality", "Staleness", "DataQuality", "Errors")
EVENTS = st.one_of(
    st.tuples(st.just("fire"), st.sampled_from(KINDS)),
    st.tuples(st.just("resolve"), st.sampled_from(KINDS)),
    st.tuples(st.just("rows"), st.sampled_from([5, 60, 100])),
    st.tuples(st.just("end"), st.sampled_from(["Published", "GateFailed", "Failed", "Unchanged", "DataRejected"])),
    st.tuples(st.just("wait"), st.sampled_from([1, 61, 700, 5000, 40_000])),
    st.tuples(st.just("jump"), st.sampled_from([-3600, -60, 90_000])),
    st.tuples(st.just("look"), st.sampled_from(["well", "fails"])),
    st.tuples(st.just("person"), st.just("")),
    st.tuples(st.just("enough"), st.just(200)),
    st.tuples(st.just("enough"), st.just(200)),
)


@dataclass
class Life:
    """A TrainingJob with default thresholds, its data as (when written, rows), and what each run had read when it began."""

    clock: Clock = field(default_factory=lambda: Clock(None, {}, retrain={"cooldownSeconds": 600}))
    alerts: dict[str, Object] = field(default_factory=dict)
    data: list[tuple[float, int]] = field(default_factory=list)
    read: int = 0
    asked: int = 0
    set_back: bool = False
    runs: list[tuple[str, float, int]] = field(default_factory=list)
    unhelped: list[Object] = field(default_factory=list)

    def play(self, event: str, what: Any) -> None:
        clock = self.clock
        if event == "fire" and what not in self.alerts:
            version = clock.status.get("latestVersion", "cars-1")
            starts = timestamp(o.later(clock.seconds))
            self.alerts[what] = o.alert(f"{what}-{starts}", kind=what, startsAt=starts, version=version)
        elif event == "resolve":
            self.alerts.pop(what, None)
        elif event == "rows":
            self.data.append((o.later(clock.seconds).timestamp(), what))
        elif event == "end" and clock.run is not None:
            clock.end(what)
        elif event in ("wait", "jump"):
            clock.seconds += what
            self.set_back |= what < 0
        elif event == "enough":
            self.data.append((o.later(clock.seconds).timestamp(), what))
            clock.seconds += 2000
            clock.fire(*self.alerts.values())
            self.plan()
            if clock.look is not None:
                self.look("well")
        elif event == "look" and clock.look is not None:
            self.look(what)
        elif event == "person":
            self.asked += 1
            clock.job["metadata"]["annotations"] = {"modelmill.dev/run": str(self.asked)}
        clock.fire(*self.alerts.values())
        self.plan()

    def look(self, how: str) -> None:
        if how == "fails":
            return self.clock.fails()
        asked = self.clock.asked
        fresh = self.data[self.read :]
        recent = [rows for written, rows in fresh if asked.after is not None and written > asked.after]
        told = (asked.after, len(recent), sum(recent)) if asked.after is not None else (None, None, None)
        self.clock.ends(
            encode_seen(Seen(f"sha256:{len(self.data):064x}", len(self.data), len(fresh), 0, None, *told)), 0
        )
        return None

    def plan(self) -> None:
        clock = self.clock
        # A restart knows nothing but what was written.
        clock.status = json.loads(json.dumps(clock.status))
        before = clock.run
        clock.plan()
        if clock.run is not None and before is None:
            self.begun(clock.run)
        self.invariants()

    def begun(self, run: Object) -> None:
        if run["reason"] == "Alert":
            suspended = find(self.clock.status, "RetrainSuspended")
            assert suspended is None or suspended["status"] != "True"
            assert "DataQuality" not in self.alerts, "broken data were trained on"
            assert not {"DataQuality", "Errors"} & set(run["alerts"])
            fresh = self.data[self.read :]
            assert fresh, "a run without new data"
            if "Staleness" not in run["alerts"]:
                starts = [one["startsAt"] for one in self.alerts.values() if one["id"] in run["triggers"]]
                assert starts
                assert sum(rows for _, rows in fresh) >= 100, "a run without new rows"
        self.runs.append((run["reason"], self.clock.seconds, len(self.data)))
        self.read = len(self.data)
        assert len({data for _, data in self.of_alerts}) == len(self.of_alerts), "two runs of alerts on the same data"
        if not self.set_back and run["reason"] == "Alert":
            within = [seconds for seconds, _ in self.of_alerts if seconds + 86_400 > self.clock.seconds]
            assert len(within) <= 4, "more runs than the budget"

    @property
    def of_alerts(self) -> list[tuple[float, int]]:
        """When the runs of alerts began, and how much data there was."""
        return [(seconds, data) for reason, seconds, data in self.runs if reason == "Alert"]

    def invariants(self) -> None:
        status = self.clock.status
        held = {one["id"]: one for one in status.get("pendingTriggers", ())}
        answered = {*status.get("answeredAlerts", ()), *(status.get("currentRun") or {}).get("triggers", ())}
        for alert in self.alerts.values():
            if alert["kind"] in ("DataQuality", "Errors"):
                assert alert["id"] not in held
            elif alert["id"] not in answered:
                assert held[alert["id"]]["message"], "an alert that waits without a reason"
                assert held[alert["id"]]["hold"]
        assert len(status.get("decisions", ())) <= 10
        suspended = find(status, "RetrainSuspended")
        if suspended is not None and suspended["status"] == "True":
            assert self.clock.look is None, "a look costs"
        if "DataQuality" in self.alerts and self.clock.run is None:
            assert {one["hold"] for one in held.values()} <= {"DataQuality"}, "not told what is to be mended"

    def end_all(self) -> None:
        """Let the run in progress end well, and those that waited for its end."""
        while self.clock.run is not None:
            self.play("end", "Published")

    def rest(self) -> None:
        """Let a run of a person end well, and so much time go by that no run of before counts, whatever clocks did."""
        self.alerts.clear()
        self.end_all()
        self.play("person", "")
        self.end_all()
        self.play("wait", 400_000)


@settings(deadline=None, max_examples=60)
@given(st.lists(EVENTS, max_size=40))
def test_no_run_without_a_reason_new_data_and_a_budget(events: list[tuple[str, Any]]) -> None:
    life = Life()
    life.plan()
    for event, what in events:
        life.play(event, what)


@settings(deadline=None, max_examples=40)
@given(st.lists(EVENTS, max_size=20), st.sampled_from(["Drift", "Skew", "Quality", "Staleness"]))
def test_broken_data_hold_every_run_of_alerts_whatever_was_before_and_nothing_else_does(
    events: list[tuple[str, Any]], kind: str
) -> None:
    life = Life()
    life.plan()
    for event, what in events:
        life.play(event, what)
    life.rest()
    before = len(life.of_alerts)
    life.alerts["DataQuality"] = o.alert("broken", kind="DataQuality")
    life.alerts[kind] = o.alert("last", kind=kind, startsAt=timestamp(o.later(life.clock.seconds)))
    for _ in range(3):
        life.play("enough", 200)
        assert life.clock.look is None, "a look costs"
    assert len(life.of_alerts) == before, "broken data were trained on"
    life.play("resolve", "DataQuality")
    life.play("enough", 200)
    assert len(life.of_alerts) == before + 1, "something else held it"


@pytest.mark.parametrize("outcome", ["Published", "GateFailed"])
def test_a_day_of_flapping_stays_within_the_budget(outcome: str) -> None:
    """An alert each half hour that goes after a quarter, and data that come all the time."""
    life, kinds = Life(), ("Drift", "Quality", "Skew")
    for turn in range(48):
        life.data.append((o.later(life.clock.seconds).timestamp(), 100))
        life.play("fire", kinds[turn % 3])
        if life.clock.look is not None:
            life.play("look", "well")
        if life.clock.run is not None:
            life.play("end", outcome)
        life.play("wait", 900)
        life.alerts.clear()
        life.play("wait", 900)
    assert 1 <= len(life.of_alerts) <= 4
    told = [one for one in life.clock.events if one.startswith("Retrain")]
    assert len(told) <= 24, "events follow the decisions, not the flaps"
