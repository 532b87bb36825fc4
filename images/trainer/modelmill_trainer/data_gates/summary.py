"""What the data of a run looked like, column by column: schema.json, which the next run compares its own data with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from modelmill.contracts.artifact import Manifest, category_text
from modelmill.contracts.documents import reading
from modelmill_trainer.data_gates.strength import Target
from modelmill_trainer.kinds import BOOLEAN, DATE, EMPTY, NUMBER, TEXT
from modelmill_trainer.ordering import moments, unmarked
from modelmill_trainer.tables import Table

VERSION: Final = 1
MAX_BYTES: Final = 16 << 20
MAX_CATEGORIES: Final = 200
"""Text with more different values, or longer ones than `MAX_CATEGORY`, has no categories: it is a name or free text."""
MAX_CATEGORY: Final = 200
SHARES: Final = (0.0, 0.01, *(round(0.05 * place, 2) for place in range(1, 20)), 0.99, 1.0)
KINDS: Final = frozenset({NUMBER, BOOLEAN, TEXT, DATE, EMPTY})
DATATYPES: Final = {"BYTES": TEXT, "BOOL": BOOLEAN}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. kind: of `kinds`. feature: whether the model might take it. missing: share of the rows without a value.

    quantiles: at `SHARES`, of numbers, and of dates in seconds since 1970; empty for others. below: share of the values below
    the median, those equal to it counted half. dated: whether the quantiles are dates, in a column of dates or of text.
    categories: rows by category; empty where there are too many or none. strength: how much of the target the column says
    (`strength.Target`), None where it is not known; error: its standard error.
    """

    kind: str
    feature: bool = False
    missing: float = 0.0
    quantiles: tuple[float, ...] = ()
    below: float = 0.0
    dated: bool = False
    categories: Mapping[str, int] = field(default_factory=dict)
    strength: float | None = None
    error: float = 0.0

    def quantile(self, share: float) -> float:
        """Return a quantile between those that are kept."""
        return float(np.interp(share, SHARES, self.quantiles))

    def share_above(self, value: float) -> float:
        """Return about which share of the values is above one of them."""
        return 1.0 - float(np.interp(value, self.quantiles, SHARES))


@dataclass(frozen=True, slots=True)
class Summary:
    """Data of a run. rows: with and without a target, in the window; 0 where only the columns are known.

    copies: share of the rows that are equal to an earlier one. target: its name; empty where it is not known.
    """

    rows: int
    copies: float
    target: str
    columns: Mapping[str, Column]
    v: int = VERSION

    def encode(self) -> bytes | None:
        """Return the content of schema.json; None when the names of the columns alone make it larger than `MAX_BYTES`."""
        content = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        return content if len(content) <= MAX_BYTES else None


def summary_of(table: Table, target: str, features: frozenset[str], copies: float) -> Summary:
    """Return the summary of the rows of a run. features: columns that the model might take."""
    asked = Target(table.frame[target], table.kinds[target])
    columns = {}
    for name in table.frame.columns:
        kind = table.kinds[name]
        used = name in features
        strength = asked.strength(table.frame[name], kind) if used and kind in (NUMBER, BOOLEAN, TEXT) else None
        column = _column(table, str(name), used or name == target, used)
        columns[str(name)] = (
            replace(column, strength=strength[0], error=strength[1]) if strength is not None else column
        )
    return Summary(len(table.frame), copies, target, columns)


def _column(table: Table, name: str, judged: bool, feature: bool) -> Column:
    values, kind = table.frame[name], table.kinds[name]
    if kind == NUMBER and judged:
        numbers = values.to_numpy("float64", na_value=np.nan)
        present = numbers[~np.isnan(numbers)]
        return Column(kind, feature, 1 - len(present) / len(numbers), *_quantiles(present))
    missing = float(values.isna().mean()) if len(values) else 0.0
    seconds = dates_of(table, name)
    if seconds is not None:
        return Column(kind, feature, missing, *_quantiles(seconds), dated=True)
    categories = categories_of(values) if judged and kind in (TEXT, BOOLEAN) else {}
    return Column(kind, feature, missing, categories=categories)


def _quantiles(values: np.ndarray) -> tuple[tuple[float, ...], float]:
    # Values that are there: those between might be more than a float can hold.
    found = np.quantile(values, SHARES, method="nearest")
    middle = float(found[len(SHARES) // 2])
    below = float((values < middle).mean() + (values == middle).mean() / 2)
    return tuple(found.tolist()), below


def categories_of(values: pd.Series) -> dict[str, int]:
    """Return how many rows have each category; nothing where there are too many or too long ones."""
    counts = values.value_counts()
    if len(counts) > MAX_CATEGORIES:
        return {}
    found = {category_text(value): int(count) for value, count in counts.items()}
    return found if all(len(text) <= MAX_CATEGORY for text in found) else {}


def dates_of(table: Table, name: str) -> np.ndarray | None:
    """Return the dates of a column in seconds since 1970, or None when it has none: text counts when all of it is ISO 8601."""
    kind = table.kinds[name]
    if kind not in (TEXT, DATE):
        return None
    values = table.frame[name]
    if kind == TEXT:
        first = values[values.first_valid_index()]
        if len(first) > 40 or not first[:4].isdigit() or first[4:5] != "-":
            return None
        values = unmarked(table, name)
    try:
        found = moments(pd.to_datetime(values, format="ISO8601", utc=True) if kind == TEXT else values)
    except (ValueError, TypeError, OverflowError):
        return None
    present = found[~np.isnat(found)]
    return present.astype("int64") / 1e6 if len(present) else None


def parse_summary(content: bytes) -> Summary:
    """Return what schema.json says. Raises ValueError: it comes from a store, where anybody may have written it."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    with reading():
        raw = json.loads(content)
        if raw["v"] != VERSION:
            raise ValueError("it is not version 1")
        columns = {name: _parsed(one) for name, one in raw["columns"].items()}
        rows, copies, target = raw["rows"], raw["copies"], raw["target"]
    if type(rows) is not int or rows < 0 or not isinstance(target, str) or not _is_share(copies):
        raise ValueError("its counts are none")
    return Summary(rows, copies, target, columns)


def _parsed(raw: Mapping[str, Any]) -> Column:
    column = Column(**{**raw, "quantiles": tuple(raw["quantiles"])})
    flags, shares = (column.feature, column.dated), (column.missing, column.below, column.strength or 0.0)
    if (
        not isinstance(column.kind, str)
        or column.kind not in KINDS
        or not all(isinstance(flag, bool) for flag in flags)
    ):
        raise ValueError("a column is of no known kind")
    if not all(_is_share(share) for share in shares) or not _is_number(column.error):
        raise ValueError("a share is none")
    if len(column.quantiles) not in (0, len(SHARES)) or not all(_is_number(value) for value in column.quantiles):
        raise ValueError("quantiles are none")
    if any(low > high for low, high in pairwise(column.quantiles)):
        raise ValueError("quantiles do not ascend")
    if not all(type(count) is int and count > 0 for count in column.categories.values()):
        raise ValueError("categories have no counts")
    return column


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def of_signature(manifest: Manifest) -> Summary:
    """Return what a manifest says about the data of its model: the columns that it takes and those that it does not."""
    known = {name: Column(EMPTY) for name in manifest.signature.ignored}
    taken = {one.name: Column(DATATYPES.get(one.datatype, NUMBER), True) for one in manifest.signature.inputs}
    return Summary(0, 0.0, "", known | taken)
