"""What is counted of values: the bins that drift is computed from, and of numbers how large they are.

A few list increments for each value of a short column; numpy for a long one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from math import log10
from typing import Any

import numpy as np

from modelmill.contracts import names
from modelmill.contracts.artifact import (
    CATEGORICAL,
    MAGNITUDE_MOST,
    MAGNITUDE_ZERO,
    NUMERIC,
    TEXT,
    FeatureProfile,
    category_text,
)
from modelmill_server.queries.columns import VECTOR_ROWS, Column


class BinCounter:
    """Counts values of one feature, or of the prediction, by the bins of its profile."""

    def __init__(self, profile: FeatureProfile) -> None:
        self.bins = tuple(profile.bins())
        self.counts = [0] * len(self.bins)
        self._edges = profile.edges
        self._edge_array = np.array(profile.edges, np.float64)
        self._categorical = profile.kind == CATEGORICAL
        self._text = profile.kind == TEXT
        self._place = {name: index for index, name in enumerate(self.bins)}
        self._missing = self._place[names.BIN_MISSING]
        self._other = self._place.get(names.BIN_OTHER, 0)
        self._known = known = dict(zip(profile.categories, range(len(profile.categories)), strict=True))
        # Truth values are `true` and `false`; profiles of older artifacts have them as Python writes them.
        self._truth = {
            value: known.get(category_text(value), known.get(str(value), self._other)) for value in (False, True)
        }

    def add(self, values: Column) -> None:
        """Count every value; None and NaN are missing."""
        if self._categorical:
            self._add_categories(values.tolist() if isinstance(values, np.ndarray) else values)
            return
        if self._text:
            values = [None if value is None or value != value else len(category_text(value)) for value in values]
        if len(values) < VECTOR_ROWS:
            self._add_few(values)
        else:
            self._add_many(np.array(values, np.float64))

    def _add_few(self, values: Column) -> None:
        counts, edges = self.counts, self._edges
        for value in values:
            if value is None or value != value:
                counts[self._missing] += 1
            else:
                counts[bisect_right(edges, value)] += 1

    def _add_many(self, values: Any) -> None:
        self.add_array(values, int(np.count_nonzero(np.isnan(values))))

    def add_array(self, values: Any, missing: int) -> None:
        """Count the values of a float64 array by bin. missing: how many of them are NaN."""
        by_bin = np.bincount(np.searchsorted(self._edge_array, values, side="right"))
        for index, times in enumerate(by_bin.tolist()):
            self.counts[index] += times
        if missing:  # NaN is sorted behind all numbers
            self.counts[len(self._edges)] -= missing
            self.counts[self._missing] += missing

    def _add_categories(self, values: list[Any]) -> None:
        counts = self.counts
        for value, times in Counter(values).items() if len(values) > 1 else ((values[0], 1),):
            if value is None or value != value:
                counts[self._missing] += times
            elif value is True or value is False:
                counts[self._truth[value]] += times
            else:
                counts[self._known.get(str(value), self._other)] += times


class NumberCounter(BinCounter):
    """Counts numbers by bin, those outside of the range of training, and magnitudes.

    near, far: values outside of the range, far by more than its width: of a range without width every other value is far.
    range: least and greatest number of training.
    sizes, size_sum, square_sum: how many values other than 0 there were, and the sums of their magnitudes and of the squares.
    Truth values count as 0 and 1, -0.0 as 0; subnormal numbers have magnitude 0, infinite ones the greatest.
    """

    def __init__(self, profile: FeatureProfile, least: float, greatest: float) -> None:
        super().__init__(profile)
        self.range = least, greatest
        self._least, self._greatest = least, greatest
        self._width = greatest - least
        self.near = self.far = self.sizes = 0
        self.size_sum = self.square_sum = 0.0

    def _add_few(self, values: Column) -> None:
        counts, edges, least, greatest = self.counts, self._edges, self._least, self._greatest
        for value in values:
            if value is None or value != value:
                counts[self._missing] += 1
                continue
            counts[bisect_right(edges, value)] += 1
            if value:
                size = log10(abs(value)) + MAGNITUDE_ZERO
                if not 0.0 <= size <= MAGNITUDE_MOST:
                    size = min(max(size, 0.0), MAGNITUDE_MOST)
                self.sizes += 1
                self.size_sum += size
                self.square_sum += size * size
            if not least <= value <= greatest:
                self._add_outside(float(value))

    def _add_outside(self, value: float) -> None:
        # As a float, in which training saw it as well: it may be inside after all.
        beyond = max(self._least - value, value - self._greatest)
        if beyond > self._width:
            self.far += 1
        elif beyond > 0:
            self.near += 1

    def _add_many(self, values: Any) -> None:
        super()._add_many(values)
        _add_sizes([self], values[np.newaxis])


def add_numbers(counters: Sequence[NumberCounter], columns: Sequence[Column]) -> None:
    """Count long columns of numbers, all of one length: one after the other would cost several times as much."""
    block = np.array(columns, np.float64)
    missing = np.count_nonzero(np.isnan(block), axis=1).tolist()
    for counter, values, lost in zip(counters, block, missing, strict=True):
        counter.add_array(values, lost)
    _add_sizes(counters, block)


def _add_sizes(counters: Sequence[NumberCounter], block: Any) -> None:
    """Count what is outside of the ranges, and magnitudes. block: float64 [counters, values], NaN where missing."""
    ranges = np.array([one.range for one in counters])
    least, greatest = ranges[:, :1], ranges[:, 1:]
    with np.errstate(all="ignore"):
        beyond = np.maximum(least - block, block - greatest)
        far = np.count_nonzero(beyond > greatest - least, axis=1)
        outside = np.count_nonzero(beyond > 0.0, axis=1)
        # fmax takes 0 for what has no magnitude: the logarithms of 0, and of missing values.
        sizes = np.fmin(np.fmax(np.log10(np.abs(block)) + MAGNITUDE_ZERO, 0.0), MAGNITUDE_MOST)
        counted = np.count_nonzero(np.abs(block) > 0.0, axis=1)
    sums, squares = sizes.sum(axis=1), np.einsum("ij,ij->i", sizes, sizes)
    found = zip(
        counters, outside.tolist(), far.tolist(), counted.tolist(), sums.tolist(), squares.tolist(), strict=True
    )
    for counter, beyond_range, of_them_far, count, size_sum, square_sum in found:
        counter.near += beyond_range - of_them_far
        counter.far += of_them_far
        counter.sizes += count
        counter.size_sum += size_sum
        counter.square_sum += square_sum


def counter_of(profile: FeatureProfile) -> BinCounter:
    """Return what counts the values of a feature; by bins alone where the profile has no range, as those of older artifacts."""
    if profile.kind != NUMERIC or profile.least is None or profile.greatest is None:
        return BinCounter(profile)
    return NumberCounter(profile, float(profile.least), float(profile.greatest))
