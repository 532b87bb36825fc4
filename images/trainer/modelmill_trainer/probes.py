"""Rows as a request may bring them and the data does not: gaps, new and empty text, other numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from modelmill_trainer.decimals import decimal
from modelmill_trainer.kinds import TEXT

ROWS = 100
BETWEEN_ROWS = 1000  # of all columns: where trees split is where conversions err, and each split is another place
HUGE = 1e6
NEW_TEXT = "a text that no row has"


def probes(frame: pd.DataFrame, kinds: dict[str, str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (what is special about them, rows of the form of `frame`), at most `ROWS` each, and up to `BETWEEN_ROWS` between.

    Gaps only in columns that have some, since a server refuses them elsewhere.
    """
    places = np.unique(np.linspace(0, len(frame) - 1, ROWS).round().astype(int))
    base = frame.iloc[places].reset_index(drop=True)
    texts = [str(name) for name in frame.columns if kinds[str(name)] == TEXT]
    numbers = [str(name) for name in frame.columns if str(name) not in texts]
    gaps = [str(name) for name in frame.columns if frame[name].isna().any()]
    if gaps:
        yield "with more gaps", _changed(base, gaps, lambda _: np.nan)
    if texts:
        yield "with text that is new", _changed(base, texts, lambda _: NEW_TEXT)
        yield "with empty text", _changed(base, texts, lambda _: "")
    if numbers:
        many = base.iloc[np.arange(min(ROWS * len(numbers), BETWEEN_ROWS)) % len(base)].reset_index(drop=True)
        yield "with numbers between those known", _changed(many, numbers, lambda name: _between(frame[name], len(many)))
        yield "with greater numbers", _changed(base, numbers, lambda name: frame[name].max() + _reach(frame[name]))
        yield "with smaller numbers", _changed(base, numbers, lambda name: frame[name].min() - _reach(frame[name]))
        yield "with huge numbers", _changed(base, numbers, lambda name: base[name] * HUGE)


def _changed(base: pd.DataFrame, columns: list[str], value: Callable[[str], Any]) -> pd.DataFrame:
    """Return `base` with another value in one of the columns of each row, in turn."""
    made = base.copy()
    for place, name in enumerate(columns):
        changed = pd.Series(value(name), index=base.index, dtype=base[name].dtype)
        made.loc[place :: len(columns), name] = changed[place :: len(columns)]
    return made


def _between(column: pd.Series, rows: int) -> np.ndarray:
    """Return numbers half-way between neighbours, where trees split, as a request would write them."""
    known = np.unique(column.dropna().to_numpy())
    halves = (known[1:] + known[:-1]) / 2 if len(known) > 1 else known
    written = np.array([decimal(float(half)) for half in halves])
    found: np.ndarray = written[np.linspace(0, len(halves) - 1, rows).round().astype(int)]
    return found


def _reach(column: pd.Series) -> float:
    return 0.5 * float(column.max() - column.min())
