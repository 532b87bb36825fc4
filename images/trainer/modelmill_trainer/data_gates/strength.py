"""How much of the target a single column says: for a target that one column gives away, and for a column that says no more."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pandas as pd

from modelmill_trainer.kinds import BOOLEAN, NUMBER

MAX_ROWS: Final = 20_000
MIN_ROWS: Final = 100
"""With fewer rows, bins of ten would be too few to tell a column that gives the target away from a good one."""
MAX_BINS: Final = 64
MAX_CLASSES: Final = 20


class Target:
    """The target of some rows, in the form in which columns are asked about it.

    Numbers count by their ranks, so that no outlier decides; labels, and numbers of which few differ, by classes. Of many rows
    evenly spaced ones are asked.
    """

    def __init__(self, column: pd.Series, kind: str) -> None:
        present = np.flatnonzero(column.notna().to_numpy())
        self.rows = present[np.linspace(0, len(present) - 1, min(len(present), MAX_ROWS)).astype(int)]
        values = column.iloc[self.rows]
        codes, different = pd.factorize(values)
        if kind in (NUMBER, BOOLEAN) and len(different) > MAX_CLASSES:
            self.wanted = (values.rank().to_numpy("float64") / max(1, len(values)))[:, None]
        else:
            frequent = np.argsort(-np.bincount(codes, minlength=1), kind="stable")[:MAX_CLASSES]
            self.wanted = (codes[:, None] == frequent[None, :]).astype("float64")
        self.half = np.arange(len(values)) % 2

    def strength(self, column: pd.Series, kind: str) -> tuple[float, float] | None:
        """Return the share of the target's variance that the column says by itself, 0 to 1, and its standard error.

        The column is cut into bins (its values, or as many quantiles as the root of the rows), and each half of the rows is
        predicted by the means of the other half's bins: R2 for numbers, Goodman and Kruskal's tau for classes ("Measures of
        association for cross classifications", JASA 49, 1954), without the reward for values that only differ. The error is
        that of a ratio of two means over rows (Cochran, Sampling Techniques, 6.3). None for too few rows.
        """
        if len(self.rows) < MIN_ROWS:
            return None
        bins = _bins(column, kind, self.rows)
        count = int(bins.max()) + 1
        left = np.zeros(len(bins))
        for half in (0, 1):
            known, asked = self.half == half, self.half != half
            rows = np.bincount(bins[known], minlength=count)
            for wanted in self.wanted.T:
                sums = np.bincount(bins[known], weights=wanted[known], minlength=count)
                means = np.where(rows > 0, sums / np.maximum(rows, 1), wanted[known].mean())
                left[asked] += (wanted[asked] - means[bins[asked]]) ** 2
        total = ((self.wanted - self.wanted.mean(axis=0)) ** 2).sum(axis=1)
        if not total.any():
            return None
        share = float(left.mean() / total.mean())
        error = float((left - share * total).std() / total.mean() / math.sqrt(len(bins)))
        return round(min(1.0, max(0.0, 1.0 - share)), 4), round(error, 4)


def _bins(column: pd.Series, kind: str, rows: np.ndarray) -> np.ndarray:
    """Return the bin of each of the rows, from 0; missing values have their own."""
    if kind in (NUMBER, BOOLEAN):
        values = column.to_numpy("float64", na_value=np.nan)[rows]
        present = values[~np.isnan(values)]
        wanted = min(MAX_BINS, max(2, int(math.sqrt(len(values)))))
        different = np.unique(present)
        if len(different) > wanted:
            different = np.unique(np.quantile(present, np.linspace(0, 1, wanted + 1)[1:-1], method="nearest"))
        bins = np.searchsorted(different, values, side="right")
        return np.where(np.isnan(values), len(different) + 1, bins)
    codes, _ = pd.factorize(column.iloc[rows].astype(object))
    counts = np.bincount(codes[codes >= 0], minlength=1)
    place = np.full(len(counts) + 1, MAX_BINS)
    frequent = np.argsort(-counts, kind="stable")[:MAX_BINS]
    place[frequent] = np.arange(len(frequent))
    place[-1] = MAX_BINS + 1  # of the code -1, a missing value
    found: np.ndarray = place[codes]
    return found
