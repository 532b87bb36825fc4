"""Data gates on a real data set: what is corrupted is named, and what is only drawn anew raises nothing."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from hack.data_gates.corruptions import CORRUPTIONS, Corruption, cars
from hack.data_gates.page import PATH, REDRAWN
from hack.data_gates.runs import corrupted, examined, redrawn, reference
from modelmill.contracts.data import Schema
from modelmill.contracts.stage import Data
from modelmill_trainer.data_gates.examine import Reference, examine
from modelmill_trainer.failure import StageError
from modelmill_trainer.kinds import kind_of
from modelmill_trainer.tables import Table


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda one: one.name)
def test_a_corruption_is_told_by_its_gates_and_columns(corruption: Corruption) -> None:
    seen = corrupted(corruption)
    assert {one.gate: one.columns for one in seen.findings} == corruption.found
    for one in seen.findings:
        assert all(name in one.text for name in one.columns)
    assert any(one.stops for one in seen.findings) == corruption.stops
    if not corruption.stops:
        seen.require()
        return
    with pytest.raises(StageError) as caught:
        seen.require()
    assert (caught.value.reason, caught.value.rejected) == ("SchemaViolated", True)


@pytest.mark.parametrize("seed", range(REDRAWN))
def test_rows_that_are_drawn_anew_raise_nothing(seed: int) -> None:
    assert redrawn(seed).findings == ()


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes", "digits"])
def test_halves_of_other_data_sets_raise_nothing(name: str) -> None:
    """They have no row in common, and up to 64 columns; without a version to compare with they raise nothing either."""
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    for seed in range(5):
        mixed = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
        half = len(mixed) // 2
        before = examine(table(mixed[:half]), Data("", "csv", "target"), 0.0, Reference())
        assert before.findings == ()
        known = Reference("v-1", frozenset(map(str, frame.columns)), before.summary)
        assert examine(table(mixed[half:]), Data("", "csv", "target"), 0.0, known).findings == ()


def table(frame: pd.DataFrame) -> Table:
    frame = frame.reset_index(drop=True)
    return Table(frame, {str(name): kind_of(frame[name], str(name)) for name in frame.columns}, ("a.csv",), (0,))


def test_warn_lets_every_corruption_go_on_and_tells_it() -> None:
    known = reference(cars())
    for corruption in CORRUPTIONS:
        if corruption.stops:
            seen = examined(corruption.make(cars(), np.random.default_rng(1)), known, Schema(on_violation="Warn"))
            seen.require()
            assert len(seen.told()) == len(corruption.found)


def test_the_page_tells_each_corruption() -> None:
    text = PATH.read_text()
    rows = re.findall(r"^\| ([a-z ]+): .*? \| (told|rejected) \| (.*?) \|", text, re.MULTILINE)
    assert [(name, verdict) for name, verdict, _ in rows] == [
        (one.name, "rejected" if one.stops else "told") for one in CORRUPTIONS
    ]
    for (_, _, told), one in zip(rows, CORRUPTIONS, strict=True):
        assert told == "; ".join(f"`{gate}` {', '.join(columns)}".strip() for gate, columns in one.found.items())
    assert f"Of {REDRAWN} times" in text
    assert f"{REDRAWN} raised nothing" in text
