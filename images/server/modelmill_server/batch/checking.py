"""Which rows of a block the model takes: every value is judged as the server judges those of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelmill_server.batch.rows import Block
from modelmill_server.queries.columns import Column, Feature, RejectedError, from_array, from_python

AT_ROW = " at row 0"


@dataclass(slots=True)
class Refusal:
    """A row that the model does not take. column: empty where it is not about one. reason: as the server counts it."""

    row: int
    column: str
    reason: str
    message: str


@dataclass(slots=True)
class Checked:
    """The columns of the rows that are taken, in the signature's order, and the places of those rows in their block."""

    columns: list[Column]
    places: Sequence[int]
    refused: list[Refusal] = field(default_factory=list)


def checked(block: Block, features: Sequence[Feature]) -> Checked:
    """Return the rows that are taken. The rows have every feature that may not be missing."""
    rows = len(block.numbers)
    refused = [Refusal(one.row, "", "shape", one.why) for one in block.unreadable]
    given = [block.values(feature) for feature in features]
    wrong: dict[int, Refusal] = {}
    columns: list[Column] = []
    for feature, values in zip(features, given, strict=True):
        try:
            columns.append(_typed(feature, [None] * rows if values is None else values))
        except RejectedError:
            for place, refusal in _wrong(feature, values, block.numbers):
                wrong.setdefault(place, refusal)
    if not wrong:
        return Checked(columns, range(rows), refused)
    places = [place for place in range(rows) if place not in wrong]
    refused += wrong.values()
    taken = [
        _typed(feature, [None] * len(places) if values is None else chosen(values, places))
        for feature, values in zip(features, given, strict=True)
    ]
    return Checked(taken, places, sorted(refused, key=lambda one: one.row))


def chosen(values: Column, places: Sequence[int]) -> Column:
    """Return the values at those places."""
    if isinstance(values, np.ndarray):
        return values[np.asarray(places, np.intp)]
    return [values[place] for place in places]


def refusal_of(error: Exception, row: int) -> Refusal:
    """Return why a row of its own was refused."""
    if isinstance(error, RejectedError):
        return Refusal(row, error.feature or "", error.reason or "model", error.message.replace(AT_ROW, ""))
    return Refusal(row, "", "model", f"the model fails: {type(error).__name__}: {error}"[:500])


def _typed(feature: Feature, values: Column) -> Column:
    if isinstance(values, np.ndarray):
        return from_array(feature, "FP64", values)
    return from_python(feature, values)


def _wrong(feature: Feature, values: Any, numbers: Sequence[int]) -> list[tuple[int, Refusal]]:
    """Return the places of a column's values that are refused one by one."""
    found = []
    for place, number in enumerate(numbers):
        try:
            _typed(feature, values[place : place + 1])
        except RejectedError as error:
            found.append((place, refusal_of(error, number)))
    return found
