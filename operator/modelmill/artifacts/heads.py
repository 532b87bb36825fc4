"""What the files of boosters say about the model beside its trees: names, classes, categories."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

UNSEEN, UNSEEN_MISSING = "modelmill.unseen", "missing"
"""An attribute of an XGBoost model, and its value where a category that training did not see counts as missing."""
UNNAMED = "Column_"  # + index: how LightGBM calls the features of an array
Categories = Sequence[str | int | float | bool] | None
"""The categories of one feature in the order of their codes; None where the file holds none."""


@dataclass(slots=True)
class Head:
    """What a LightGBM file says about itself. outputs: numbers per row; classes: 0 for a regressor.

    ranges: the least and the greatest value of each feature in training; None of a categorical one, and of one without a use.
    """

    names: list[str] = field(default_factory=list)
    outputs: int = 1
    classes: int = 0
    categorical: list[int] = field(default_factory=list)
    stored: list[list[Any]] = field(default_factory=list)
    ranges: list[tuple[float, float] | None] = field(default_factory=list)

    def categories(self) -> list[Categories]:
        """Return each feature's categories in the order of their codes, where the file holds them."""
        by_feature: list[Categories] = [None] * len(self.names)
        # Each categorical column of a data frame has its list; columns that were declared otherwise have none.
        if len(self.stored) == len(self.categorical):
            for place, values in zip(self.categorical, self.stored, strict=True):
                by_feature[place] = values
        return by_feature


def read_lightgbm(path: Path) -> Head:
    """Return what the lines beside the trees say. Raises ValueError when the file is no LightGBM model."""
    head, begun = Head(), False
    with path.open(encoding="utf-8") as stream:
        if stream.readline().strip() != "tree":
            raise ValueError("the file is no LightGBM model in text form")
        for line in stream:
            key, _, value = line.rstrip("\n").partition("=")
            begun = begun or key == "Tree"
            if begun:
                # Behind the trees a feature may be called as a line of the header is.
                key = ""
            if key == "feature_names":
                head.names = value.split(" ")
            elif key == "feature_infos":
                head.ranges = [_range(info) for info in value.split(" ")]
            elif key == "num_tree_per_iteration":
                head.outputs = int(value)
            elif key == "objective":
                objective = value.partition(" ")[0]
                head.classes = {"binary": 2}.get(objective, head.outputs if objective.startswith("multiclass") else 0)
            elif line.startswith("[categorical_feature: "):
                listed = line.strip()[len("[categorical_feature: ") : -1]
                head.categorical = [int(place) for place in listed.split(",") if place]
            elif line.startswith("pandas_categorical:"):
                head.stored = json.loads(line.partition(":")[2]) or []
    return head


def _range(info: str) -> tuple[float, float] | None:
    """Return the bounds in `[low:high]`; a categorical feature has its codes there, and one without a use `none`."""
    low, colon, high = info.strip("[]").partition(":")
    if not (info.startswith("[") and colon):
        return None
    bounds = float(low), float(high)
    return bounds if all(map(math.isfinite, bounds)) and bounds[0] <= bounds[1] else None


def xgboost_categories(values: Sequence[int], offsets: Sequence[int] | None) -> Categories:
    """Return one feature's categories as XGBoost 3.1 stores them: numbers, or signed bytes of UTF-8 texts with their ends."""
    if not values and not offsets:
        return None
    if offsets is None:
        return values
    content = bytes(value & 0xFF for value in values)
    return [content[begin:end].decode("utf-8", "replace") for begin, end in pairwise(offsets)]
