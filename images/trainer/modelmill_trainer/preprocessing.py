"""Automatic preprocessing: which columns a model can use, and the steps that bring them to numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelmill_trainer.kinds import BOOLEAN, NUMBER, TEXT

MAX_CATEGORIES = 50
NO_VALUE, DATES = "no value", "dates"
MOSTLY_DIFFERENT, ALL_DIFFERENT = "texts that mostly differ", "texts that are all different"
COMMAS = "decimals with a comma; write 1234.5 for 1.234,5"
WRITTEN = {
    COMMAS: re.compile(r"\s*[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+\s*"),
    DATES: re.compile(r"\s*\d{1,2}([./-])\d{1,2}\1\d{4}\b.*"),
}
"""How numbers and dates are often written that are read as text."""


@dataclass(slots=True)
class Plan:
    """numbers: columns taken as numbers. categories: by column, its values from frequent to rare. notes: what is left out."""

    numbers: list[str] = field(default_factory=list)
    categories: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def features(self) -> list[str]:
        """Columns that the model takes."""
        return [*self.numbers, *self.categories]


def unusable(column: pd.Series, kind: str) -> str:
    """Return why no model can take a column of the rows to train on: one of the texts above, or an empty one."""
    present = column.dropna()
    if present.empty:
        return NO_VALUE
    if kind in (NUMBER, BOOLEAN):
        return ""
    if kind != TEXT or _dates(present):
        return DATES
    different = present.nunique()
    if different <= MAX_CATEGORIES or different <= len(present) / 2:
        return ""
    for why, form in WRITTEN.items():
        if all(form.fullmatch(value) for value in present):
            return why
    return ALL_DIFFERENT if different == len(present) else MOSTLY_DIFFERENT


def choose(frame: pd.DataFrame, kinds: dict[str, str], features: list[str]) -> Plan:
    """Decide what to do with each feature of the rows to train on."""
    plan = Plan()
    for name in features:
        column, kind = frame[name], kinds[name]
        why = unusable(column, kind)
        if why:
            plan.notes.append(f"column {name!r} has {_spoken(why, column)}")
        elif kind in (NUMBER, BOOLEAN):
            plan.numbers.append(name)
        else:
            counts = column.value_counts()
            # Ties in the order of the text, so that the same data gives the same model.
            ordered = sorted(counts.index, key=lambda value: (-counts[value], value))
            if len(ordered) > MAX_CATEGORIES:
                plan.notes.append(
                    f"column {name!r}: its {MAX_CATEGORIES} most frequent of {len(ordered)} texts are told apart"
                )
            plan.categories[name] = ordered[:MAX_CATEGORIES]
    return plan


def _spoken(why: str, column: pd.Series) -> str:
    if why == NO_VALUE:
        return "no value in the rows to train on and is left out"
    if why == DATES:
        return "dates and is left out; give their parts as numbers to use them"
    if why == COMMAS:
        what, _, mend = why.partition("; ")
        return f"{what} and is left out; {mend}"
    return f"{column.nunique()} different texts in {column.count()} rows, like a name, and is left out"


def pipeline(plan: Plan, estimator: Any, *, scale: bool) -> Pipeline:
    """Return the unfitted pipeline.

    Numbers: the median where missing, and unit variance with `scale`. Categories: a 0/1 column each; a missing or unknown one
    is all zeros, which ONNX can say as well.
    """
    steps: list[tuple[str, Any, list[str]]] = []
    if plan.numbers:
        numbers: Any = SimpleImputer(strategy="median")
        if scale:
            numbers = Pipeline([("impute", numbers), ("scale", StandardScaler())])
        steps.append(("numbers", numbers, plan.numbers))
    if plan.categories:
        encoder = OneHotEncoder(
            categories=[sorted(values) for values in plan.categories.values()],
            handle_unknown="ignore",
            sparse_output=False,
        )
        steps.append(("categories", encoder, list(plan.categories)))
    return Pipeline([("preprocess", ColumnTransformer(steps)), ("model", estimator)])


def _dates(present: pd.Series) -> bool:
    sample = present.head(200)
    return bool(pd.to_datetime(sample, format="ISO8601", errors="coerce", utc=True).notna().mean() > 0.95)
