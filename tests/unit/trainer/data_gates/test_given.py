"""Columns against those that data.schema gives."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts.data import Schema, SchemaColumn
from modelmill.contracts.stage import Data
from modelmill_trainer.data_gates.examine import Reference, examine
from modelmill_trainer.data_gates.given import compare_given
from modelmill_trainer.data_gates.summary import Column, Summary
from modelmill_trainer.kinds import kind_of
from modelmill_trainer.tables import Table

COUNT = 40


def table(**changes: Any) -> Table:
    columns: dict[str, Any] = {
        "power": np.arange(float(COUNT)), "origin": ["USA", "Japan"] * (COUNT // 2), "sold": ["2026-01-31"] * COUNT,
        "day": [date(2026, 1, 31)] * COUNT, "used": [True, False] * (COUNT // 2), "empty": [np.nan] * COUNT,
        "y": np.arange(float(COUNT)),
    }  # fmt: skip
    frame = pd.DataFrame({name: values for name, values in (columns | changes).items() if values is not None})
    return Table(
        frame, {name: kind_of(frame[name], name) for name in frame.columns}, ("a.csv", "b.csv"), (0, COUNT // 2)
    )


def told(found: Table, column: SchemaColumn, **schema: Any) -> list[str]:
    return [one.text for one in compare_given(found, Schema((column,), "Allow", **schema), ("y",))]


@pytest.mark.parametrize(
    "column",
    [
        SchemaColumn("power", "number", 0, COUNT - 1, max_missing_ratio=0.0),
        SchemaColumn("origin", "text", categories=("USA", "Japan", "Europe")),
        SchemaColumn("sold", "date"),
        SchemaColumn("sold", "text"),
        SchemaColumn("day", "date"),
        SchemaColumn("used", "boolean", categories=("true", "false")),
        SchemaColumn("power", categories=tuple(str(number) for number in range(COUNT))),
        SchemaColumn("nowhere", required=False),
        SchemaColumn("empty", "number", max_missing_ratio=1.0),
        SchemaColumn("empty", "number", required=False),
    ],
    ids=lambda one: f"{one.name}-{one.type}",
)
def test_what_keeps_the_schema_passes(column: SchemaColumn) -> None:
    assert told(table(), column) == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (SchemaColumn("nowhere"), "columns are missing that data.schema.columns requires: nowhere; bring them back"),
        (SchemaColumn("power", minimum=5), "minimum and maximum of data.schema.columns: power 5 rows, 0 in a.csv, data row 1"),
        (SchemaColumn("power", maximum=30), "power 9 rows, 31 in b.csv, data row 12"),
        (SchemaColumn("origin", categories=("USA",)), "origin 20 rows, Japan in a.csv, data row 2"),
        (SchemaColumn("power", categories=("1",)), "power 39 rows, 0 in a.csv"),
        (SchemaColumn("origin", "number"), "origin (text: USA in a.csv, data row 1, wanted number)"),
        (SchemaColumn("origin", "date"), "origin (text, wanted date)"),
        (SchemaColumn("power", "boolean"), "power (number, wanted boolean)"),
        (SchemaColumn("day", "text"), "day (date, wanted text)"),
        (SchemaColumn("empty", "number"), "empty in every row"),
        (SchemaColumn("empty", max_missing_ratio=0.5), "empty 100.0% (at most 50.0%)"),
    ],
    ids=lambda one: f"{one.name}-{one.type}" if isinstance(one, SchemaColumn) else "",
)  # fmt: skip
def test_what_breaks_the_schema_is_told_with_its_place(column: SchemaColumn, words: str) -> None:
    (text,) = told(table(), column)
    assert words in text


def test_missing_values_are_no_others_than_told() -> None:
    power = np.arange(float(COUNT))
    power[:3] = np.nan
    column = SchemaColumn("power", "number", 3, COUNT, categories=(), max_missing_ratio=0.05)
    assert told(table(power=power), column) == [
        "more values are missing than maxMissingRatio of data.schema.columns: power 7.5% (at most 5.0%); fill them in, or "
        "allow it"
    ]


def test_features_that_are_not_expected_are_told_where_that_is_asked() -> None:
    schema = Schema((SchemaColumn("power"),), "Reject")
    (one,) = compare_given(table(), schema, ("y", "sold", "day"))
    assert (one.gate, one.columns, one.stops) == ("UnexpectedColumn", ("origin", "used"), True)
    assert compare_given(table(), Schema((), "Reject"), ()) == []


def reference() -> Reference:
    columns = {"power": Column("number", True), "weight": Column("number", True), "y": Column("number")}
    return Reference("v-1", frozenset({"power", "weight"}), Summary(COUNT, 0.0, "y", columns))


def verdicts(schema: Schema | None, **changes: Any) -> dict[str, bool]:
    data = Data("", "csv", "y", exclude=("sold", "day"), schema=schema)
    seen = examine(table(empty=None, **changes), data, 0.0, reference())
    return {one.gate: one.stops for one in seen.findings}


def test_given_columns_decide_and_what_differs_from_the_last_version_is_told() -> None:
    missing = {"MissingColumn": True, "UnexpectedColumn": True}
    assert verdicts(None) == missing
    assert verdicts(Schema()) == missing
    assert verdicts(Schema(on_violation="Warn")) == dict.fromkeys(missing, False)
    assert verdicts(Schema(unexpected="Allow")) == {"MissingColumn": True}
    given = (SchemaColumn("power"),)
    assert verdicts(Schema(given, "Allow")) == {"MissingColumn": False}
    assert verdicts(Schema((SchemaColumn("power", maximum=3),), "Allow")) == {
        "OutOfRange": True,
        "MissingColumn": False,
    }
