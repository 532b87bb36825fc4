"""The newest rows of the data, by a column or by their place."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts.data import Window
from modelmill.contracts.stage import Data
from modelmill_trainer.facts import read_facts
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import folders
from modelmill_trainer.kinds import kind_of
from modelmill_trainer.lineage import lineage
from modelmill_trainer.row_window import windowed
from modelmill_trainer.tables import Table
from tests.unit.trainer.runs import spec_of


def table(frame: pd.DataFrame) -> Table:
    kinds = {str(name): kind_of(frame[name], str(name)) for name in frame.columns}
    return Table(frame, kinds, ("a.csv", "b.csv"), (0, len(frame) // 2))


def kept(frame: pd.DataFrame, **window: Any) -> list[int]:
    """Return the places of the rows that are kept."""
    return [int(place) for place in windowed(table(frame), Window(**window))[0].frame.index]


def dates(count: int) -> pd.Series:
    return pd.Series(pd.date_range("2026-01-01", periods=count, freq="D"))


def test_without_a_window_all_rows_are_kept() -> None:
    whole = table(pd.DataFrame({"x": range(20)}))
    assert windowed(whole, None) == (whole, "")
    assert windowed(whole, Window(objects_newer_than="7d"))[0] is whole


def test_the_last_rows_are_those_of_the_last_objects() -> None:
    found, told = windowed(table(pd.DataFrame({"x": range(40)})), Window(rows=15))
    assert list(found.frame["x"]) == list(range(25, 40))
    assert told == "the last rows in the order of the objects: 15 of 40 rows"
    assert found.where(39) == "b.csv, data row 20"
    assert kept(pd.DataFrame({"x": range(12)}), rows=100) == list(range(12))


def test_the_newest_rows_by_a_column_stay_in_their_order_and_later_ones_win() -> None:
    years = [1980] * 15 + [1982] * 10 + [1981] * 4 + [None]
    frame = pd.DataFrame({"Year": years, "x": range(30)})
    assert kept(frame, rows=12, column="Year") == [*range(15, 25), 27, 28]
    assert kept(frame, rows=29, column="Year") == list(range(29))  # a row without a value is the oldest


def test_the_last_of_numbers_is_counted_from_the_greatest() -> None:
    frame = pd.DataFrame({"Year": [1970 + place // 10 for place in range(130)]})
    found, told = windowed(table(frame), Window(column="Year", last="5"))
    assert sorted(set(found.frame["Year"])) == [1978, 1979, 1980, 1981, 1982]
    assert told == "the rows with Year above 1977 (the last 5): 50 of 130 rows"
    assert len(kept(frame, column="Year", last="0.5")) == 10
    assert len(kept(frame, column="Year", last="999999999")) == 130


@pytest.mark.parametrize(
    "form",
    [
        lambda moments: moments,
        lambda moments: moments.dt.strftime("%Y-%m-%d"),
        lambda moments: moments.dt.tz_localize("UTC"),
        lambda moments: moments.dt.date,
    ],
    ids=["moments", "text", "zoned", "days"],
)
def test_the_last_of_dates_is_counted_from_the_newest(form: Any) -> None:
    frame = pd.DataFrame({"day": form(dates(90))})
    found, told = windowed(table(frame), Window(column="day", last="30d"))
    assert list(found.frame.index) == list(range(60, 90))
    assert told == "the rows with day in the 30d up to 2026-03-31T00:00:00: 30 of 90 rows"
    assert kept(frame, column="day", last="2w") == list(range(76, 90))
    assert len(kept(frame, column="day", last="999999999w")) == 90


def test_dates_centuries_apart_can_be_compared() -> None:
    moments = pd.Series(["1700-01-01"] * 10 + ["2250-01-01"] * 10)
    assert kept(pd.DataFrame({"day": moments}), column="day", last="30d") == list(range(10, 20))


def test_a_row_without_a_date_is_left_out() -> None:
    moments = dates(40)
    moments[5:20] = pd.NaT
    assert kept(pd.DataFrame({"day": moments}), column="day", last="36d") == [4, *range(20, 40)]


def test_a_column_that_has_no_value_in_the_window_is_empty_and_its_marks_are_counted_anew() -> None:
    whole = table(pd.DataFrame({"old": [1.0] * 20 + [np.nan] * 20, "kind": ["NA"] * 25 + ["a"] * 15}))
    whole.marks["kind"] = Counter({"NA": 25})
    found, _ = windowed(whole, Window(rows=20))
    assert found.kinds == {"old": "empty", "kind": "text"}
    assert found.marks["kind"] == {"NA": 5}
    assert windowed(whole, Window(rows=15))[0].marks == {}


@pytest.mark.parametrize(
    ("window", "reason", "told"),
    [
        ({"column": "Yaer", "last": "5"}, "ColumnMissing", "data.window.column 'Yaer' .* did you mean year"),
        ({"column": "year", "last": "5d"}, "ColumnInvalid", "has numbers: use a number without a unit"),
        ({"column": "day", "last": "5"}, "ColumnInvalid", "has dates: use a span of time like 30d"),
        ({"column": "word", "rows": 20}, "ColumnInvalid", "data.window.column 'word' must have numbers or dates"),
        ({"column": "none", "rows": 20}, "ColumnInvalid", "data.window.column 'none' has no values"),
        ({"column": "year", "last": "5y"}, "SpecInvalid", "data.window.last is '5y'"),
        ({"last": "5"}, "SpecInvalid", "data.window.last needs data.window.column"),
        ({"column": "far", "last": "1d"}, "ColumnInvalid", "data.window.column 'far' must have dates"),
        ({"rows": 9}, "TooFewRows", "data.window keeps the last rows in the order of the objects: 9 of 30 rows, and at least"),
        ({"column": "stray", "last": "30d"}, "TooFewRows", "up to 2062-01-01T00:00:00: 1 of 30 rows"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_is_wrong_names_the_field_and_the_mend(window: dict[str, Any], reason: str, told: str) -> None:
    stray = dates(30)
    stray[3] = pd.Timestamp("2062-01-01")
    frame = pd.DataFrame(
        {
            "year": range(30), "day": dates(30), "word": ["a"] * 30, "none": [np.nan] * 30,
            "far": [date(9999, 12, 31)] * 30, "stray": stray,
        }
    )  # fmt: skip
    with pytest.raises(StageError, match=told) as caught:
        windowed(table(frame), Window(**window))
    assert caught.value.reason == reason


def test_an_empty_table_says_so() -> None:
    empty = Table(pd.DataFrame({"x": []}), {"x": "empty"}, ("a.csv",), (0,))
    with pytest.raises(StageError, match="0 of 0 rows"):
        windowed(empty, Window(rows=20))


def test_a_run_divides_the_window_only_and_says_so(tmp_path: Path) -> None:
    """An abrupt change: with the rows of before, no model of the rows of today could be learnt."""
    (tmp_path / "rows").mkdir()
    x = np.arange(200.0)
    frame = pd.DataFrame({"x": x, "year": x // 20, "y": np.where(x < 140, x, 5 - x)})
    frame.to_csv(tmp_path / "rows" / "a.csv", index=False)
    data = Data(f"file://{tmp_path}/rows/", "csv", "y", exclude=("year",), window=Window(column="year", last="3"))
    where = folders(tmp_path / "work")
    spec = spec_of(str(tmp_path), data=data)
    facts = fetch(spec, where)
    rows = pd.concat([pd.read_csv(where.train("csv")), pd.read_csv(where.held_out("csv"))[["x", "y"]]])
    assert sorted(rows["x"]) == list(np.arange(140.0, 200.0))
    assert facts.window == "the rows with year above 6 (the last 3): 60 of 200 rows"
    assert facts.notes == (f"data.window keeps {facts.window}",)
    assert facts.told().window == facts.window
    assert read_facts(where.snapshot) == facts
    assert lineage(spec, facts, "2026-01-31T12:00:00Z", "")["window"] == facts.window
    # The digest is that of the objects: the same data in another window are not another data set.
    assert fetch(spec_of(str(tmp_path), data=Data(data.uri, "csv", "y")), where).digest == facts.digest
