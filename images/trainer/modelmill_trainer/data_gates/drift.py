"""Values against those of the last good version: told, while the run goes on.

Each gate wants a difference that chance does not make (`chance`) and that is large enough to be worth reading: the constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd

from modelmill_trainer.data_gates import chance
from modelmill_trainer.data_gates.finding import Finding, called, finding
from modelmill_trainer.data_gates.summary import Column, Summary
from modelmill_trainer.kinds import NUMBER, TEXT
from modelmill_trainer.tables import Table

FEWER_ROWS: Final = 0.5
"""Data grow or are replaced; half of the last run's rows is more than a day that is missing."""
MORE_COPIES: Final = 0.1
"""Of the rows, as in the note about copies: a file that is there twice makes half of them copies."""
MORE_MISSING: Final = 0.02
"""Of the rows: less changes no model that a hold-out of some hundred rows could tell apart."""
FAR: Final = 10.0
"""In widths of the old range: a single value so far outside of it is a mark like 9999 or a slipped decimal point."""
FACTOR: Final = 1.5
"""Between medians: kilometres are 1.6 to a mile, kilograms 0.45 to a pound; prices and loads seldom move so far in one run."""
MOVED: Final = 0.25
"""Share of the values that crosses the old median with a unit, of 0.5 at most: a factor beside a wide spread is no unit."""
STRONG: Final = 0.15
"""Least strength of a column whose loss is told: what said less is missed by no model."""
LOST: Final = 0.25
"""Share of the strength that is left when a loss is told."""
UNITS: Final = (
    (1.609344, "miles", "kilometres"), (2.20462, "kilograms", "pounds"),
    (2.35215, "kilometres per litre", "miles per gallon"), (3.78541, "US gallons", "litres"),
    (2.54, "inches", "centimetres"), (3.28084, "metres", "feet"), (3.6, "metres per second", "kilometres per hour"),
    (60.0, "minutes", "seconds"), (24.0, "days", "hours"), (10.0, "units", "tenths"), (100.0, "units", "hundredths"),
    (1000.0, "units", "thousandths"),
)  # fmt: skip
CLOSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Pair:
    """A column in both data. column: its values in this run. all_rows: of this run and before. alpha: level of a comparison."""

    name: str
    kind: str
    column: pd.Series
    now: Column
    before: Column
    all_rows: tuple[int, int]
    alpha: float

    @property
    def values(self) -> pd.Series:
        """The values that are not missing."""
        return self.column.dropna()

    @property
    def rows(self) -> int:
        """Rows with a value in this run."""
        return round(self.all_rows[0] * (1 - self.now.missing))

    @property
    def old_rows(self) -> int:
        """Rows that had a value."""
        return round(self.all_rows[1] * (1 - self.before.missing))


Gate = Callable[[Pair], str]


def compare_values(table: Table, now: Summary, before: Summary, version: str) -> list[Finding]:
    """Return what differs, one finding for each gate. version: whose data `before` is of."""
    if not before.rows or not now.rows:
        return []
    pairs = list(_pairs(table, now, before))
    found = list(_rows(now, before, version))
    for gate, (ask, begin, mend) in GATES.items():
        told = [(pair.name, words) for pair in pairs if (words := ask(pair))]
        found += finding(gate, begin.format(version), told, mend)
    return found


def _rows(now: Summary, before: Summary, version: str) -> Iterator[Finding]:
    if now.rows < FEWER_ROWS * before.rows:
        text = f"{now.rows} rows, {before.rows} in the data of {version}; see whether a part is missing"
        yield Finding("FewerRows", (), text)
    if now.copies > before.copies + MORE_COPIES:
        text = f"{now.copies:.0%} of the rows are copies of others, {before.copies:.0%} in the data of {version}"
        yield Finding("DuplicateRows", (), f"{text}; see whether an object is there twice")


def _pairs(table: Table, now: Summary, before: Summary) -> Iterator[Pair]:
    both = [
        name for name in now.columns if name in before.columns and now.columns[name].kind == before.columns[name].kind
    ]
    alpha = chance.level(len(both))
    for name in both:
        one, other = now.columns[name], before.columns[name]
        if one.missing < 1 and other.missing < 1:
            yield Pair(name, one.kind, table.frame[name], one, other, (now.rows, before.rows), alpha)


def missing(pair: Pair) -> str:
    """Tell more missing values."""
    now, before = pair.now.missing, pair.before.missing
    if now < before + MORE_MISSING or not chance.shares_differ(
        now, pair.all_rows[0], before, pair.all_rows[1], pair.alpha
    ):
        return ""
    return f"{now:.1%} (was {before:.1%})"


def stale(pair: Pair) -> str:
    """Tell dates of which none is as new as many of the old ones."""
    if not (pair.now.dated and pair.before.dated):
        return ""
    newest, old = pair.now.quantiles[-1], pair.before.quantiles[-1]
    newer = round(pair.before.share_above(newest) * pair.old_rows) if newest < old else 0
    if not newer or not chance.all_on_one_side(newer, pair.old_rows, pair.rows, pair.alpha):
        return ""
    return f"up to {_day(newest)} (was {_day(old)})"


def unit(pair: Pair) -> str:
    """Tell numbers that are a multiple of the old ones."""
    if pair.kind != NUMBER or not (pair.now.quantiles and pair.before.quantiles):
        return ""
    factor = _factor(pair.now, pair.before)
    if factor is None or 1 / FACTOR < factor < FACTOR:
        return ""
    middle, values = pair.before.quantile(0.5), pair.values.to_numpy("float64")
    below = float((values < middle).mean() + (values == middle).mean() / 2)
    if abs(below - pair.before.below) < max(MOVED, chance.distance(pair.rows, pair.old_rows, pair.alpha)):
        return ""
    return f"{factor:.3g} times (median {pair.now.quantile(0.5):.4g}, was {middle:.4g}{_as_from(factor)})"


def _factor(now: Column, before: Column) -> float | None:
    """Return the factor between the medians, or between the spreads where a median is about 0 beside its spread."""
    (new, new_spread), (old, old_spread) = (
        (one.quantile(0.5), one.quantile(0.75) - one.quantile(0.25)) for one in (now, before)
    )
    if abs(new) > 0.1 * new_spread and abs(old) > 0.1 * old_spread and new * old > 0:
        return new / old
    return new_spread / old_spread if new_spread > 0 and old_spread > 0 else None


def _as_from(factor: float) -> str:
    for times, less, more in UNITS:
        if math.isclose(factor, times, rel_tol=CLOSE):
            return f", as from {less} to {more}"
        if math.isclose(factor, 1 / times, rel_tol=CLOSE):
            return f", as from {more} to {less}"
    return ""


def outside(pair: Pair) -> str:
    """Tell numbers outside of the old range, more than chance brings there or very far."""
    if pair.kind != NUMBER or not (pair.now.quantiles and pair.before.quantiles) or unit(pair):
        return ""
    low, high = pair.before.quantiles[0], pair.before.quantiles[-1]
    if low <= pair.now.quantiles[0] and pair.now.quantiles[-1] <= high:
        return ""
    values = pair.values.to_numpy("float64")
    width = high - low
    counts = (int((values < low).sum()), int((values > high).sum()))
    many = [chance.all_on_one_side(count, pair.rows, pair.old_rows, pair.alpha) and count > 0 for count in counts]
    far = [width > 0 and values.min() < low - FAR * width, width > 0 and values.max() > high + FAR * width]
    sides = [
        f"{count} {word} {bound:.4g} ({'least' if word == 'below' else 'greatest'} {value:.4g})"
        for count, word, bound, value, told in zip(
            counts, ("below", "above"), (low, high), (values.min(), values.max()), np.logical_or(many, far), strict=True
        )
        if told
    ]
    return " and ".join(sides)


def categories(pair: Pair) -> str:
    """Tell categories that are new, and such as are gone.

    Rows of categories that were never seen are expected as often as categories were seen once (Good, "The population
    frequencies of species", Biometrika 40, 1953); three standard errors and three rows are given to that estimate.
    """
    old = pair.before.categories
    if pair.kind != TEXT or not old:
        return ""
    values = pair.values
    new = values[~values.isin(list(old))]
    once = sum(count == 1 for count in old.values())
    expected = pair.rows / max(1, pair.old_rows) * (once + 3 * math.sqrt(once) + 3)
    told = []
    if chance.more_than(len(new), expected, pair.alpha):
        names = ", ".join(called(str(name)) for name in new.value_counts().index[:3])
        told.append(f"{len(new)} rows of new ones ({names})")
    here = set(values.unique().tolist())
    gone = [
        name for name, count in old.items()
        if name not in here and chance.all_on_one_side(count, pair.old_rows, pair.rows, pair.alpha / len(old))
    ]  # fmt: skip
    if gone:
        told.append(f"no row of {', '.join(called(name) for name in gone[:3])}")
    return " and ".join(told)


def weaker(pair: Pair) -> str:
    """Tell a column that says much less of the target: shuffled, or joined with the wrong rows."""
    now, before = pair.now.strength, pair.before.strength
    if now is None or before is None or before < STRONG or now > LOST * before:
        return ""
    noise = math.hypot(pair.now.error, pair.before.error)
    return f"{now:.2f} (was {before:.2f})" if before - now > chance.deviations(pair.alpha) * noise else ""


def _day(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return "a date out of the calendar"


GATES: Final[dict[str, tuple[Gate, str, str]]] = {
    "Stale": (stale, "dates are older than in the data of {}", "see whether new rows came"),
    "MissingValues": (missing, "more values are missing than in the data of {}", "see why"),
    "UnitChanged": (unit, "numbers are a multiple of those in the data of {}", "see whether the unit is another"),
    "OutOfRange": (outside, "numbers are outside of the range in the data of {}", "see whether they are meant"),
    "Categories": (categories, "categories are not those in the data of {}", "see whether they are meant"),
    "LessTelling": (
        weaker, "columns say less of the target than in the data of {}, of 1 at most", "see whether their rows are in order",
    ),
}  # fmt: skip
"""How each gate asks a column, what it says of all and what a person does; `{}` is the version."""
