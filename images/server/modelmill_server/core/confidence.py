"""How sure a classifier was of what it answered: the probability of the predicted class, in a byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

STEPS: Final = 250  # of a probability: a multiple of 10, so that deciles are exact
UNKNOWN: Final = 255
ROUNDING: Final = 1e-3  # a forest in single precision is sure by 1.0000001
FEW_ROWS: Final = 16  # up to here a loop is faster than numpy


def confidences(predictions: Sequence[Any], probabilities: Any, places: Mapping[Any, int]) -> bytes:
    """Return for each row the probability of its predicted class in steps of 1/250, or 255 where it is not known.

    probabilities: a numpy array of floats [rows, classes]; a model's own may be anything. places: the column of each label.
    """
    if len(predictions) <= FEW_ROWS:
        found = bytearray()
        for row, label in enumerate(predictions):
            place = places.get(label)
            value = -1.0 if place is None else probabilities.item(row, place)
            found.append(int(value * STEPS) if -ROUNDING <= value <= 1.0 + ROUNDING else UNKNOWN)
        return bytes(found)
    at = np.array([places.get(label, -1) for label in predictions])
    chosen = probabilities[np.arange(len(at)), at].astype(np.float64)
    known = (at >= 0) & (chosen >= -ROUNDING) & (chosen <= 1.0 + ROUNDING)
    return np.where(known, np.where(known, chosen, 0.0) * STEPS, UNKNOWN).astype(np.uint8).tobytes()


def decile(confidence: int) -> int | None:
    """Return the decile, 0 to 9, of such a byte; None where the probability is not known."""
    return None if confidence > STEPS else min(confidence * 10 // STEPS, 9)
