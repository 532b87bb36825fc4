"""From a table to rows to train on and rows to measure on: checks, dropped rows, the split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from modelmill.contracts.stage import Data, Holdout, Trial
from modelmill_trainer.failure import StageError, meant, rejected
from modelmill_trainer.kinds import DATE, EMPTY, TEXT, first_bad_number
from modelmill_trainer.ordering import ordered, ranks, unmarked
from modelmill_trainer.rows import hash_rows, key_of
from modelmill_trainer.tables import Table

MIN_TRAIN_ROWS = 10
MIN_HOLDOUT_ROWS = 5
# Text of which most values are numbers is a column of numbers with a mistake in it.
NUMBERS_WITH_A_MISTAKE = 0.9
HOLDOUT, VALIDATION = "data.holdout", "tuning.validation"  # fields that say which rows measure
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


def make_split(table: Table, apart: Table | None, data: Data, seed: int, trial: Trial | None = None) -> Split:
    """Return the rows to train on and to measure on.

    apart: the hold-out when it is given by a URI of its own. trial: what measures are then rows of those that a run trains on;
    the hold-out is in neither part, and one that has a URI of its own is not asked for. With folds there are none to measure
    on, and rows to train on are in the order of the folds' column. With data.without the rows to train on are those of such a
    trial, and the rows to measure on are the hold-out.

    Raises StageError naming the field: TargetMissing, TargetInvalid, ColumnMissing, ColumnInvalid, ColumnsDiffer, TooFewRows.
    """
    validating = data.without if trial is None else _rule(trial)
    rules = {HOLDOUT: data.holdout, **({VALIDATION: validating} if validating is not None else {})}
    _require_columns(table, data, apart, rules)
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
    elif data.holdout.uri:
        train, held = frame, frame.iloc[:0]
    else:
        train, held = _divide(frame, hashes[:, 0], data.holdout, data.target, table, notes)
    notes += _copies_notes(hashes[:, 1])
    if dropped:
        notes.append(f"{dropped} rows without a value of {data.target!r} are left out")
    own = hashes[frame.index.get_indexer(train.index), 1]
    if trial is not None:
        train, held = _validate(train, own, data.target, trial, table, notes)
    elif data.without is not None:
        train, validated = _divide(train, own, data.without, data.target, table, notes, VALIDATION)
        notes.append(
            f"{len(validated)} rows are left out of training, as they were of the best trial's: they validated it"
        )
    measured = MIN_HOLDOUT_ROWS if trial is not None and trial.folds else len(held)
    _require_rows(len(train), measured, data.target, HOLDOUT if trial is None else VALIDATION)
    values = train[data.target].nunique()
    if values < 2:
        raise rejected(
            "TargetInvalid", f"data.target {data.target!r} has {values} value in all rows to train on: nothing to learn"
        )
    copies = 1 - len(np.unique(hashes[:, 1])) / len(hashes)
    return Split(train[[*features, data.target]], held, features, kinds, dropped, copies, notes)


def _require_columns(table: Table, data: Data, apart: Table | None, rules: Mapping[str, Holdout]) -> None:
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
    for place, rule in rules.items():
        if rule.strategy == "Latest" and not rule.uri and rule.column not in columns:
            column = rule.column or ""
            problems.append(f"{place}.column {column!r} is not a column of the data; {meant(column, columns)}")
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


def _require_rows(train: int, held: int, target: str, field: str, about: str = "") -> None:
    if train >= MIN_TRAIN_ROWS and held >= MIN_HOLDOUT_ROWS:
        return
    raise rejected(
        "TooFewRows",
        f"{about}{train} rows to train on and {held} to measure on have a value of {target!r}: at least "
        f"{MIN_TRAIN_ROWS} and {MIN_HOLDOUT_ROWS} are needed; add data or change {field}",
    )


def _with_target(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, int]:
    kept = frame[frame[target].notna()]
    return kept, len(frame) - len(kept)


def _rule(trial: Trial) -> Holdout:
    return Holdout(trial.fraction, trial.strategy, trial.column)


def _validate(
    train: pd.DataFrame, hashes: np.ndarray, target: str, trial: Trial, table: Table, notes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (train, validation) of the rows that a run trains on; hashes: not those that chose the hold-out among all rows."""
    if not trial.folds:
        return _divide(train, hashes, _rule(trial), target, table, notes, VALIDATION)
    if trial.strategy == "Latest":
        train = train.iloc[_order(train, str(trial.column), table, VALIDATION)]
    return train, train.iloc[:0]


def _divide(
    frame: pd.DataFrame,
    hashes: np.ndarray,
    rule: Holdout,
    target: str,
    table: Table,
    notes: list[str],
    field: str = HOLDOUT,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (train, hold-out), each in the order of the data. hashes: uint64 that say the side of each row."""
    if not 0 < rule.fraction < 1:
        raise StageError("SpecInvalid", f"{field}.fraction is {rule.fraction}: use a number between 0 and 1")
    count = min(len(frame), math.ceil(len(frame) * rule.fraction))
    if rule.strategy == "Latest":
        held = np.zeros(len(frame), np.bool_)
        held[_order(frame, str(rule.column), table, field)[len(frame) - count :]] = True
    elif rule.strategy == "Random":
        _require_rows(len(frame) - count, count, target, field, "about ")
        held = held_by_hash(hashes, rule.fraction, target, notes, field)
    else:
        raise StageError("SpecInvalid", f"{field}.strategy {rule.strategy!r} is none of Random, Latest")
    return frame[~held], frame[held]


def held_by_hash(
    hashes: np.ndarray, fraction: float, target: str, notes: list[str], field: str = HOLDOUT
) -> np.ndarray:
    """Return, for each row, whether it is held out: those whose hash (uint64) is below the fraction of all hashes.

    Rows that are added move no row, and equal rows stay together. Only where that would leave fewer rows on a side than are
    needed, the bound moves to the next row and a note says so. Raises StageError (TooFewRows) when equal rows forbid it.
    """
    different, place, times = np.unique(hashes, return_inverse=True, return_counts=True)
    held = np.concatenate([[0], np.cumsum(times)])  # rows held out, by how many different rows are
    wanted = int(np.searchsorted(different, np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))))
    least = int(np.searchsorted(held, MIN_HOLDOUT_ROWS))
    most = int(np.searchsorted(held, len(hashes) - MIN_TRAIN_ROWS, side="right")) - 1
    if least > most:
        raise rejected(
            "TooFewRows",
            f"the {len(hashes)} rows with a value of {target!r} have {len(different)} different contents, and equal rows "
            f"stay together: they cannot be divided into {MIN_TRAIN_ROWS} to train on and {MIN_HOLDOUT_ROWS} to measure on; "
            "add data, or shorten data.features.exclude",
        )
    taken = min(max(wanted, least), most)
    if taken != wanted:
        notes.append(
            f"{field}.fraction {fraction:g} gives {held[wanted]} of {len(hashes)} rows to measure on by their hashes; "
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


def _order(frame: pd.DataFrame, name: str, table: Table, field: str) -> np.ndarray:
    """Return the places of the rows, the least first; missing values first, and of equal ones the first in the data."""
    values = ordered(replace(table, frame=frame), name, f"{field}.column")
    return np.argsort(ranks(values).to_numpy(), kind="stable")
