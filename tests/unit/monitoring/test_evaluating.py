"""From counts to alerts: what must last, what disturbs, what goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.api.base import Alert
from modelmill.api.monitoring import Monitoring
from modelmill.contracts.counts import FeatureReference, History, Reference, decode, encode
from modelmill.contracts.verdict import Holdout
from modelmill.monitoring.evaluating import Evaluation, Memory, alerts_of, evaluate, memory_of, rings_of
from tests.unit.monitoring.counted import REFERENCE, rows

MONITORING = Monitoring.model_validate({"drift": {"windowSeconds": 600}, "quality": {"windowSeconds": 1200}})
FINE, SHIFTED, BROKEN = rows(400, 400), rows(780, 20), rows(100, 700) | {("out_of_range", "hp", "far"): 500.0}


class Clock:
    """Evaluations one after the other, of windows that are given whole."""

    def __init__(self, monitoring: Monitoring = MONITORING) -> None:
        self.monitoring = monitoring
        self.memory = Memory()
        self.moment = 1_000_000.0
        self.alerts: list[Alert] = []
        self.found: Evaluation | None = None

    def see(self, counts: Any, seconds: float = 60.0, *, labels: Any = (), codes: Any = ()) -> list[str]:
        """Let a time pass, and return the kinds of alerts that fire."""
        self.moment += seconds
        rings = rings_of(self.monitoring)
        given = {"drift": counts, "quality": dict(labels), "errors": dict(codes)}
        rings = {name: ring.added(self.moment, given[name]) for name, ring in rings.items()}
        reference = Reference(REFERENCE.features, {}, REFERENCE.rows, 900_000.0)
        holdout = Holdout(0.1, 0.0002, classes=True)
        history = History("r1", "cars-1", reference, rings)
        self.found = evaluate(self.monitoring, history, holdout, memory_of(self.memory.document()), self.moment)
        self.memory = self.found.memory
        self.alerts = alerts_of("u1", "cars-1", self.found, self.alerts, self.moment)
        return [alert.kind for alert in self.alerts]


def test_drift_must_last_as_long_as_the_window() -> None:
    clock = Clock()
    assert clock.see(FINE) == []
    assert clock.see(SHIFTED) == []
    assert clock.see(SHIFTED, 599) == []
    assert clock.see(SHIFTED, 1) == ["Drift"]
    (alert,) = clock.alerts
    assert (alert.feature, alert.version, alert.name) == ("hp", "cars-1", "ModelmillDrift")
    assert alert.message is not None
    assert "100% of the importance" in alert.message


def test_what_does_not_last_is_forgotten() -> None:
    clock = Clock()
    for counts in (FINE, SHIFTED, FINE, SHIFTED, FINE) * 3:
        assert clock.see(counts, 500) == []


def test_an_alert_stays_one_episode_until_it_is_over() -> None:
    clock = Clock()
    clock.see(FINE)
    clock.see(SHIFTED)
    clock.see(SHIFTED, 600)
    first = clock.alerts
    for counts in (SHIFTED, rows(3, 1), {}, SHIFTED):
        clock.see(counts, 3600)
        assert clock.alerts == first, "few rows at night do not end it"
    assert clock.see(FINE) == []
    clock.see(SHIFTED)
    clock.see(SHIFTED, 600)
    assert clock.alerts[0].id != first[0].id


def test_what_was_never_fine_is_skew() -> None:
    clock = Clock()
    clock.see(rows(3, 1))
    clock.see(SHIFTED)
    assert clock.see(SHIFTED, 600) == ["Skew"]
    assert clock.see(FINE) == []
    clock.see(SHIFTED)
    assert clock.see(SHIFTED, 600) == ["Drift"]


def test_broken_data_are_no_drift_while_the_window_fills_and_empties() -> None:
    clock = Clock()
    clock.see(FINE)
    assert clock.see(BROKEN) == []
    assert clock.see(BROKEN, 150) == ["DataQuality"]
    assert clock.see(BROKEN, 5000) == ["DataQuality"]
    assert clock.see(SHIFTED, 60) == []
    assert clock.see(SHIFTED, 540) == []
    assert clock.see(SHIFTED, 60) == [], "the drift begins when the last broken row has left"
    assert clock.see(SHIFTED, 600) == ["Drift"]


def test_labels_are_judged_apart() -> None:
    clock = Clock()
    wrong = {("label", "wrong"): 60.0, ("label", "correct"): 60.0}
    clock.see(FINE, labels=wrong)
    assert clock.see(FINE, 100, labels=wrong) == ["Quality"]
    assert clock.see(FINE, labels={}) == ["Quality"], "no labels say nothing"
    assert clock.see(FINE, labels={("label", "correct"): 200.0}) == []
    assert clock.see(BROKEN, 100, labels=wrong) == []


def test_labels_of_wrong_data_are_not_judged_when_the_data_are_right_again() -> None:
    clock = Clock()
    wrong = {("label", "wrong"): 60.0, ("label", "correct"): 60.0}
    clock.see(FINE)
    clock.see(BROKEN)
    assert clock.see(BROKEN, 150, labels=wrong) == ["DataQuality"]
    for seconds in (60, 600, 539):
        assert clock.see(FINE, seconds, labels=wrong) == []
        assert clock.found is not None
        assert clock.found.quality_from == 1_000_270.0 + 1200
    clock.see(FINE, 2, labels=wrong)
    assert clock.see(FINE, 100, labels=wrong) == ["Quality"], "they have left the window of labels"


def test_a_fault_that_is_too_short_for_an_alert_holds_quality_up_for_its_window_only() -> None:
    clock = Clock()
    wrong = {("label", "wrong"): 60.0, ("label", "correct"): 60.0}
    clock.see(FINE)
    clock.see(BROKEN)
    assert clock.see(BROKEN, 100) == []
    assert clock.see(FINE, 60, labels=wrong) == []
    clock.see(FINE, 541, labels=wrong)
    assert clock.see(FINE, 100, labels=wrong) == ["Quality"]


def test_errors_of_the_server_and_age() -> None:
    clock = Clock(MONITORING.model_copy(update={"staleness": _staleness(200_000)}))
    codes = {("code", "500"): 300.0}
    assert clock.see(FINE, codes=codes) == []
    assert clock.see(FINE, codes=codes) == ["Errors"]
    assert clock.see(FINE, 200_000, codes={("code", "200"): 900.0}) == ["Staleness"]


def _staleness(seconds: int) -> Any:
    return Monitoring.model_validate({"staleness": {"maxAgeSeconds": seconds}}).staleness


def test_a_problem_that_is_to_come_disturbs_nothing() -> None:
    clock = Clock()
    clock.see(FINE)
    clock.memory = Memory(fine=True, problem=clock.moment + 1e6)
    clock.see(SHIFTED)
    assert clock.see(SHIFTED, 600) == ["Drift"]


@given(st.dictionaries(st.sampled_from(["a", "Drift", "fine"]), st.floats() | st.integers() | st.text(max_size=2)))
def test_whatever_a_memory_holds_it_can_be_judged(since: dict[str, Any]) -> None:
    clock = Clock()
    clock.memory = memory_of({"fine": True, "problem": since.get("a"), "alerted": since.get("Drift"), "since": since})
    clock.see(SHIFTED)
    clock.see(BROKEN)


@pytest.mark.parametrize("raw", [{}, {"since": 5}, {"since": {"Drift": "x"}}, {"since": {"Drift": True}}])
def test_a_memory_that_was_edited_is_empty(raw: dict[str, Any]) -> None:
    assert memory_of(raw) == Memory()


ODD = st.sampled_from(
    [0, -1, 1e300, 1e99, 10**400, 1e-300, float("nan"), float("inf"), "x", None, True, [], {}, 10**15]
)


def _changed(value: Any, choose: Any) -> Any:
    """Return a document with odd values in some of its places."""
    if choose(st.integers(0, 30)) == 0:
        return choose(ODD)
    if isinstance(value, dict):
        return {name: _changed(one, choose) for name, one in value.items()}
    if isinstance(value, list):
        return [_changed(one, choose) for one in value]
    return value


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whoever_edits_the_counts_they_are_refused_or_judged(data: st.DataObject) -> None:
    counts = SHIFTED | {
        ("magnitude", "hp", "count"): 800.0,
        ("magnitude", "hp", "sum"): 9000.0,
        ("prediction", "0"): 9.0,
    }
    counts |= {("magnitude", "hp", "squares"): 1e5, ("bin", "hp", "missing"): 5.0}
    labels = {("label", "scored"): 300.0, ("error", "absolute"): 90.0, ("error", "squared"): 900.0}
    rings = {name: ring.added(1e6, counts | labels) for name, ring in rings_of(MONITORING).items()}
    feature = FeatureReference({"0": 0.5, "1": 0.4, "missing": 0.1}, 1.0, (17.0, 0.3))
    reference = Reference({"hp": feature}, {"0": 1.0, "missing": 0.0}, 500.0, 9e5)
    memory = Memory(True, 999_900.0, 999_800.0, {"Drift": 999_000.0}).document()
    document = json.loads(encode(History("r1", "cars-1", reference, rings, memory)))
    try:
        edited = decode(json.dumps(_changed(document, data.draw)))
    except ValueError:
        return
    if not rings.keys() <= edited.rings.keys():
        return
    found = evaluate(MONITORING, edited, Holdout(0.1, 0.0002, classes=False), memory_of(edited.memory), 1e6)
    encode(edited)
    alerts_of("u1", "cars-1", found, [], 1e6)
