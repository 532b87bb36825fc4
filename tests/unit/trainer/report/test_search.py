from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from modelmill_trainer.report.search import LEAST_TRIALS, MAX_AXES, MAX_SLICES, found, importance, pictures
from modelmill_trainer.trials import Trial, Trials
from tests.support.made_trials import made_trials, search_of

SVG = "{http://www.w3.org/2000/svg}"


def test_a_search_has_its_history_importance_coordinates_and_slices() -> None:
    trials = made_trials(120)
    made = pictures(search_of(trials), trials)
    assert [one.title for one in made[:3]] == [
        "Optimisation history",
        "Importance of the parameters",
        "Parallel coordinates",
    ]
    assert sorted(one.title for one in made[3:]) == [f"Slice of {name}" for name in ("depth", "kind", "noise", "rate")]
    assert made[3].title == "Slice of rate"  # the most important comes first
    for one in made:
        root = ElementTree.fromstring(str(one.svg))
        assert [root[0].text, root[1].text] == [one.title, one.told]


def test_what_decides_is_important_and_what_does_nothing_is_not() -> None:
    share = importance(made_trials(200))
    assert next(iter(share)) == "rate"
    assert share["rate"] > 0.6
    assert share["noise"] < 0.15
    assert sum(share.values()) == pytest.approx(1)


def test_few_trials_and_equal_values_have_no_importance() -> None:
    few = Trials(made_trials(LEAST_TRIALS - 1).trials)
    equal = Trials(tuple(Trial(index, "Succeeded", 0.5, {"a": float(index)}) for index in range(50)))
    for trials in (few, equal):
        assert importance(trials) == {}
        assert "Importance of the parameters" not in [one.title for one in pictures(search_of(trials), trials)]


def test_a_thousand_trials_are_drawn_in_bounded_bytes() -> None:
    trials = made_trials(1000)
    made = pictures(search_of(trials), trials)
    assert sum(len(str(one.svg)) for one in made) < 150_000
    assert "of 8" in next(one.told for one in made if one.title == "Parallel coordinates")


def test_many_parameters_are_bounded() -> None:
    names = [f"p{number}" for number in range(40)]
    trials = Trials(
        tuple(Trial(index, "Succeeded", index / 50, {name: float(index) for name in names}) for index in range(50))
    )
    made = pictures(search_of(trials), trials)
    assert sum(one.title.startswith("Slice") for one in made) == MAX_SLICES
    (lines,) = [one for one in made if one.title == "Parallel coordinates"]
    assert len(re.findall(r">p\d+<", str(lines.svg))) == MAX_AXES


@pytest.mark.parametrize("direction", ["Maximize", "Minimize"])
def test_gross_failures_do_not_hide_the_rest(direction: str) -> None:
    sign = -1 if direction == "Maximize" else 1
    usual = tuple(Trial(index, "Succeeded", 0.5 + index / 1000, {"a": float(index)}) for index in range(40))
    trials = Trials((*usual, Trial(40, "Succeeded", sign * 1e30, {"a": 1.0})))
    history = pictures(search_of(trials, direction=direction), trials)[0]
    assert "1 trials with worse values are drawn at the edge" in history.told
    assert "e+" not in " ".join(
        element.text or "" for element in ElementTree.fromstring(str(history.svg)).iter(f"{SVG}text")
    )


def test_one_trial_and_trials_without_a_value_can_be_shown() -> None:
    one = Trials((Trial(0, "Succeeded", 0.5, {"a": 1.0, "b": "x"}),))
    assert next(made.title for made in pictures(search_of(one), one)) == "Optimisation history"
    none = Trials((Trial(0, "Failed", None, {"a": 1.0}),))
    assert pictures(search_of(none), none) == []
    bare = Trials((Trial(0, "Succeeded", 0.5, {}), Trial(1, "Succeeded", 0.6, {})))
    assert len(pictures(search_of(bare), bare)) == 1


def test_what_could_not_be_read_is_said() -> None:
    trials = made_trials(20)
    assert len(found(search_of(trials), trials, {"accuracy": 0.8}).told) == 1
    assert "20 of 25 trials are shown" in found(search_of(trials, trials=25), trials, {}).told[1]
    bare = found(search_of(trials), None, {})
    assert "not shown" in bare.told[1]
    assert (bare.plots, bare.objective[2], len(bare.best)) == ([], None, 10)


def test_the_same_ledger_gives_the_same_bytes() -> None:
    one, other = (pictures(search_of(made_trials(60)), made_trials(60)) for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.80, "trust the hold-out"), (0.99, "easier than the validation rows"), (0.89, "")],
)
def test_the_report_warns_where_validation_and_hold_out_lie_far_apart(value: float, words: str) -> None:
    trials = made_trials(30)
    search = search_of(trials, best_value=0.9)
    warned = [one for one in found(search, trials, {"accuracy": value}, 0.01).told if "Warning" in one]
    assert len(warned) == bool(words)
    assert all(words in one and f"{value:.4g}" in one for one in warned)


def test_without_an_error_of_the_metric_nothing_is_called_far() -> None:
    trials = made_trials(30)
    assert not any("Warning" in one for one in found(search_of(trials), trials, {"accuracy": 0.1}).told)
