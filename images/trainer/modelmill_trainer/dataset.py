"""From a table to rows to train on and rows to measure on: checks, dropped rows, the split."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from modelmill.contracts.stage import Data, Holdout
from modelmill_trainer.failure import StageError, meant, rejected
from modelmill_trainer.kinds import BOOLEAN, DATE, EMPTY, NUMBER, TEXT, first_bad_number
from modelmill_trainer.tables import Table

MIN_TRAIN_ROWS = 10
MIN_HOLDOUT_ROWS = 5
# Text of which most values are numbers is a column of numbers with a mistake in it.
NUMBERS_WITH_A_MISTAKE = 0.9


@dataclass(slots=True)
class Split:
    """train: features and target. holdout: every column, also the excluded ones, since an older model may need them.

    kinds: kind of every column. notes: what was left out and why, for people.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame
    features: list[str]
    kinds: dict[str, str]
    dropped: int
    notes: list[str] = field(default_factory=list)


def make_split(table: Table, apart: Table | None, data: Data, seed: int) -> Split:
    """Return the rows to train on and to measure on.

    apart: the hold-out when it is given by a URI of its own. Raises StageError naming the field: TargetMissing, TargetInvalid,
    ColumnMissing, ColumnInvalid, ColumnsDiffer, TooFewRows.
    """
    _require_columns(table, data, apart)
    _require_target(table, data)
    features = [name for name in table.frame.columns if name != data.target and name not in data.exclude]
    notes = []
    for name in [name for name in features if table.kinds[name] == EMPTY]:
        features.remove(name)
        notes.append(f"column {name!r} has no value in any row and is left out")
    if not features:
        raise rejected("ColumnMissing", "no column is left as a feature: shorten data.features.exclude")
    if data.format == "csv":
        for name in features:
            _require_no_mistake(table, name)
    frame, dropped = _with_target(table.frame, data.target)
    kinds = dict(table.kinds)
    if apart is not None:
        _require_same_kinds(table, apart, [*features, data.target])
        kinds |= {name: kind for name, kind in apart.kinds.items() if kinds.get(name, EMPTY) == EMPTY}
        held, dropped_apart = _with_target(apart.frame, data.target)
        dropped += dropped_apart
        train = frame
    else:
        train, held = _divide(frame, data.holdout, seed, table)
    if dropped:
        notes.append(f"{dropped} rows without a value of {data.target!r} are left out")
    _require_rows(train, held, data)
    values = train[data.target].nunique()
    if values < 2:
        raise rejected(
            "TargetInvalid", f"data.target {data.target!r} has {values} value in all rows to train on: nothing to learn"
        )
    return Split(train[[*features, data.target]], held, features, kinds, dropped, notes)


def _require_columns(table: Table, data: Data, apart: Table | None) -> None:
    columns = [str(name) for name in table.frame.columns]
    if data.target not in columns:
        raise rejected(
            "TargetMissing", f"data.target {data.target!r} is not a column of the data; {meant(data.target, columns)}"
        )
    if data.target in data.exclude:
        raise StageError("SpecInvalid", f"data.features.exclude names the target {data.target!r}: remove it there")
    problems = [
        f"data.features.exclude names {name!r}, which is not a column of the data; {meant(name, columns)}"
        for name in data.exclude
        if name not in columns
    ]
    latest = data.holdout.strategy == "Latest" and not data.holdout.uri
    if latest and data.holdout.column not in columns:
        column = data.holdout.column or ""
        problems.append(f"data.holdout.column {column!r} is not a column of the data; {meant(column, columns)}")
    if apart is not None:
        lacking = [n for n in columns if n not in apart.frame.columns and n not in data.exclude]
        if lacking:
            problems.append(f"data.holdout.uri: its rows lack {', '.join(lacking)}")
    if problems:
        raise rejected("ColumnMissing", *problems)


def _require_target(table: Table, data: Data) -> None:
    kind = table.kinds[data.target]
    if kind in (DATE, EMPTY):
        spoken = "dates" if kind == DATE else "no value in any row"
        raise rejected("TargetInvalid", f"data.target {data.target!r} has {spoken}: it must have numbers or labels")
    bad = first_bad_number(table.frame[data.target]) if kind == TEXT and data.format == "csv" else None
    if bad is not None and bad[0] >= 0.5:
        raise rejected(
            "TargetInvalid",
            f"data.target {data.target!r} has {bad[2]!r} in {table.where(bad[1])}, where others are numbers: correct the "
            "rows, or leave the value empty to drop them",
        )


def _require_no_mistake(table: Table, name: str) -> None:
    bad = first_bad_number(table.frame[name]) if table.kinds[name] == TEXT else None
    if bad is not None and bad[0] >= NUMBERS_WITH_A_MISTAKE:
        raise rejected(
            "ColumnInvalid",
            f"column {name!r} has {bad[2]!r} in {table.where(bad[1])}, where {bad[0]:.0%} of its values are numbers: "
            "correct the rows, leave the value empty, or put the column in data.features.exclude",
        )


def _require_same_kinds(table: Table, apart: Table, columns: list[str]) -> None:
    for name in columns:
        one, other = table.kinds[name], apart.kinds[name]
        if EMPTY not in (one, other) and one != other:
            raise rejected(
                "ColumnsDiffer",
                f"column {name!r} is {one} in data.train.uri and {other} in data.holdout.uri: make them agree",
            )


def _require_rows(train: pd.DataFrame, held: pd.DataFrame, data: Data) -> None:
    if len(train) >= MIN_TRAIN_ROWS and len(held) >= MIN_HOLDOUT_ROWS:
        return
    raise rejected(
        "TooFewRows",
        f"{len(train)} rows to train on and {len(held)} to measure on have a value of {data.target!r}: at least "
        f"{MIN_TRAIN_ROWS} and {MIN_HOLDOUT_ROWS} are needed; add data or change data.holdout",
    )


def _with_target(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, int]:
    kept = frame[frame[target].notna()]
    return kept, len(frame) - len(kept)


def _divide(frame: pd.DataFrame, holdout: Holdout, seed: int, table: Table) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (train, hold-out), each in the order of the data."""
    count = min(len(frame), math.ceil(len(frame) * holdout.fraction))
    if holdout.strategy == "Latest":
        # Stable, and missing values first: of equal rows the later ones in the data count as later.
        order = np.argsort(_ranks(frame, str(holdout.column), table), kind="stable")
    elif holdout.strategy == "Random":
        order = np.random.default_rng(seed).permutation(len(frame))
    else:
        raise StageError("SpecInvalid", f"data.holdout.strategy {holdout.strategy!r} is none of Random, Latest")
    cut = len(frame) - count
    return frame.iloc[np.sort(order[:cut])], frame.iloc[np.sort(order[cut:])]


def _ranks(frame: pd.DataFrame, name: str, table: Table) -> np.ndarray:
    column, kind = frame[name], table.kinds[name]
    if kind == TEXT:
        try:
            column = pd.to_datetime(column, format="ISO8601", utc=True)
        except ValueError as error:
            raise rejected(
                "ColumnInvalid", f"data.holdout.column {name!r} must have numbers or dates like 2026-01-31: {error}"
            ) from None
    elif kind not in (NUMBER, BOOLEAN, DATE):
        raise rejected("ColumnInvalid", f"data.holdout.column {name!r} has no values to order the rows by")
    ranks: np.ndarray = column.rank(method="dense", na_option="top").to_numpy()
    return ranks
