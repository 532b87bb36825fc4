"""golden.json: a few rows with the answers of the original model, chosen so that every kind of value is among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from modelmill.contracts.artifact import Golden
from modelmill_trainer.kinds import BOOLEAN
from modelmill_trainer.model_document import REGRESSION
from modelmill_trainer.models import PREDICT, Outputs

MAX_ROWS = 20
MAX_CATEGORIES_SHOWN = 8
TOLERANCE = 1e-4


def choose_rows(frame: pd.DataFrame, predicted: np.ndarray) -> list[int]:
    """Return the places of at most `MAX_ROWS` rows: missing values, categories, and the rest spread over the predictions."""
    chosen: dict[int, None] = {}
    for name in frame.columns:
        missing = np.flatnonzero(frame[name].isna().to_numpy())
        if missing.size:
            chosen[int(missing[0])] = None
    for name in frame.columns:
        if frame[name].dtype == object:
            for value in frame[name].value_counts().index[:MAX_CATEGORIES_SHOWN]:
                chosen[int(np.flatnonzero((frame[name] == value).to_numpy())[0])] = None
    picked = list(chosen)[: MAX_ROWS - 4]
    order = np.argsort(predicted if predicted.dtype.kind in "fiu" else predicted.astype(str), kind="stable")
    for place in np.linspace(0, len(order) - 1, MAX_ROWS).round().astype(int):
        row = int(order[place])
        if len(picked) < MAX_ROWS and row not in picked:
            picked.append(row)
    return sorted(picked)


def tolerance(task: str, predicted: np.ndarray) -> float:
    """Return the absolute difference that does not matter: a small part of a number's spread, or of a probability."""
    if task != REGRESSION:
        return TOLERANCE
    return TOLERANCE * (float(np.std(predicted.astype("float64"))) or 1.0)


def make_golden(frame: pd.DataFrame, kinds: dict[str, str], outputs: Outputs, absolute: float) -> Golden:
    """Return the golden rows with these inputs and outputs."""
    inputs = {str(name): _plain(frame[name], kinds[str(name)] == BOOLEAN) for name in frame.columns}
    return Golden(
        inputs=inputs,
        outputs={name: values.tolist() for name, values in outputs.items()},
        absolute=absolute,
        relative=TOLERANCE,
    )


def differences(expected: Outputs, found: Outputs, absolute: float) -> tuple[str, float]:
    """Return what disagrees, or an empty text, and the largest difference of a number."""
    largest = 0.0
    for name, wanted in expected.items():
        if name not in found:
            return f"it has no output {name}", largest
        other = found[name]
        if other.shape != wanted.shape:
            return f"{name} has shape {other.shape} instead of {wanted.shape}", largest
        if wanted.dtype.kind != "f":
            wrong = sum(a != b for a, b in zip(wanted.tolist(), other.tolist(), strict=True))
            if wrong:
                return f"{wrong} of {len(wanted)} labels differ", largest
            continue
        gap = np.abs(other.astype("float64") - wanted)
        largest = float(np.maximum(largest, gap.max(initial=0.0)))  # NaN stays NaN
        bad = ~(gap <= absolute + TOLERANCE * np.abs(wanted))
        if bad.any():
            kind = "predictions" if name == PREDICT else "probabilities"
            return f"{int(bad.sum())} of {bad.size} {kind} differ, by {largest:.3g} at most", largest
    return "", largest


def _plain(column: pd.Series, boolean: bool) -> list[Any]:
    values = [None if value != value else value for value in column.tolist()]
    return [None if value is None else bool(value) for value in values] if boolean else values
