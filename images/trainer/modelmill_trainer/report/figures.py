"""Plots as inline SVG. Every plot has a table of the same numbers below it, so none carries meaning alone."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

MAX_POINTS = 1000
MAX_CLASSES = 20
MAX_BARS = 20
BLUE, RED, GREY = "#2563a8", "#b3372f", "#888888"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "modelmill",  # the same plot gives the same bytes
    "text.parse_math": False,  # a column's name may hold a dollar sign
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray) -> str:
    """Return a scatter plot beside a histogram of the residuals."""
    with _canvas(9.0, 3.6) as (figure, done):
        left, right = figure.subplots(1, 2)
        shown = _thinned(len(actual))
        left.scatter(actual[shown], predicted[shown], s=10, color=BLUE, alpha=0.6, linewidths=0)
        low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
        left.plot([low, high], [low, high], color=GREY, linewidth=1)
        left.set(xlabel="actual", ylabel="predicted", title="Predicted against actual")
        right.hist(predicted - actual, bins=min(30, max(5, len(actual) // 8)), color=BLUE)
        right.axvline(0, color=GREY, linewidth=1)
        right.set(xlabel="predicted - actual", ylabel="rows", title="Residuals")
    return done[0]


def confusion(matrix: np.ndarray, labels: Sequence[str]) -> str:
    """Return a confusion matrix, rows = actual."""
    size = min(1.8 + 0.45 * len(labels), 8.0)
    with _canvas(size + 1.0, size) as (figure, done):
        axes = figure.subplots()
        axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="predicted", ylabel="actual", title="Confusion")
        for row, column in np.ndindex(matrix.shape):
            share = matrix[row, column] / max(matrix[row].sum(), 1)
            axes.text(
                column,
                row,
                str(matrix[row, column]),
                ha="center",
                va="center",
                color="white" if share > 0.5 else "black",
            )
    return done[0]


def roc(false_positive: np.ndarray, true_positive: np.ndarray, area: float) -> str:
    """Return the ROC curve."""
    with _canvas(4.2, 3.6) as (figure, done):
        axes = figure.subplots()
        shown = _thinned(len(false_positive))
        axes.plot(false_positive[shown], true_positive[shown], color=BLUE)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title=f"ROC, area {area:.3f}")
    return done[0]


def importance(values: dict[str, float]) -> str:
    """Return a bar for each of the most important features."""
    items = list(values.items())[:MAX_BARS][::-1]
    with _canvas(7.0, 0.9 + 0.28 * len(items)) as (figure, done):
        axes = figure.subplots()
        axes.barh([_cut(name) for name, _ in items], [value for _, value in items], color=BLUE)
        axes.axvline(0, color=GREY, linewidth=1)
        axes.set(xlabel="loss of score when the column is shuffled", title="Importance on the hold-out")
    return done[0]


@contextmanager
def _canvas(width: float, height: float) -> Iterator[tuple[Any, list[str]]]:
    done: list[str] = []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="tight")
        FigureCanvasSVG(figure)
        yield figure, done
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        text = stream.getvalue()
        # Without the XML declaration and the document type, which have no place within HTML.
        done.append(text[text.index("<svg") :])


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(int))


def _cut(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"
