"""How much a metric would differ on other rows of the same kind."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from modelmill_trainer.metrics import evaluate
from modelmill_trainer.models import Outputs

RESAMPLES: Final = 50
MOST_ROWS: Final = 2000


def standard_error(
    metric: str, task: str, target: np.ndarray, outputs: Outputs, classes: tuple[Any, ...], *, seed: int = 0
) -> float | None:
    """Return the standard error of a metric over the rows, in its unit; None for one that these rows do not have.

    target: [rows]; outputs: of as many rows. The bootstrap of Efron 1979, "Bootstrap Methods: Another Look at the Jackknife",
    with `RESAMPLES` samples; of more than `MOST_ROWS` rows it draws so many, and the error shrinks by the root of what is
    left out.
    """
    count = len(target)
    drawn = min(count, MOST_ROWS)
    draw = np.random.default_rng(seed)
    values = []
    for _ in range(RESAMPLES):
        rows = draw.integers(0, count, drawn)
        sampled = {name: array[rows] for name, array in outputs.items()}
        value = evaluate(task, target[rows], sampled, classes).get(metric)
        if value is not None and math.isfinite(value):
            values.append(value)
    # A resample may lack a class that a metric needs; of a few values no error is told.
    if len(values) < RESAMPLES // 2:
        return None
    return float(np.std(values, ddof=1)) * math.sqrt(drawn / count)
