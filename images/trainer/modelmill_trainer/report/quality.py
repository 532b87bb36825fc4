"""What the report says about the answers for the hold-out: the figures, and a table of the same numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_curve

from modelmill_trainer.report import figures
from modelmill_trainer.report.calibration import calibration
from modelmill_trainer.report.chart import Figure
from modelmill_trainer.report.svg import cut_letters

MAX_CLASSES = 20
MAX_NAME = 60
"""Most letters of a name within a sentence."""
PERCENTILES = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True, slots=True)
class Quality:
    """caption, head and rows: a table, whose first column is text and whose others are numbers."""

    plots: list[Figure]
    caption: str
    head: list[str]
    rows: list[list[str]]


def of_regression(actual: np.ndarray, predicted: np.ndarray, target: str) -> Quality:
    """Return the quality of a regression. actual, predicted: [rows], finite numbers in the unit of the `target`."""
    actual, predicted = actual.astype("float64"), predicted.astype("float64")
    gap, target = predicted - actual, cut_letters(target, MAX_NAME)
    return Quality(
        [
            figures.predicted_against_actual(actual, predicted, target),
            figures.residuals_against_prediction(gap, predicted, target),
            figures.residuals(gap, target),
        ],
        f"Residuals (predicted - actual) on the hold-out, in the unit of {target}",
        ["percentile", *(f"{share}%" for share in PERCENTILES)],
        [["residual", *(f"{value:,.4g}" for value in np.percentile(gap, PERCENTILES))]],
    )


def of_classes(
    classes: tuple[Any, ...], actual: np.ndarray, predicted: np.ndarray, chances: np.ndarray | None, area: float | None
) -> Quality:
    """Return the quality of a classifier.

    classes: the labels it knows. actual, predicted: [rows], labels, which may be others. chances: [rows, classes],
    probabilities. area: under the ROC curve, of a classifier of two classes.
    """
    truth, guess = actual.tolist(), predicted.tolist()
    counts = Counter(truth)
    ordered = sorted({*classes, *truth, *guess}, key=lambda label: (-counts[label], label_text(label)))
    matrix, labels = _matrix(ordered, truth, guess)
    more = f"; the {MAX_CLASSES} most frequent of {len(ordered)} classes" if len(ordered) > MAX_CLASSES else ""
    told = f"Rows of the hold-out by actual class (down) and predicted class (across){more}"
    plots = [figures.confusion(matrix, labels, f"{told}. The bluer, the greater the share of the actual class.")]
    if chances is not None:
        plots.append(_calibration(classes, truth, np.clip(chances.astype("float64"), 0, 1)))
    if area is not None and chances is not None:
        ones = np.array([label == classes[1] for label in truth])
        false_positive, true_positive, _ = roc_curve(ones, chances[:, 1])
        plots.append(figures.roc(false_positive, true_positive, area, _named(classes[1])))
    return Quality(
        plots,
        told,
        ["actual", *labels],
        [[label, *(str(count) for count in row)] for label, row in zip(labels, matrix.tolist(), strict=True)],
    )


def _calibration(classes: tuple[Any, ...], truth: list[Any], chances: np.ndarray) -> Figure:
    """Return the calibration of the second of two classes, else of the class that is predicted, whichever it is."""
    if len(classes) == 2:
        return calibration(
            chances[:, 1], np.array([label == classes[1] for label in truth]), f"class {_named(classes[1])}"
        )
    best = chances.argmax(axis=1)
    right = np.array([label == classes[place] for label, place in zip(truth, best.tolist(), strict=True)])
    return calibration(chances.max(axis=1), right, "the class that is predicted")


def _named(label: Any) -> str:
    return cut_letters(label_text(label), MAX_NAME)


def label_text(label: Any) -> str:
    """Return how a class is written."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(label) or "(empty)"


def _matrix(ordered: list[Any], truth: list[Any], guess: list[Any]) -> tuple[np.ndarray, list[str]]:
    """Return the rows counted by [actual, predicted] and the names of the classes; those beyond the cap count as one."""
    place = {label: min(number, MAX_CLASSES) for number, label in enumerate(ordered)}
    size = min(len(ordered), MAX_CLASSES + 1)
    matrix = np.zeros((size, size), dtype=int)
    for one, other in zip(truth, guess, strict=True):
        matrix[place[one], place[other]] += 1
    names = [label_text(label) for label in ordered[:MAX_CLASSES]]
    if len(ordered) > MAX_CLASSES:
        names.append(f"{len(ordered) - MAX_CLASSES} others")
    return matrix, names
