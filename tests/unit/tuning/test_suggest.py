"""What comes next in a search. The failures that users of other tools met have tests of their names.

Source: docs/how-to/search.md tells what a person sees of each.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.api.tuning import Tuning
from modelmill.tuning.ledger import Entry
from modelmill.tuning.space import Axis, combinations, seed_trials, size, space_of, text_of
from modelmill.tuning.suggest import Search, suggest

ALPHA = {"name": "alpha", "float": {"low": "1e-5", "high": "10", "log": True}}
DEPTH = {"name": "depth", "int": {"low": 2, "high": 9, "step": 3}}
KIND = {"name": "kind", "categorical": {"choices": ["a", 16, "true"]}}


def of(*parameters: Any, algorithm: str = "TPE", seed: int = 0, **more: Any) -> Search:
    tuning = Tuning.model_validate({"parameters": list(parameters), "maxTrials": 9, **more})
    space = space_of(tuning)
    return Search(space, algorithm, seed, "Maximize", tuple(seed_trials(tuning, space)))


def played(search: Search, count: int, parallel: int = 1) -> list[Entry]:
    """Return the ledger of a search whose trials score their alpha; of those at a time the last one ends first."""
    entries: list[Entry] = []
    while len(entries) < count:
        for values in suggest(search, entries, parallel):
            entries.append(Entry(len(entries), values))
        for place in range(len(entries) - 1, len(entries) - 1 - parallel, -1):
            value = -abs(float(entries[place].parameters["alpha"]) - 0.1)
            entries[place] = Entry(place, entries[place].parameters, state="Succeeded", value=value)
    return entries[:count]


def test_the_same_seed_after_a_restart_does_not_repeat_the_first_points() -> None:
    for algorithm in ("Random", "TPE"):
        entries = played(of(ALPHA, algorithm=algorithm), 20)
        assert len({one.parameters["alpha"] for one in entries}) == 20


def test_a_suggestion_follows_from_the_ledger_alone() -> None:
    search, entries = of(ALPHA, DEPTH, KIND), played(of(ALPHA, DEPTH, KIND), 15)
    assert suggest(search, entries, 2) == suggest(search, list(entries), 2)
    assert played(search, 15) == entries


def test_another_seed_is_another_search() -> None:
    assert suggest(of(ALPHA, seed=1), [], 1) != suggest(of(ALPHA, seed=2), [], 1)


def test_preempted_trials_do_not_distort_sampling() -> None:
    """A trial that runs, failed or was stopped is told as such: with results of others the next one is near the best."""
    search = of(ALPHA)
    entries = played(search, 30)
    odd = [
        Entry(30, {"alpha": "9.0"}),
        Entry(31, {"alpha": "9.5"}, state="Failed"),
        Entry(32, {"alpha": "8"}, state="Pruned"),
    ]
    found = [float(one["alpha"]) for one in suggest(search, [*entries, *odd], 8)]
    assert sum(value < 3 for value in found) >= 6


def test_parallel_trials_are_not_duplicates() -> None:
    found = suggest(of(ALPHA, DEPTH), played(of(ALPHA, DEPTH), 20), 8)
    assert len({one["alpha"] for one in found}) == 8


@pytest.mark.parametrize("algorithm", ["Random", "Grid", "TPE"])
def test_an_exhausted_space_ends_and_repeats_nothing(algorithm: str) -> None:
    search = of(DEPTH, KIND, algorithm=algorithm)
    found = suggest(search, [], 50)
    assert len(found) == size(search.space) == 9
    assert len({tuple(sorted(one.items())) for one in found}) == 9


def test_a_categorical_value_is_matched_whatever_its_type() -> None:
    entries = [Entry(0, {"kind": "16"}, state="Succeeded", value=1.0), Entry(1, {"kind": "true"}, state="Failed")]
    assert suggest(of(KIND), entries, 5) == [{"kind": "a"}]


def test_thousands_of_trials_do_not_stop_tpe() -> None:
    """A suggestion service of others stops at 2,057 trials with an IndexError."""
    search = of(ALPHA, {"name": "x", "float": {"low": "0", "high": "1"}})
    entries = [
        Entry(
            place,
            {"alpha": text_of(1e-5 * (place + 1)), "x": text_of(place / 2200)},
            state="Succeeded",
            value=float(place),
        )
        for place in range(2200)
    ]
    (found,) = suggest(search, entries, 1)
    assert found.keys() == {"alpha", "x"}


def test_what_hangs_on_another_value_is_there_only_with_it() -> None:
    hanging = {"name": "degree", "int": {"low": 1, "high": 4}, "when": {"parameter": "kind", "equals": 16}}
    # The order in the spec does not matter.
    search = of(hanging, KIND, ALPHA)
    for values in suggest(search, [], 30):
        assert ("degree" in values) == (values["kind"] == "16")


def test_two_steps_deep() -> None:
    solver = {"name": "solver", "categorical": {"choices": ["x", "y"]}, "when": {"parameter": "kind", "equals": "a"}}
    rate = {"name": "rate", "int": {"low": 1, "high": 2}, "when": {"parameter": "solver", "equals": "y"}}
    search = of(rate, solver, KIND, algorithm="Grid")
    assert suggest(search, [], 50) == [
        {"kind": "a", "solver": "x"},
        {"kind": "a", "solver": "y", "rate": "1"},
        {"kind": "a", "solver": "y", "rate": "2"},
        {"kind": "16"},
        {"kind": "true"},
    ]


def test_seed_trials_come_first_and_are_completed() -> None:
    search = of(DEPTH, KIND, seedTrials=[{"kind": 16, "depth": 4}, {"kind": "a"}])
    first, second, third = suggest(search, [], 3)
    assert first == {"depth": "5", "kind": "16"}, "the nearest step"
    assert second["kind"] == "a"
    assert second["depth"] in {"2", "5", "8"}
    assert third not in (first, second)


def test_the_values_of_steps_are_those_that_people_write() -> None:
    axis = Axis("x", 0.1, 0.7, step=0.1)
    assert [axis.value_at(place) for place in range(axis.count() or 0)] == [
        "0.1",
        "0.2",
        "0.3",
        "0.4",
        "0.5",
        "0.6",
        "0.7",
    ]
    assert {one["x"] for one in suggest(Search((axis,), "TPE", 0, "Maximize"), [], 9)} == {
        "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7",
    }  # fmt: skip


numbers = st.floats(1e-3, 1e3)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(numbers, st.floats(0, 1e3), st.sampled_from(["any", "log", "step"])), min_size=1, max_size=4),
    st.sampled_from(["Random", "TPE"]),
    st.integers(0, 2**31 - 1),
)
def test_every_suggestion_lies_in_its_space(axes: list[tuple[float, float, str]], algorithm: str, seed: int) -> None:
    space = tuple(
        Axis(f"p{place}", low, low + width, log=kind == "log", step=0.25 if kind == "step" else None)
        for place, (low, width, kind) in enumerate(axes)
    )
    search = Search(space, algorithm, seed, "Minimize")
    entries: list[Entry] = []
    for values in suggest(search, [], 12):
        for axis in space:
            assert axis.low <= float(values[axis.name]) <= axis.high
            assert axis.nearest(values[axis.name]) == values[axis.name]
        entries.append(Entry(len(entries), values, state="Succeeded", value=1.0))
    assert suggest(search, entries, 1) == suggest(search, entries, 1)


def test_a_space_too_large_to_count_has_no_end() -> None:
    wide = tuple(Axis(f"p{place}", 0, 10**9, step=1) for place in range(3))
    assert size(wide) is None
    assert next(combinations(wide)) == {"p0": "0", "p1": "0", "p2": "0"}
    assert len(suggest(Search(wide, "Grid", 0, "Maximize"), [], 3)) == 3


def test_trials_outside_of_the_space_are_left_out_of_what_the_sampler_is_told() -> None:
    """The documented spaces of another release may have been wider: its trials are no reason to fail."""
    search = of(ALPHA, KIND)
    odd = [{"alpha": "99", "kind": "a"}, {"alpha": "1", "kind": "z"}, {"beta": "1"}, {"alpha": "x"}]
    entries = [Entry(place, values, state="Succeeded", value=1.0) for place, values in enumerate(odd)]
    (found,) = suggest(search, entries, 1)
    assert set(found) == {"alpha", "kind"}
