"""What is told of labels beside how many were right: which class for which, how late, and how sure the model was."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts import names
from modelmill_server.core.confidence import FEW_ROWS, ROUNDING, confidences, decile
from modelmill_server.core.feedback import MAX_VERSIONS, FeedbackCounter
from modelmill_server.core.plausible import Plausible
from modelmill_server.core.tokens import MAX_CHARACTERS, MAX_ROWS, Claim, Tokens, key_from

R, C = "regression", "classification"
NOW = 1_800_000_000
KEY = key_from(None, b"manifest")


def tokens() -> Tokens:
    return Tokens(KEY, "v1", clock=lambda: NOW)


def counted(classes: frozenset[Any] | None, task: str = C, now: float = NOW) -> FeedbackCounter:
    return FeedbackCounter("m", "v1", task, Plausible(classes=classes), clock=lambda: now)


def claim(
    predictions: tuple[Any, ...], confidences: bytes = b"", version: str = "v1", task: str = C, code: int = 0
) -> Claim:
    return Claim(version, NOW, task, predictions, code.to_bytes(16), confidences)


def series(counter: FeedbackCounter, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    found = {}
    for family in counter.families():
        for sample in family.samples:
            if sample.name == name:
                key = tuple(sample.labels[label] for label in labels)
                assert key not in found
                found[key] = sample.value
    return found


def cells(counter: FeedbackCounter) -> dict[tuple[str, ...], float]:
    found = series(counter, names.METRIC_FEEDBACK_CELL, "model_version", "predicted", "actual")
    return {key: value for key, value in found.items() if value}


@given(
    st.lists(
        st.sampled_from(
            [0.0, 0.1, 0.3, 0.5, 0.7, 0.999, 1.0, -1.2e-7, 1.00000012, -0.01, 1.01, math.nan, math.inf, 1e308]
        )
        | st.floats(0, 1),
        min_size=1,
        max_size=MAX_ROWS,
    )
)
def test_confidences_come_back_by_decile(values: list[float]) -> None:
    array = np.array([[-1.0, value] for value in values])
    found = confidences(["b"] * len(values), array, {"a": 0, "b": 1})
    token = tokens().make([1] * len(values), C, found)
    assert token is not None
    read = tokens().read(token)
    assert (read.predictions, read.confidences) == ((1,) * len(values), found)
    for byte, value in zip(found, values, strict=True):
        sure = min(max(value, 0.0), 1.0)
        assert decile(byte) == (min(math.floor(sure * 250) // 25, 9) if abs(value - sure) <= ROUNDING else None)


@pytest.mark.parametrize("rows", [1, FEW_ROWS + 1])
def test_a_label_without_a_column_has_no_confidence(rows: int) -> None:
    assert confidences(["c"] * rows, np.full((rows, 2), 0.5), {"a": 0, "b": 1}) == b"\xff" * rows


@pytest.mark.parametrize("predictions", [["yes", ""], [1, 2], [True, False], [1.5, 2.5]])
def test_labels_of_all_types_have_confidences(predictions: list[Any]) -> None:
    token = tokens().make(predictions, C, b"\x8c\xfa")
    assert token is not None
    found = tokens().read(token)
    assert found.predictions == tuple(predictions)
    assert [decile(byte) for byte in found.confidences] == [5, 9]


def test_an_id_that_would_become_too_long_goes_without_confidences() -> None:
    lengths = set()
    for size in range(1480, 1500):
        plain = tokens().make(["x" * size, ""], C)
        token = tokens().make(["x" * size, ""], C, b"\x7d\x7d")
        assert (plain is None) == (token is None)
        if token is not None:
            assert len(token) <= MAX_CHARACTERS
            lengths.add(len(tokens().read(token).confidences))
    assert lengths == {0, 2}


def test_cells_are_there_from_the_start_and_only_of_few_classes() -> None:
    name = names.METRIC_FEEDBACK_CELL
    assert series(counted(frozenset(("a", "b"))), name, "predicted", "actual") == {
        (predicted, actual): 0 for predicted in ("a", "b") for actual in ("a", "b", "other")
    }
    assert len(series(counted(frozenset(range(10))), name, "predicted", "actual")) == 110
    for classes, task in ((frozenset(range(11)), C), (None, C), (None, R)):
        counter = counted(classes, task)
        assert series(counter, name, "predicted", "actual") == {}
    counter = counted(frozenset(range(11)))
    counter.score(claim((1,)), [1])
    assert cells(counter) == {}


@pytest.mark.parametrize(
    ("classes", "predicted", "actual", "cell"),
    [
        (("yes", "no"), "yes", "no", ("yes", "no")),
        (("yes", "no"), "no", "maybe", ("no", "other")),
        (("other", "missing"), "other", "x", ("=other", "other")),
        ((True, False), True, False, ("true", "false")),
        ((0, 1), 1, 0, ("1", "0")),
        ((0.0, 1.5), 1.5, 0, ("1.5", "0.0")),
        (("yes", "no"), "maybe", "yes", ("other", "yes")),
    ],
)
def test_cells_are_called_by_the_classes(
    classes: tuple[Any, ...], predicted: Any, actual: Any, cell: tuple[str, str]
) -> None:
    counter = counted(frozenset(classes))
    counter.score(claim((predicted, predicted)), [actual, None])
    assert cells(counter) == {("v1", *cell): 1}


def test_series_stay_bounded_whatever_versions_and_labels_come() -> None:
    counter = counted(frozenset(("a", "b")))
    for number in range(3 * MAX_VERSIONS):
        for place, label in enumerate(("a", "b", f"made up {number}")):
            counter.score(claim(("a", f"{number}"), b"\x00\xfa", f"v{number}", code=3 * number + place), [label, label])
    found = series(counter, names.METRIC_FEEDBACK_CELL, "model_version", "predicted", "actual")
    assert len({key[0] for key in found}) == MAX_VERSIONS + 1
    assert len(found) <= (MAX_VERSIONS + 1) * 9
    assert sum(found.values()) == 3 * MAX_VERSIONS * 6


def test_the_delay_is_from_the_answer_to_the_label() -> None:
    counter = counted(None, R, now=NOW + 90.5)
    counter.score(claim((1.0, 2.0, 3.0), task=R), [1.0, None, 3.0])
    assert series(counter, f"{names.METRIC_FEEDBACK_DELAY}_sum", "model_version") == {("v1",): 181.0}
    assert series(counter, f"{names.METRIC_FEEDBACK_DELAY}_count", "model_version") == {("v1",): 2}


def test_a_clock_that_is_behind_takes_nothing_off() -> None:
    counter = counted(None, R, now=NOW - 200)
    counter.score(claim((1.0,), task=R), [1.0])
    assert series(counter, f"{names.METRIC_FEEDBACK_DELAY}_sum", "model_version") == {("v1",): 0.0}


def test_other_versions_of_both_tasks_have_one_delay() -> None:
    counter = counted(None, R, now=NOW + 10)
    for number in range(MAX_VERSIONS + 1):
        counter.score(claim((1.0,), task=R, version=f"r{number}", code=number), [1.0])
        counter.score(claim(("a",), task=C, version=f"c{number}", code=100 + number), ["a"])
    found = series(counter, f"{names.METRIC_FEEDBACK_DELAY}_count", "model_version")
    assert sum(found.values()) == 2 * (MAX_VERSIONS + 1)


def test_confidence_is_counted_by_result() -> None:
    counter = counted(frozenset(("a", "b")))
    token = tokens().make(["a", "a", "b", "b"], C, b"\x8c\x80\xfa\xff")
    assert token is not None
    counter.score(tokens().read(token), ["a", "b", "b", "b"])
    counter.score(claim(("a",), code=9), ["a"])  # of a request that did not ask for probabilities
    found = series(counter, names.METRIC_FEEDBACK_CONFIDENCE, "bin", "result")
    assert len(found) == 20
    assert {key: value for key, value in found.items() if value} == {
        ("5", "correct"): 1, ("5", "wrong"): 1, ("9", "correct"): 1,
    }  # fmt: skip


def test_a_refused_label_counts_nowhere() -> None:
    counter = counted(frozenset(("a", "b")))
    counter.score(claim(("a",), b"\xfa"), ["a"])
    before = [family.samples for family in counter.families()]
    with pytest.raises(Exception, match="scored already"):
        counter.score(claim(("a",), b"\xfa"), ["b"])
    with pytest.raises(Exception, match="label at row 1"):
        counter.score(claim(("a", "b"), b"\xfa\xfa", code=1), ["a", 5])
    assert [family.samples for family in counter.families()] == before
