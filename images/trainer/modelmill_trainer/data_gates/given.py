"""Columns against those that `data.schema.columns` gives."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pandas as pd

from modelmill.contracts.artifact import category_text
from modelmill.contracts.data import Schema, SchemaColumn
from modelmill_trainer.data_gates.finding import Finding, called, finding
from modelmill_trainer.data_gates.summary import dates_of
from modelmill_trainer.kinds import DATE, EMPTY, NUMBER, TEXT, first_bad_number
from modelmill_trainer.ordering import unmarked
from modelmill_trainer.tables import Table

WORDS = {
    "MissingColumn": (
        "columns are missing that data.schema.columns requires",
        "bring them back, or say required: false",
    ),
    "WrongType": ("columns are not of the type that data.schema.columns gives", "correct the rows, or the schema"),
    "OutOfRange": (
        "numbers are outside of minimum and maximum of data.schema.columns",
        "correct the rows, or the schema",
    ),
    "Categories": ("values are none of the categories of data.schema.columns", "correct the rows, or the schema"),
    "MissingValues": (
        "more values are missing than maxMissingRatio of data.schema.columns",
        "fill them in, or allow it",
    ),
}


def compare_given(table: Table, schema: Schema, known: Collection[str]) -> list[Finding]:
    """Return what breaks the schema. known: columns that it need not name, the target and those that are excluded."""
    broken: dict[str, list[tuple[str, str]]] = {gate: [] for gate in WORDS}
    for column in schema.columns:
        for gate, words in _broken(table, column):
            broken[gate].append((column.name, words))
    found = []
    for gate, told in broken.items():
        begin, mend = WORDS[gate]
        found += finding(gate, begin, told, mend, stops=True)
    if schema.columns and schema.unexpected == "Reject":
        named = {column.name for column in schema.columns} | set(known)
        others = [(str(name), "") for name in table.frame.columns if name not in named and table.kinds[name] != EMPTY]
        begin, mend = "columns are not in data.schema.columns", "add them there, or say unexpected: Allow"
        found += finding("UnexpectedColumn", begin, others, mend, stops=True)
    return found


def _broken(table: Table, column: SchemaColumn) -> Iterator[tuple[str, str]]:
    """Yield each gate that a column does not pass, with what is to be said."""
    name = column.name
    if name not in table.frame.columns:
        if column.required:
            yield "MissingColumn", ""
        return
    kind, values = table.kinds[name], table.frame[name]
    share = float(values.isna().mean()) if len(values) else 0.0
    most = column.max_missing_ratio
    if most is not None and share > most:
        yield "MissingValues", f"{share:.1%} (at most {most:.1%})"
    elif most is None and kind == EMPTY and column.required:
        yield "MissingValues", "in every row"
    if kind == EMPTY:
        return
    if column.type and not _has_type(table, name, column.type):
        yield "WrongType", f"({kind}{_example(table, name, column.type)}, wanted {column.type})"
        return
    if kind == NUMBER:
        outside = _outside(values, column)
        if outside.any():
            row = int(outside.index[outside.to_numpy()][0])
            yield "OutOfRange", f"{int(outside.sum())} rows, {values.loc[row]:.6g} in {called(table.where(row))}"
    if column.categories:
        texts = values.dropna().map(_text)
        others = texts[~texts.isin(list(column.categories))]
        if len(others):
            row = int(others.index[0])
            yield "Categories", f"{len(others)} rows, {called(others.iloc[0])} in {called(table.where(row))}"


def _has_type(table: Table, name: str, wanted: str) -> bool:
    kind = table.kinds[name]
    if wanted == DATE:
        return kind == DATE or dates_of(table, name) is not None
    return kind == wanted


def _example(table: Table, name: str, wanted: str) -> str:
    """Return a text among numbers and where it stands."""
    bad = first_bad_number(unmarked(table, name)) if wanted == NUMBER and table.kinds[name] == TEXT else None
    return f": {called(str(bad[2]))} in {called(table.where(bad[1]))}" if bad is not None else ""


def _outside(values: pd.Series, column: SchemaColumn) -> pd.Series:
    """Return, for each row, whether its number is outside of the bounds; a missing one is not."""
    outside = pd.Series(False, index=values.index)
    if column.minimum is not None:
        outside |= values < column.minimum
    if column.maximum is not None:
        outside |= values > column.maximum
    return outside


def _text(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else category_text(value)
