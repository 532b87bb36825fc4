"""What goes wrong with data that worked: each corruption of the cars of 1970-82, with what must be said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from vega_datasets import data as vega

TARGET = "Miles_per_Gallon"
EXCLUDED = ("Name", "Year")
Make = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Corruption:
    """words: what was done to the data. stops: whether the run ends. found: the gates that speak, each with its columns."""

    name: str
    words: str
    make: Make
    stops: bool
    found: Mapping[str, tuple[str, ...]]


def cars() -> pd.DataFrame:
    """Return 406 cars, with the day of their model year as ISO 8601 text."""
    frame = vega.cars()
    return frame.assign(Year=frame["Year"].dt.strftime("%Y-%m-%d"))


def some(frame: pd.DataFrame, random: np.random.Generator, share: float) -> np.ndarray:
    """Return which rows are hit."""
    hit = np.zeros(len(frame), np.bool_)
    hit[random.permutation(len(frame))[: round(share * len(frame))]] = True
    return hit


def _swapped(frame: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    return frame.assign(Horsepower=frame["Weight_in_lbs"], Weight_in_lbs=frame["Horsepower"])


CORRUPTIONS = (
    Corruption(
        "unit", "`Weight_in_lbs` comes in kilograms",
        lambda frame, _: frame.assign(Weight_in_lbs=(frame["Weight_in_lbs"] * 0.45359).round()),
        False, {"UnitChanged": ("Weight_in_lbs",)},
    ),
    Corruption(
        "unit of the target", "`Miles_per_Gallon` comes in kilometres per litre",
        lambda frame, _: frame.assign(Miles_per_Gallon=(frame[TARGET] * 0.42514).round(1)),
        False, {"UnitChanged": (TARGET,)},
    ),
    Corruption(
        "type", "`Horsepower` comes with its unit, as `130 hp`",
        lambda frame, _: frame.assign(Horsepower=frame["Horsepower"].map("{:.0f} hp".format, na_action="ignore")),
        True, {"WrongType": ("Horsepower",)},
    ),
    Corruption(
        "missing column", "`Displacement` is not there", lambda frame, _: frame.drop(columns="Displacement"),
        True, {"MissingColumn": ("Displacement",)},
    ),
    Corruption(
        "renamed column", "`Horsepower` is called `Power`", lambda frame, _: frame.rename(columns={"Horsepower": "Power"}),
        True, {"MissingColumn": ("Horsepower",), "UnexpectedColumn": ("Power",)},
    ),
    Corruption(
        "empty column", "`Acceleration` has no value in any row", lambda frame, _: frame.assign(Acceleration=np.nan),
        True, {"NoValue": ("Acceleration",)},
    ),
    Corruption(
        "missing values", "a fifth of `Horsepower` is missing",
        lambda frame, random: frame.assign(Horsepower=frame["Horsepower"].mask(some(frame, random, 0.2))),
        False, {"MissingValues": ("Horsepower",)},
    ),
    Corruption(
        "shuffled column", "the values of `Weight_in_lbs` stand in other rows",
        lambda frame, random: frame.assign(Weight_in_lbs=random.permutation(frame["Weight_in_lbs"].to_numpy())),
        False, {"LessTelling": ("Weight_in_lbs",)},
    ),
    Corruption(
        "swapped columns", "`Horsepower` and `Weight_in_lbs` have each other's values", _swapped,
        False, {"UnitChanged": ("Horsepower", "Weight_in_lbs")},
    ),
    Corruption(
        "leaked target", "`Acceleration` has been overwritten with the target and a rounding error",
        lambda frame, random: frame.assign(Acceleration=frame[TARGET] + random.normal(0, 0.05, len(frame))),
        True, {"TargetLeaked": ("Acceleration",), "OutOfRange": ("Acceleration",)},
    ),
    Corruption(
        "leaked target in a new column", "`Litres_per_100_km` is new: the target, computed",
        lambda frame, _: frame.assign(Litres_per_100_km=235.2 / frame[TARGET]),
        True, {"UnexpectedColumn": ("Litres_per_100_km",), "TargetLeaked": ("Litres_per_100_km",)},
    ),
    Corruption(
        "stale", "the export stops in 1979", lambda frame, _: frame[frame["Year"] < "1980"],
        False, {"Stale": ("Year",)},
    ),
    Corruption(
        "truncated", "the last 60 % of the rows are not there, in an order of chance",
        lambda frame, random: frame.iloc[random.permutation(len(frame))[: round(0.4 * len(frame))]],
        False, {"FewerRows": ()},
    ),
    Corruption(
        "duplicated", "every row is there twice", lambda frame, _: pd.concat([frame, frame]),
        False, {"DuplicateRows": ()},
    ),
    Corruption(
        "new category", "a tenth of `Origin` is `Korea`, which was never seen",
        lambda frame, random: frame.assign(Origin=frame["Origin"].mask(some(frame, random, 0.1), "Korea")),
        False, {"Categories": ("Origin",)},
    ),
    Corruption(
        "lost category", "`Origin` has no `Japan`", lambda frame, _: frame[frame["Origin"] != "Japan"],
        False, {"Categories": ("Origin",)},
    ),
    Corruption(
        "range", "three values of `Displacement` are 9999, a mark for a missing one",
        lambda frame, _: frame.assign(Displacement=frame["Displacement"].where(np.arange(len(frame)) % 150 > 0, 9999.0)),
        False, {"OutOfRange": ("Displacement",)},
    ),
)  # fmt: skip
