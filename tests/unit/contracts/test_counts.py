from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts.counts import (
    MAX_KEYS,
    SLOTS,
    FeatureReference,
    History,
    Reference,
    Ring,
    decode,
    encode,
    minus,
    plus,
)

KEYS = st.tuples(st.sampled_from(["prediction", "label"]), st.text(max_size=3))
COUNTS = st.dictionaries(KEYS, st.integers(0, 10**9).map(float), max_size=4)


def history(**more: Ring) -> History:
    feature = FeatureReference({"0": 0.25, "1": 0.75, "missing": 0.0}, 0.5, (16.2, 0.1))
    return History("r1", "cars-1", Reference({"a": feature}, {"0": 1.0}, 400.0, 1e9), more, {"fine": True})


def test_a_window_is_its_slots() -> None:
    ring = Ring(10.0)
    for second in range(0, 300, 5):
        ring = ring.added(second, {("bin", "a", "0"): 1.0})
    assert len(ring.slots) == SLOTS
    assert ring.total(299) == {("bin", "a", "0"): 24.0}
    assert ring.total(299 + 60) == {("bin", "a", "0"): 12.0}
    assert ring.total(1000) == {}


def test_a_clock_that_goes_back_forgets_what_is_to_come() -> None:
    ring = Ring(10.0).added(500, {("code", "200"): 3.0}).added(100, {("code", "200"): 1.0})
    assert ring.total(100) == {("code", "200"): 1.0}


def test_series_that_are_made_up_each_time_are_bounded() -> None:
    ring = Ring(10.0).added(0, {("bin", "a", "0"): 1.0})
    for turn in range(200):
        ring = ring.added(
            turn, {("label", f"{turn}-{number}"): 1.0 for number in range(100)} | {("bin", "a", "0"): 1.0}
        )
    assert sum(len(slot) for slot in ring.slots.values()) <= MAX_KEYS
    assert ring.total(199)["bin", "a", "0"] == 120
    assert decode(encode(history(drift=ring))).rings["drift"].total(199) == ring.total(199)


@given(COUNTS, COUNTS)
def test_what_was_added_is_what_is_found(
    before: dict[tuple[str, str], float], more: dict[tuple[str, str], float]
) -> None:
    after = plus(before, more)
    assert minus(after, before) == {key: value for key, value in more.items() if value}


def test_a_counter_that_went_back_counts_from_zero() -> None:
    assert minus({("code", "200"): 5.0, ("code", "500"): 9.0}, {("code", "200"): 7.0, ("code", "500"): 2.0}) == {
        ("code", "200"): 5.0,
        ("code", "500"): 9.0,
    }


@given(st.lists(st.tuples(st.integers(0, 1000), COUNTS), max_size=20))
def test_a_document_is_read_as_it_was_written(steps: list[tuple[int, dict[tuple[str, str], float]]]) -> None:
    ring = Ring(25.0)
    for moment, counts in sorted(steps, key=lambda step: step[0]):
        ring = ring.added(moment, counts)
    read = decode(encode(history(drift=ring)))
    assert read.rings["drift"].total(1000) == {key: value for key, value in ring.total(1000).items() if value}
    assert (read.reference, read.memory) == (history().reference, {"fine": True})


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": None},
        {"rings": []},
        {"rings": {"drift": {"seconds": 0, "keys": [], "slots": []}}},
        {"rings": {"drift": {"seconds": 1, "keys": [["predictions"]], "slots": [{"number": 1, "values": []}]}}},
        {"rings": {"drift": {"seconds": 1, "keys": [["predictions"]], "slots": [{"number": 1, "values": [-1]}]}}},
        {"rings": {"drift": {"seconds": 1, "keys": [["predictions"]], "slots": [{"number": 1, "values": [True]}]}}},
        {"reference": {"features": {"a": 5}, "prediction": {}, "rows": None, "trained": None}},
        {"reference": None},
        {"memory": []},
        {"rings": {"drift": {"seconds": 1, "keys": [[]], "slots": []}}},
        {"rings": {"drift": {"seconds": 1, "keys": [["bin", "a"]], "slots": []}}},
        {"rings": {"drift": {"seconds": 10**400, "keys": [], "slots": []}}},
        {"reference": {"features": {}, "prediction": {}, "rows": 10**400, "trained": None}},
    ],
)
def test_another_document_is_refused(change: dict[str, object]) -> None:
    text = json.dumps(json.loads(encode(history())) | change)
    with pytest.raises(ValueError, match="counts"):
        decode(text)
