"""From a table to rows to train on and rows to measure on: checks, dropped rows, the split."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from modelmill.contracts.stage import Data
from modelmill_trainer.failure import StageError, meant, rejected
from modelmill_trainer.kinds import DATE, EMPTY, TEXT, first_bad_number
from modelmill_trainer.ordering import ordered, ranks, unmarked
from modelmill_trainer.rows import hash_rows, key_of
from modelmill_trainer.tables import Table

MIN_TRAIN_ROWS = 10
MIN_HOLDOUT_ROWS = 5
# Text of which most values are numbers is a column of numbers with a mistake in it.
NUMBERS_WITH_A_MISTAKE = 0.9
MANY_COPIES = 0.1
"""Share of rows that stand more than once above which a person is told: a file may be there under two names."""


@dataclass(slots=True)
class Split:
    """train: features and target. holdout: every column, also the excluded ones, since an older model may need them.

    kinds: kind of every column. dropped: rows without a target. copies: share of the rows that are equal to an earlier one.
    notes: what was left out and why, for people.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame
    features: list[str]
    kinds: dict[str, str]
    dropped: int
    copies: float = 0.0
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
        notes += [_mark_note(name, table.marks[name]) for name in (*features, data.target) if name in table.marks]
    frame, dropped = _with_target(table.frame, data.target)
    kinds = dict(table.kinds)
    hashes = hash_rows(frame, {name: kinds[name] for name in (*features, data.target)}, key_of(seed))
    if apart is not None:
        _require_same_kinds(table, apart, [*features, data.target])
        kinds |= {name: kind for name, kind in apart.kinds.items() if kinds.get(name, EMPTY) == EMPTY}
        held, dropped_apart = _with_target(apart.frame, data.target)
        dropped += dropped_apart
        train = frame
    else:
        train, held = _divide(frame, hashes[:, 0], data, table, notes)
    notes += _copies_notes(hashes[:, 1])
    if dropped:
        notes.append(f"{dropped} rows without a value of {data.target!r} are left out")
    _require_rows(len(train), len(held), data)
    values = train[data.target].nunique()
    if values < 2:
        raise rejected(
            "TargetInvalid", f"data.target {data.target!r} has {values} value in all rows to train on: nothing to learn"
        )
    copies = 1 - len(np.unique(hashes[:, 1])) / len(hashes)
    return Split(train[[*features, data.target]], held, features, kinds, dropped, copies, notes)


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
    bad = first_bad_number(unmarked(table, data.target)) if kind == TEXT and data.format == "csv" else None
    if bad is not None and bad[0] >= 0.5:
        raise rejected(
            "TargetInvalid",
            f"data.target {data.target!r} has {bad[2]!r} in {table.where(bad[1])}, where others are numbers: correct the "
            "rows, or leave the value empty to drop them",
        )


def _require_no_mistake(table: Table, name: str) -> None:
    bad = first_bad_number(unmarked(table, name)) if table.kinds[name] == TEXT else None
    if bad is not None and bad[0] >= NUMBERS_WITH_A_MISTAKE:
        raise rejected(
            "ColumnInvalid",
            f"column {name!r} has {bad[2]!r} in {table.where(bad[1])}, where {bad[0]:.0%} of its values are numbers: "
            "correct the rows, leave the value empty, or put the column in data.features.exclude",
        )


def _mark_note(name: str, texts: Counter[str]) -> str:
    shown = ", ".join(f"{text} ({count})" for text, count in texts.most_common(3))
    return (
        f"column {name!r}: {shown} are categories like any other text; leave a field empty where the value is missing"
    )


def _require_same_kinds(table: Table, apart: Table, columns: list[str]) -> None:
    for name in columns:
        one, other = table.kinds[name], apart.kinds[name]
        if EMPTY not in (one, other) and one != other:
            raise rejected(
                "ColumnsDiffer",
                f"column {name!r} is {one} in data.train.uri and {other} in data.holdout.uri: make them agree",
            )


def _require_rows(train: int, held: int, data: Data, about: str = "") -> None:
    if train >= MIN_TRAIN_ROWS and held >= MIN_HOLDOUT_ROWS:
        return
    raise rejected(
        "TooFewRows",
        f"{about}{train} rows to train on and {held} to measure on have a value of {data.target!r}: at least "
        f"{MIN_TRAIN_ROWS} and {MIN_HOLDOUT_ROWS} are needed; add data or change data.holdout",
    )


def _with_target(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, int]:
    kept = frame[frame[target].notna()]
    return kept, len(frame) - len(kept)


def _divide(
    frame: pd.DataFrame, hashes: np.ndarray, data: Data, table: Table, notes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (train, hold-out), each in the order of the data. hashes: uint64 that say the side of each row."""
    holdout = data.holdout
    if not 0 < holdout.fraction < 1:
        raise StageError("SpecInvalid", f"data.holdout.fraction is {holdout.fraction}: use a number between 0 and 1")
    count = min(len(frame), math.ceil(len(frame) * holdout.fraction))
    if holdout.strategy == "Latest":
        # Stable: of equal rows the later ones in the data count as later.
        values = ordered(replace(table, frame=frame), str(holdout.column), "data.holdout.column")
        order = np.argsort(ranks(values).to_numpy(), kind="stable")
        held = np.zeros(len(frame), np.bool_)
        held[order[len(frame) - count :]] = True
    elif holdout.strategy == "Random":
        _require_rows(len(frame) - count, count, data, "about ")
        held = held_by_hash(hashes, data, notes)
    else:
        raise StageError("SpecInvalid", f"data.holdout.strategy {holdout.strategy!r} is none of Random, Latest")
    return frame[~held], frame[held]


def held_by_hash(hashes: np.ndarray, data: Data, notes: list[str]) -> np.ndarray:
    """Return, for each row, whether it is held out: those whose hash (uint64) is below the fraction of all hashes.

    Rows that are added move no row, and equal rows stay together. Only where that would leave fewer rows on a side than are
    needed, the bound moves to the next row and a note says so. Raises StageError (TooFewRows) when equal rows forbid it.
    """
    fraction = data.holdout.fraction
    different, place, times = np.unique(hashes, return_inverse=True, return_counts=True)
    held = np.concatenate([[0], np.cumsum(times)])  # rows held out, by how many different rows are
    wanted = int(np.searchsorted(different, np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))))
    least = int(np.searchsorted(held, MIN_HOLDOUT_ROWS))
    most = int(np.searchsorted(held, len(hashes) - MIN_TRAIN_ROWS, side="right")) - 1
    if least > most:
        raise rejected(
            "TooFewRows",
            f"the {len(hashes)} rows with a value of {data.target!r} have {len(different)} different contents, and equal rows "
            f"stay together: they cannot be divided into {MIN_TRAIN_ROWS} to train on and {MIN_HOLDOUT_ROWS} to measure on; "
            "add data, or shorten data.features.exclude",
        )
    taken = min(max(wanted, least), most)
    if taken != wanted:
        notes.append(
            f"data.holdout.fraction {fraction:g} gives {held[wanted]} of {len(hashes)} rows to measure on by their hashes; "
            f"{held[taken]} are taken, so that each side has enough"
        )
    chosen: np.ndarray = place < taken
    return chosen


def _copies_notes(digests: np.ndarray) -> list[str]:
    """Return what is to be said about equal rows. digests: uint64, one for each row, equal for equal rows."""
    _, times = np.unique(digests, return_counts=True)
    repeated = times[times > 1]
    if repeated.sum() <= MANY_COPIES * len(digests):
        return []
    return [
        f"{repeated.sum()} of the {len(digests)} rows stand more than once, with {len(repeated)} different contents: "
        "remove the copies unless they are meant"
    ]
