"""Metrics that the built-in stages compute, by scikit-learn's names; which of them a model has hangs on its task and data."""

from __future__ import annotations

from typing import Final, Literal

Task = Literal["classification", "regression"]
REGRESSION_METRICS: Final = ("r2", "mae", "rmse", "mape")
CLASSIFICATION_METRICS: Final = (
    "accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "roc_auc", "log_loss",
)  # fmt: skip
LESS_IS_BETTER: Final = ("mae", "rmse", "mape", "log_loss")


def task_measured_by(metric: str) -> Task | None:
    """Return the task that has a metric, None for a name that the built-in stages do not compute."""
    if metric in CLASSIFICATION_METRICS:
        return "classification"
    return "regression" if metric in REGRESSION_METRICS else None
