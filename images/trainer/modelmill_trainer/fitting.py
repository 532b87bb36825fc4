"""A pipeline fitted, with what an estimator says meanwhile."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.pipeline import Pipeline

from modelmill_trainer.failure import StageError


def fit(model: Pipeline, x: Any, y: Any, *, told: bool = True) -> None:
    """Fit the model and print its warnings if they are to be `told`.

    Raises StageError (TrainingFailed) with the estimator's own words.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            model.fit(x, y)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # an estimator may raise anything
            first = str(error).split("\n\n", maxsplit=1)[0]
            raise StageError(
                "TrainingFailed", f"{type(model.steps[-1][1]).__name__}.fit: {type(error).__name__}: {first}"
            ) from error
    if not told:
        return
    for text in dict.fromkeys(str(warning.message).split("\n", maxsplit=1)[0] for warning in caught):
        print(f"train: warning: {text}", flush=True)
