"""`data.window` of rows: the newest ones, by a column or by their place; older ones are as if they were not there.

Both measures are taken in the data themselves, so that the same objects give the same rows whenever they are read: `last` goes
back from the greatest value of its column, and not from today; `rows` counts back from the newest row.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import pandas as pd

from modelmill.contracts.data import Window, span
from modelmill_trainer.dataset import MIN_TRAIN_ROWS
from modelmill_trainer.failure import StageError, meant, rejected
from modelmill_trainer.kinds import EMPTY
from modelmill_trainer.ordering import moments, ordered, ranks
from modelmill_trainer.tables import Table

COLUMN: Final = "data.window.column"


def windowed(table: Table, window: Window | None) -> tuple[Table, str]:
    """Return the rows in the window and, for people, which these are; without a window of rows all of them and an empty text.

    Rows stay in their order. `rows` takes of equal values those that come later in the data, as strategy Latest does; objects
    are in the order of their names. `last` takes what is greater than the greatest value less the span, so that 5 takes five
    years of whole numbers. A row without a value is the oldest. Raises StageError naming the field: ColumnMissing,
    ColumnInvalid, TooFewRows.
    """
    if window is None or window.objects_newer_than is not None:
        return table, ""
    count = len(table.frame)
    kept, told = _kept(table, window)
    taken = int(kept.sum())
    told = f"{told}: {taken} of {count} rows"
    if taken < MIN_TRAIN_ROWS:
        raise rejected(
            "TooFewRows", f"data.window keeps {told}, and at least {MIN_TRAIN_ROWS} are needed: widen it, or add data"
        )
    return _rows(table, kept), told


def _kept(table: Table, window: Window) -> tuple[np.ndarray, str]:
    """Return, for each row, whether it is in the window, and the window in words."""
    count = len(table.frame)
    if window.column is None:
        if window.rows is None:
            raise StageError("SpecInvalid", "data.window.last needs data.window.column: name the column to go by")
        return np.arange(count) >= count - window.rows, "the last rows in the order of the objects"
    if window.column not in table.frame.columns:
        columns = [str(name) for name in table.frame.columns]
        raise rejected(
            "ColumnMissing", f"{COLUMN} {window.column!r} is not a column of the data; {meant(window.column, columns)}"
        )
    values = ordered(table, window.column, COLUMN)
    if window.rows is not None:
        kept = np.zeros(count, np.bool_)
        kept[np.argsort(ranks(values).to_numpy(), kind="stable")[max(0, count - window.rows) :]] = True
        return kept, f"the rows with the greatest {window.column}"
    return _last(values, window.column, str(window.last))


def _last(values: pd.Series, column: str, text: str) -> tuple[np.ndarray, str]:
    try:
        length, timed = span(text)
    except ValueError:
        raise StageError("SpecInvalid", f"data.window.last is {text!r}: write a span like 30d, or a number") from None
    dated = not pd.api.types.is_numeric_dtype(values) and values.dtype.kind != "b"
    if dated != timed:
        holds, mend = ("dates", "a span of time like 30d") if dated else ("numbers", "a number without a unit")
        raise rejected(
            "ColumnInvalid", f"data.window.last is {text!r}, and {COLUMN} {column!r} has {holds}: use {mend}"
        )
    if not dated:
        numbers = values.to_numpy("float64", na_value=np.nan)
        bound = np.nanmax(numbers) - length
        return numbers > bound, f"the rows with {column} above {bound:g} (the last {text})"
    try:
        found = moments(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise rejected("ColumnInvalid", f"{COLUMN} {column!r} must have dates like 2026-01-31: {error}") from None
    newest = found[~np.isnat(found)].max()
    shown = np.datetime_as_string(newest, "s")
    return (newest - found) / np.timedelta64(1, "s") < length, f"the rows with {column} in the {text} up to {shown}"


def _rows(table: Table, kept: np.ndarray) -> Table:
    """Return a table of some rows, which keep their places in the objects; a column may have no value in them."""
    frame = table.frame[kept]
    kinds = {name: kind if frame[name].notna().any() else EMPTY for name, kind in table.kinds.items()}
    marks = {name: Counter(frame[name][frame[name].isin(list(texts))].tolist()) for name, texts in table.marks.items()}
    return Table(frame, kinds, table.sources, table.starts, {name: texts for name, texts in marks.items() if texts})
