"""Columns that say how new a row is: dates, or numbers such as a year or a counter."""

from __future__ import annotations

import numpy as np
import pandas as pd

from modelmill_trainer.failure import rejected
from modelmill_trainer.kinds import BOOLEAN, DATE, NUMBER, TEXT
from modelmill_trainer.tables import Table


def unmarked(table: Table, name: str) -> pd.Series:
    """Return a column for a look at its numbers or dates: beside those, NA and the like are missing, not a mistake."""
    return table.frame[name].mask(table.frame[name].isin(list(table.marks.get(name, ()))))


def ordered(table: Table, name: str, field: str) -> pd.Series:
    """Return a column's values as they are to be compared: text is read as dates of ISO 8601.

    Raises StageError (ColumnInvalid) naming the `field` that asks for the column.
    """
    kind = table.kinds[name]
    if kind == TEXT:
        try:
            return pd.to_datetime(unmarked(table, name), format="ISO8601", utc=True)
        except ValueError as error:
            raise rejected(
                "ColumnInvalid", f"{field} {name!r} must have numbers or dates like 2026-01-31: {error}"
            ) from None
    if kind not in (NUMBER, BOOLEAN, DATE):
        raise rejected("ColumnInvalid", f"{field} {name!r} has no values to order the rows by")
    return table.frame[name]


def moments(values: pd.Series) -> np.ndarray:
    """Return dates and times as datetime64[us] of UTC, NaT where missing: in nanoseconds only three centuries can be compared.

    Raises ValueError, TypeError or OverflowError for what is none, or lies outside of the years 1677 to 2262.
    """
    found: np.ndarray = pd.to_datetime(values, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]")
    return found


def ranks(values: pd.Series) -> pd.Series:
    """Return the rank of each value among the different ones, from 1; missing ones come first, as the oldest."""
    return values.rank(method="dense", na_option="top")
