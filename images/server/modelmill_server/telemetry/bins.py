"""The bins that drift is computed from: a few list increments for each row."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import Any

import numpy as np

from modelmill.contracts import names
from modelmill.contracts.artifact import CATEGORICAL, FeatureProfile, category_text
from modelmill_server.queries.columns import VECTOR_ROWS, Column


class BinCounter:
    """Counts values of one feature, or of the prediction, by the bins of its profile."""

    def __init__(self, profile: FeatureProfile) -> None:
        self.bins = tuple(profile.bins())
        self.counts = [0] * len(self.bins)
        self._edges = profile.edges
        self._edge_array = np.array(profile.edges, np.float64)
        self._categorical = profile.kind == CATEGORICAL
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
        counts = self.counts
        if self._categorical:
            self._add_categories(values.tolist() if isinstance(values, np.ndarray) else values)
        elif len(values) < VECTOR_ROWS:
            edges = self._edges
            for value in values:
                if value is None or value != value:
                    counts[self._missing] += 1
                else:
                    counts[bisect_right(edges, value)] += 1
        else:
            array = np.array(values, np.float64)
            missing = np.isnan(array)
            lost = int(missing.sum())
            if lost:
                counts[self._missing] += lost
                array = array[~missing]
            by_bin = np.bincount(np.searchsorted(self._edge_array, array, side="right"))
            for index, times in enumerate(by_bin.tolist()):
                counts[index] += times

    def _add_categories(self, values: list[Any]) -> None:
        counts = self.counts
        for value, times in Counter(values).items() if len(values) > 1 else ((values[0], 1),):
            if value is None or value != value:
                counts[self._missing] += times
            elif value is True or value is False:
                counts[self._truth[value]] += times
            else:
                counts[self._known.get(str(value), self._other)] += times
