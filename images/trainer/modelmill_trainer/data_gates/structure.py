"""Columns against those of the last good version: what is missing, unexpected, of another type or without any value."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from modelmill_trainer.data_gates.finding import Finding, finding
from modelmill_trainer.data_gates.summary import Column, Summary
from modelmill_trainer.kinds import BOOLEAN, EMPTY, NUMBER

ALLOW: Final = "or set data.schema.onViolation to Warn for once"


def compare_columns(
    now: Summary, before: Summary, called: str, taken: Collection[str], excluded: Collection[str]
) -> list[Finding]:
    """Return what differs. called: the version whose data `before` is of; taken: the columns that its model takes.

    A column that its model did not take, or that is excluded now, may go or be of another type. One that was there and excluded
    is known. Truth values and numbers are one type, as they are to a model.
    """
    wanted = {
        name: column for name, column in before.columns.items()
        if name not in excluded and name != now.target and name in taken
    }  # fmt: skip
    here = {name: column for name, column in now.columns.items() if name not in excluded and name != now.target}
    missing = [(name, f"({column.kind})") for name, column in wanted.items() if name not in now.columns]
    unexpected = [(name, f"({column.kind})") for name, column in here.items() if _is_new(name, column, before)]
    both = [(name, wanted[name], here[name]) for name in wanted if name in here]
    if now.target in before.columns:
        both.append((now.target, before.columns[now.target], now.columns[now.target]))
    empty = [(name, "") for name, old, new in both if new.kind == EMPTY and old.kind != EMPTY]
    other = [
        (name, f"({new.kind}, was {old.kind})") for name, old, new in both
        if EMPTY not in (old.kind, new.kind) and _family(old) != _family(new)
    ]  # fmt: skip
    data = f"in the data of {called}"
    nothing = f"columns have no value in any row, and had some {data}"
    return [
        *finding("MissingColumn", f"columns are missing that were {data}", missing, f"bring them back, {ALLOW}", stops=True),
        *finding(
            "UnexpectedColumn", f"columns are here that were not {data}", unexpected,
            f"exclude them by data.features.exclude, {ALLOW}", stops=True,
        ),
        *finding("WrongType", f"columns have another type than {data}", other, f"correct the rows, {ALLOW}", stops=True),
        *finding("NoValue", nothing, empty, f"bring them back, {ALLOW}", stops=True),
    ]  # fmt: skip


def _is_new(name: str, column: Column, before: Summary) -> bool:
    return name not in before.columns and column.kind != EMPTY and name != before.target


def _family(column: Column) -> str:
    return NUMBER if column.kind == BOOLEAN else column.kind
