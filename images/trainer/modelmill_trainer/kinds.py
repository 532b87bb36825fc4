"""What a column holds: numbers, truth values, text, dates or nothing."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from modelmill_trainer.failure import rejected

NUMBER, BOOLEAN, TEXT, DATE, EMPTY = "number", "boolean", "text", "date", "empty"


def kind_of(column: pd.Series, called: str) -> str:
    """Return the kind of a column. Raises StageError (ColumnInvalid), which names it as it is `called`."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if column.dtype.kind == "b":
        return BOOLEAN
    if column.dtype.kind == "M":
        return DATE
    if pd.api.types.is_numeric_dtype(column):
        return _number(column, called)
    present = column.dropna()
    types = {type(value) for value in present}
    if not types:
        return EMPTY
    if types <= {bool, np.bool_}:
        return BOOLEAN
    if all(issubclass(one, int | float | Decimal | np.number) and one is not bool for one in types):
        return _number(present.astype("float64"), called)
    if types == {str}:
        return TEXT
    if all(issubclass(one, date) for one in types):
        return DATE
    spoken = ", ".join(sorted(one.__name__ for one in types))
    raise rejected(
        "ColumnInvalid", f"{called} holds {spoken}: a column is all numbers, all text, all true or false, or all dates"
    )


def _number(column: pd.Series, called: str) -> str:
    values = column.to_numpy(dtype="float64", na_value=np.nan)
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise rejected("ColumnInvalid", f"{called} has {infinite} infinite values: correct them or leave them empty")
    return EMPTY if np.isnan(values).all() else NUMBER


def first_bad_number(column: pd.Series) -> tuple[float, int, Any] | None:
    """Return, for text, the share of present values that are numbers, the first row that is none, and its value.

    None when all are numbers or all are missing.
    """
    present = column.dropna()
    numbers = pd.to_numeric(present, errors="coerce")
    bad = present[numbers.isna()]
    if bad.empty:
        return None
    return 1.0 - len(bad) / len(present), int(bad.index[0]), bad.iloc[0]


def model_frame(frame: pd.DataFrame, features: list[str], kinds: dict[str, str]) -> pd.DataFrame:
    """Return the features as a model takes them: float64 (truth values as 0 and 1), or text; NaN where missing."""
    made = {}
    for name in features:
        column = frame[name]
        if kinds[name] in (NUMBER, BOOLEAN):
            made[name] = column.astype("float64")
        else:
            made[name] = column.astype(object).where(column.notna(), float("nan"))
    return pd.DataFrame(made, columns=features)


def target_values(column: pd.Series, kind: str) -> Any:
    """Return the target as an array: bool for truth values, int64 when all numbers are whole, else float64; or text."""
    if kind == BOOLEAN:
        return column.astype("float64").to_numpy().astype("bool")
    if kind == NUMBER:
        values = column.to_numpy(dtype="float64")
        return (
            values.astype("int64") if (np.abs(values) < 2**53).all() and (values == np.floor(values)).all() else values
        )
    return column.to_numpy(dtype=object)
