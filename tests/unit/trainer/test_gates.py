"""Gates: which result passes, and what is said about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts.result import ChampionFacts
from modelmill.contracts.stage import Gate
from modelmill_trainer.failure import StageError
from modelmill_trainer.gates import improvement, judge

METRICS = {"r2": 0.8, "mae": 2.5}


@pytest.mark.parametrize(
    ("gate", "passed", "text"),
    [
        (Gate(metric="r2", minimum=0.7), True, "r2 0.8 >= 0.7"),
        (Gate(metric="r2", minimum=0.8), True, "r2 0.8 >= 0.8"),
        (Gate(metric="r2", minimum=0.9), False, "r2 0.8 is below 0.9"),
        (Gate(metric="mae", maximum=3), True, "mae 2.5 <= 3"),
        (Gate(metric="mae", maximum=2), False, "mae 2.5 is above 2"),
        (Gate(min_improvement=0.0), True, "there is no champion to compare with"),
    ],
)
def test_one_gate_without_a_champion(gate: Gate, passed: bool, text: str) -> None:
    (verdict,) = judge([gate], METRICS, None, "r2", "Maximize")
    assert (verdict.passed, verdict.text) == (passed, text)


@pytest.mark.parametrize(
    ("primary", "direction", "old", "wanted", "passed"),
    [
        ("r2", "Maximize", 0.7, 0.0, True),
        ("r2", "Maximize", 0.8, 0.0, True),
        ("r2", "Maximize", 0.75, 0.1, False),
        ("r2", "Maximize", 0.9, 0.0, False),
        ("r2", "Maximize", 0.85, -0.1, True),
        ("mae", "Minimize", 3.0, 0.0, True),
        ("mae", "Minimize", 3.0, 0.6, False),
        ("mae", "Minimize", 2.0, 0.0, False),
    ],
)
def test_comparison_with_the_champion(primary: str, direction: str, old: float, wanted: float, passed: bool) -> None:
    champion = ChampionFacts("fuel-1", {primary: old})
    (verdict,) = judge([Gate(min_improvement=wanted)], METRICS, champion, primary, direction)
    assert verdict.passed is passed
    assert "fuel-1" in verdict.text


def test_both_bounds_of_a_gate_count() -> None:
    verdicts = judge([Gate(metric="r2", minimum=0.1, maximum=0.5)], METRICS, None, "r2", "Maximize")
    assert [verdict.passed for verdict in verdicts] == [True, False]


def test_a_champion_that_cannot_be_scored_fails_the_comparison_and_says_why() -> None:
    champion = ChampionFacts("fuel-1", message="it needs Weight, which the data of this run lacks")
    (verdict,) = judge([Gate(min_improvement=0.0)], METRICS, champion, "r2", "Maximize")
    assert not verdict.passed
    assert "it needs Weight" in verdict.text


def test_both_are_compared_on_the_same_rows() -> None:
    champion = ChampionFacts("fuel-1", {"r2": 0.7}, rows=15, challenger={"r2": 0.6})
    (verdict,) = judge([Gate(min_improvement=0.0)], METRICS, champion, "r2", "Maximize")
    assert not verdict.passed  # 0.8 on the whole hold-out is no answer to 0.7 on a part of it
    assert verdict.text == "r2 0.6 is 0.1 worse than 0.7 of the champion fuel-1 on 15 rows; wanted is 0 better or more"
    (verdict,) = judge([Gate(metric="r2", minimum=0.75)], METRICS, champion, "r2", "Maximize")
    assert verdict.passed  # a bound is for the whole hold-out


@pytest.mark.parametrize(
    ("old", "wanted", "said"),
    [
        (0.85, -0.1, "r2 0.8 is 0.05 worse than 0.85 of the champion fuel-1; allowed is up to 0.1 worse"),
        (0.95, -0.1, "r2 0.8 is 0.15 worse than 0.95 of the champion fuel-1; allowed is up to 0.1 worse"),
        (0.7, -0.1, "r2 0.8 is 0.1 better than 0.7 of the champion fuel-1; allowed is up to 0.1 worse"),
        (0.7, 0.05, "r2 0.8 is 0.1 better than 0.7 of the champion fuel-1; wanted is 0.05 better or more"),
        (0.7, 0.2, "r2 0.8 is 0.1 better than 0.7 of the champion fuel-1; wanted is 0.2 better or more"),
        (0.7, 0.0, "r2 0.8 is 0.1 better than 0.7 of the champion fuel-1"),
    ],
)
def test_a_comparison_says_what_was_asked_of_it(old: float, wanted: float, said: str) -> None:
    champion = ChampionFacts("fuel-1", {"r2": old})
    (verdict,) = judge([Gate(min_improvement=wanted)], METRICS, champion, "r2", "Maximize")
    assert verdict.text == said


def test_a_metric_that_the_rows_of_the_comparison_do_not_give_fails_it() -> None:
    champion = ChampionFacts("fuel-1", {"mae": 0.7, "mape": 0.1}, rows=15, challenger={"mae": 0.6})
    (verdict,) = judge([Gate(min_improvement=0.0)], {"mape": 0.2}, champion, "mape", "Minimize")
    assert not verdict.passed
    assert "mape was not measured on the 15 rows" in verdict.text
    (verdict,) = judge([Gate(min_improvement=0.0)], METRICS, ChampionFacts("fuel-1", {"mae": 1.0}), "r2", "Maximize")
    assert not verdict.passed
    assert "r2 was not measured on it" in verdict.text


def test_without_gates_nothing_is_judged() -> None:
    assert judge([], METRICS, ChampionFacts("fuel-1", message="gone"), "r2", "Maximize") == []


def test_every_unknown_metric_is_named_with_its_field() -> None:
    with pytest.raises(StageError) as caught:
        judge([Gate(metric="r2", minimum=0), Gate(metric="mea", maximum=1)], METRICS, None, "R2", "Maximize")
    assert caught.value.reason == "MetricInvalid"
    text = caught.value.line()
    assert "evaluation.primary.metric is 'R2'" in text
    assert "evaluation.gates[1].metric is 'mea'" in text
    assert "did you mean mae?" in text


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_improvement_is_antisymmetric(new: float, old: float) -> None:
    assert improvement(new, old, "Maximize") == -improvement(old, new, "Maximize")
    assert improvement(new, old, "Maximize") == -improvement(new, old, "Minimize")


@pytest.mark.parametrize(("direction", "new"), [("Minimize", 1.906 + 5e-8), ("Maximize", 1.906 - 5e-8)])
def test_a_difference_of_rounding_is_none(direction: str, new: float) -> None:
    champion = ChampionFacts("fuel-1", {"mae": 1.906})
    (verdict,) = judge([Gate(min_improvement=0)], {"mae": new}, champion, "mae", direction)
    assert (verdict.passed, verdict.text) == (True, "mae 1.906 is equal to 1.906 of the champion fuel-1")
    (verdict,) = judge([Gate(min_improvement=0.01)], {"mae": new}, champion, "mae", direction)
    assert not verdict.passed
    (verdict,) = judge([Gate(min_improvement=0)], {"mae": 1.906 + 3 * (new - 1.906) * 100}, champion, "mae", direction)
    assert not verdict.passed
