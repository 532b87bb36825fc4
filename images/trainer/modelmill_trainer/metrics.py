"""How good a model is on the hold-out, in scikit-learn's metrics."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics

from modelmill_trainer.failure import StageError
from modelmill_trainer.model_document import CLASSIFICATION
from modelmill_trainer.models import PREDICT, PROBABILITIES, Outputs
from modelmill_trainer.plain_files import NotPlain, is_left, open_plain

MAX_OWN_METRICS = 32
MAX_OWN_BYTES = 1 << 20
ROUNDING = 1e-3
METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]{0,127}")


def evaluate(task: str, target: np.ndarray, outputs: Outputs, classes: tuple[Any, ...]) -> dict[str, float]:
    """Return the metrics of a task that make sense for these rows.

    mape only without targets near zero; roc_auc for two classes that both occur; log_loss when every label is a known class
    and no probability is negative but by rounding.
    Raises StageError (ModelInvalid) when predictions are not finite.
    """
    if task == CLASSIFICATION:
        return _classification(target, outputs, classes)
    return _regression(target, outputs[PREDICT])


def _regression(target: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    predicted = predicted.astype("float64")
    require_finite({PREDICT: predicted}, "of the hold-out")
    target = target.astype("float64")
    found = {
        "r2": float(metrics.r2_score(target, predicted)),
        "mae": float(metrics.mean_absolute_error(target, predicted)),
        "rmse": float(metrics.root_mean_squared_error(target, predicted)),
    }
    if np.abs(target).min() > 1e-6 * np.abs(target).max():
        found["mape"] = float(metrics.mean_absolute_percentage_error(target, predicted))
    return found


def _classification(target: np.ndarray, outputs: Outputs, classes: tuple[Any, ...]) -> dict[str, float]:
    place = {label: index for index, label in enumerate(classes)}
    # A label that the model has never seen is a class of its own, and always a mistake.
    truth = np.array([place.get(label, len(classes)) for label in target.tolist()])
    guess = np.array([place.get(label, len(classes) + 1) for label in outputs[PREDICT].tolist()])
    if (guess > len(classes)).all():
        raise StageError(
            "ModelInvalid",
            f"the model predicts {outputs[PREDICT][0]!r}, which is none of its classes {list(classes)[:10]}",
        )
    found = {
        "accuracy": float(metrics.accuracy_score(truth, guess)),
        "balanced_accuracy": float(
            metrics.recall_score(truth, guess, labels=sorted(set(truth)), average="macro", zero_division=0)
        ),
    }
    for name, score in (
        ("f1", metrics.f1_score),
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
    ):
        found[f"{name}_macro"] = float(score(truth, guess, average="macro", zero_division=0))
    probabilities = outputs.get(PROBABILITIES)
    if probabilities is None:
        return found
    require_finite({PROBABILITIES: probabilities}, "of the hold-out")
    if len(classes) == 2 and set(truth) == {0, 1}:
        found["roc_auc"] = float(metrics.roc_auc_score(truth, probabilities[:, 1]))
    chances = _chances(probabilities)
    if chances is not None and (truth < len(classes)).all():
        found["log_loss"] = float(metrics.log_loss(truth, chances, labels=list(range(len(classes)))))
    return found


def _chances(probabilities: np.ndarray) -> np.ndarray | None:
    """Return [rows, classes] probabilities that sum to 1; None where they are none.

    A forest in ONNX adds its trees up in single precision: then one is a little above 1 and the other a little below 0.
    """
    chances = probabilities.astype("float64")
    if (chances < -ROUNDING).any():
        return None
    chances = chances.clip(min=0.0)
    total = chances.sum(axis=1, keepdims=True)
    return chances / total if (total > 0).all() else None


def require_finite(outputs: Outputs, rows: str) -> None:
    """Raise StageError (ModelInvalid) when predictions or probabilities are NaN or infinite. rows: which ones, for people."""
    for name, values in outputs.items():
        if values.dtype.kind != "f":
            continue
        bad = int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())
        if bad:
            what = "predicts" if name == PREDICT else "gives probabilities that are"
            raise StageError("ModelInvalid", f"the model {what} NaN or infinity for {bad} of {len(values)} rows {rows}")


def own_metrics(path: Path) -> dict[str, float]:
    """Return what the train stage measured itself. Raises StageError (MetricInvalid) naming the metric."""
    if not is_left(path):
        return {}
    try:
        with open_plain(path, sys.maxsize) as stream:
            raw = json.loads(stream.read(MAX_OWN_BYTES))["metrics"]
        items = list(raw.items())
    except NotPlain as error:
        raise StageError("MetricInvalid", str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StageError("MetricInvalid", f'{path.name} must be {{"metrics": {{"name": number}}}}') from None
    if len(items) > MAX_OWN_METRICS:
        raise StageError("MetricInvalid", f"{path.name} has {len(items)} metrics: at most {MAX_OWN_METRICS}")
    return {_named(path.name, name): _finite(path.name, name, value) for name, value in items}


def _named(file: str, name: str) -> str:
    if METRIC_NAME.fullmatch(name) is None:
        raise StageError(
            "MetricInvalid",
            f"{file}: the name {name[:80]!r} is none for a metric: a letter, then at most 127 letters, digits and _ . - / @",
        )
    return name


def _finite(file: str, name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number beyond the floats
        number = math.inf
    if not math.isfinite(number):
        raise StageError("MetricInvalid", f"{file}: {name} is {str(value)[:40]}: a metric must be a finite number")
    return number


def primary_of(task: str, metric: str | None, direction: str) -> tuple[str, str]:
    """Return the primary metric and its direction; left out, r2 or accuracy."""
    if metric is None:
        return ("accuracy" if task == CLASSIFICATION else "r2"), "Maximize"
    return metric, direction
