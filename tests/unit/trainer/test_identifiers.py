"""Which columns are told as possible identifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill_trainer.identifiers import MIN_ROWS, identifiers_note

COUNT = np.arange(MIN_ROWS)


@pytest.mark.parametrize(
    ("values", "kind", "named"),
    [
        (COUNT, "number", True),
        (COUNT * 1.0 + 10_000_000, "number", True),
        ([f"C-{place:06d}" for place in COUNT], "text", True),
        (COUNT[:-1], "number", False),
        (COUNT + 0.5, "number", False),
        (np.where(COUNT == 3, 0, COUNT), "number", False),
        (np.where(COUNT == 3, np.nan, COUNT), "number", False),
        ([None, *(f"C-{place}" for place in COUNT[1:])], "text", False),
        (pd.date_range("2026-01-01", periods=MIN_ROWS), "date", False),
        ([], "number", False),
    ],
)
def test_a_column_of_different_whole_numbers_or_texts_may_be_one(values: Any, kind: str, named: bool) -> None:
    frame = pd.DataFrame({"id": values})
    told = "columns that may be identifiers: id; leave them out by spec.data.features.exclude"
    assert identifiers_note([frame], ["id"], {"id": kind}) == (told if named else "")


def test_only_what_the_model_takes_is_told_and_every_part_of_the_data_counts() -> None:
    frame = pd.DataFrame({"id": COUNT, "account": COUNT + 7, "spare": COUNT, "x": COUNT / 7})
    kinds = dict.fromkeys(frame, "number")
    told = identifiers_note([frame.head(40), frame.tail(MIN_ROWS - 40)], ["account", "id", "x"], kinds)
    assert told.startswith("columns that may be identifiers: account, id; ")
    assert identifiers_note([frame, frame.head(5)], ["id"], kinds) == ""


def test_a_long_list_is_cut() -> None:
    frame = pd.DataFrame({f"c{place:02d}": COUNT for place in range(14)})
    told = identifiers_note([frame], list(frame), dict.fromkeys(frame, "number"))
    assert "c09 and 4 more; " in told
    assert "c10" not in told
