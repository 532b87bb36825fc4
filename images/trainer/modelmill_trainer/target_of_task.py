"""Whether an estimator can predict what the target has, told before anything is fitted: a search would fail trial by trial."""

from __future__ import annotations

import numpy as np
import pandas as pd

from modelmill.contracts.metrics import CLASSIFICATION_METRICS, REGRESSION_METRICS
from modelmill.contracts.spaces import task_of
from modelmill_trainer.failure import rejected
from modelmill_trainer.kinds import NUMBER, TEXT


def require_target_for(estimator: str, target: str, kind: str, values: pd.Series) -> None:
    """Raise StageError (TargetInvalid) for labels and a regressor, or for numbers with a fraction and a classifier.

    estimator: import path; of one without a documented space nothing is known here. values: of the target, [rows].
    """
    task = task_of(estimator)
    name = estimator.rpartition(".")[2]
    if task == "regression" and kind != NUMBER:
        what = "labels" if kind == TEXT else "true and false"
        mend = f"use a classifier; with estimator Auto a metric of classification: {', '.join(CLASSIFICATION_METRICS)}"
        raise rejected("TargetInvalid", f"data.target {target!r} has {what}, and {name} predicts numbers: {mend}")
    if task == "classification" and kind == NUMBER:
        numbers = pd.to_numeric(values, errors="coerce").to_numpy("float64")
        if bool(np.any(np.modf(numbers[np.isfinite(numbers)])[0] != 0)):
            mend = f"use a regressor; with estimator Auto a metric of regression: {', '.join(REGRESSION_METRICS)}"
            raise rejected(
                "TargetInvalid",
                f"data.target {target!r} has numbers with a fraction, and {name} predicts classes: {mend}",
            )
