"""Categories of a booster: values become their place among the categories that the model's file holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelmill.artifacts.heads import Categories
from modelmill_server.engines.engine import unloadable
from modelmill_server.queries.columns import TEXT, Column, Feature, RejectedError, bad

SHOWN = 20  # categories in an error


class Coder:
    """Replaces the columns of categorical features by their codes.

    unseen: the code of a value that is no category; None when such a value is refused.
    """

    def __init__(
        self, file: str, features: tuple[Feature, ...], categories: Sequence[Categories], unseen: float | None
    ) -> None:
        """Raises StartError (ModelLoadFailed) naming a feature of text that has no categories of text."""
        self._tables: list[tuple[Feature, dict[Any, float]]] = []
        self._unseen = unseen
        for feature, known in zip(features, categories, strict=True):
            spoken = known is not None and all(isinstance(value, str) for value in known)
            if feature.family == TEXT and not spoken:
                raise unloadable(
                    f"input {feature.name!r} is text and {file} holds no categories of text for it: train on a data frame "
                    "whose column is of pandas' type category, or encode the text before"
                )
            if known is not None:
                self._tables.append(
                    (feature, {None: np.nan, **{value: float(code) for code, value in enumerate(known)}})
                )

    def coded(self, columns: list[Column]) -> list[Column]:
        """Return the columns as numbers, NaN where missing. Raises RejectedError naming the feature, the value and its row."""
        if not self._tables:
            return columns
        columns = list(columns)
        for feature, table in self._tables:
            values = columns[feature.index]
            if feature.family != TEXT:
                values = [None if value != value else value for value in values]
            codes = [table.get(value, self._unseen) for value in values]
            if None in codes:
                row = codes.index(None)
                raise _unknown(feature, values[row], row, [value for value in table if value is not None])
            columns[feature.index] = codes
        return columns


def _unknown(feature: Feature, value: Any, row: int, known: list[Any]) -> RejectedError:
    listed = ", ".join(map(repr, known[:SHOWN])) + (" and others" if len(known) > SHOWN else "")
    message = f"input {feature.name!r} is {str(value)[:100]!r} at row {row}: the model knows {listed}"
    return bad(message, feature.name, "range")


def require_names(file: str, features: tuple[Feature, ...], names: Sequence[str]) -> None:
    """Raise StartError (ModelLoadFailed) naming the first feature that the file has by another name, or in another place."""
    for feature, name in zip(features, names, strict=False):
        # LightGBM has no spaces in its names.
        if name not in (feature.name, feature.name.replace(" ", "_")):
            raise unloadable(
                f"feature {feature.index} is {feature.name!r} in the manifest's signature and {name!r} in {file}"
            )


def require_count(file: str, features: tuple[Feature, ...], count: int) -> None:
    """Raise StartError (ModelLoadFailed) when the model takes another number of features."""
    if count != len(features):
        raise unloadable(f"{file} takes {count} features, the manifest's signature has {len(features)}")
