"""Plots as inline SVG. Every plot has a table of the same numbers below it, so none carries meaning alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from modelmill_trainer.report.svg import BLACK, FONT, GREY, Drawing, Scale, spoken, width_of

MAX_POINTS = 1000
MAX_BARS = 20
BLUE = "#2563a8"
CELL = 36.0
LABEL = 170.0
"""Most pixels of the name of a class or feature."""
_BLUE_PARTS = (0x25, 0x63, 0xA8)


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray) -> Markup:
    """Return a scatter plot. actual, predicted: [rows], finite."""
    drawing = Drawing(430, 370, "Predicted against actual")
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    across, up = Scale(low, high, 70, 415), Scale(low, high, 310, 35)
    _axes(drawing, across, up, "Predicted against actual", "actual", "predicted")
    drawing.line([(across(low), up(low)), (across(high), up(high))], GREY)
    shown = _thinned(len(actual))
    drawing.dots([(across(x), up(y)) for x, y in zip(actual[shown], predicted[shown], strict=True)], BLUE)
    return drawing.markup()


def residuals(gap: np.ndarray) -> Markup:
    """Return a histogram. gap: [rows], predicted - actual."""
    drawing = Drawing(430, 370, "Residuals")
    across = Scale(float(gap.min()), float(gap.max()), 70, 415)
    counts, edges = np.histogram(gap, bins=min(30, max(5, len(gap) // 8)), range=(across.low, across.high))
    up = Scale(0, float(counts.max()), 310, 35)
    for count, left, right in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        top = up(count)
        drawing.rect(across(left), top, across(right) - across(left), up(0) - top, BLUE)
    _axes(drawing, across, up, "Residuals", "predicted - actual", "rows")
    if across.low <= 0 <= across.high:
        drawing.line([(across(0), up(up.low)), (across(0), up(up.high))], GREY)
    return drawing.markup()


def confusion(matrix: np.ndarray, labels: Sequence[str]) -> Markup:
    """Return a confusion matrix. matrix: [classes, classes], rows counted by actual (down) and predicted class (across).

    A cell is the bluer, the greater its share of its row.
    """
    title = "Confusion: share of the actual class"
    # Few classes get larger cells, so that the words above and below have room.
    cell = max(CELL, width_of(title) / len(labels), width_of(str(matrix.max())) + 10)
    longest = min(LABEL, max(width_of(label) for label in labels) + FONT)
    left, top, side = longest + 40, 34.0, cell * len(labels)
    # The names below are turned by 45 degrees, so the first reaches out to the left as well.
    drawing = Drawing(left + side + 20, top + side + 0.75 * longest + 44, "Confusion matrix")
    drawing.text(left, 18, title)
    for row, down in enumerate(matrix.tolist()):
        middle = top + (row + 0.5) * cell
        drawing.text(left - 8, middle + FONT / 3, labels[row], anchor="end", most=LABEL)
        for column, count in enumerate(down):
            share = count / max(sum(down), 1)
            drawing.rect(left + column * cell, top + row * cell, cell, cell, shade(share))
            color = "#ffffff" if share > 0.5 else BLACK
            drawing.text(left + (column + 0.5) * cell, middle + FONT / 3, str(count), anchor="middle", color=color)
    drawing.line([(left, top), (left + side, top), (left + side, top + side), (left, top + side), (left, top)], GREY)
    for column, label in enumerate(labels):
        x, y = left + (column + 0.5) * cell, top + side + 16
        drawing.text(x + 4, y, label, anchor="end", turn=-45, most=LABEL)
    drawing.text(14, top + side / 2, "actual", anchor="middle", turn=-90)
    drawing.text(left + side / 2, top + side + 0.75 * longest + 36, "predicted", anchor="middle")
    return drawing.markup()


def shade(share: float) -> str:
    """Return the colour of a share: white for 0, blue for 1."""
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in _BLUE_PARTS)


def roc(false_positive: np.ndarray, true_positive: np.ndarray, area: float) -> Markup:
    """Return the ROC curve. false_positive, true_positive: [points], rates; area: under the curve."""
    drawing = Drawing(400, 370, f"ROC curve, area {area:.3f}")
    across, up = Scale(0, 1, 60, 385), Scale(0, 1, 310, 35)
    _axes(drawing, across, up, f"ROC, area {area:.3f}", "false positive rate", "true positive rate")
    drawing.line([(across(0), up(0)), (across(1), up(1))], GREY)
    shown = _thinned(len(false_positive))
    points = zip(false_positive[shown], true_positive[shown], strict=True)
    drawing.line([(across(x), up(y)) for x, y in points], BLUE, 2)
    return drawing.markup()


def importance(values: dict[str, float]) -> Markup:
    """Return a bar for each of the `MAX_BARS` first features."""
    items = list(values.items())[:MAX_BARS]
    label = min(LABEL, max((width_of(name) for name, _ in items), default=0.0) + FONT)
    left, height = label + 16, 22.0
    bottom = 34 + height * len(items)
    drawing = Drawing(left + 415, bottom + 48, "Importance of the features")
    numbers = [value for _, value in items]
    across = Scale(min([0.0, *numbers]), max([0.0, *numbers]), left, left + 395)
    drawing.text(left, 18, "Importance on the hold-out")
    for place, (name, value) in enumerate(items):
        y = 34 + place * height
        start, end = sorted((across(0), across(value)))
        drawing.rect(start, y + 3, end - start, height - 6, BLUE)
        drawing.text(left - 8, y + height / 2 + FONT / 3, name, anchor="end", most=LABEL)
    _bottom_axis(drawing, across, bottom, "loss of score when the column is shuffled")
    drawing.line([(across(0), 34), (across(0), bottom)], GREY)
    return drawing.markup()


def _axes(drawing: Drawing, across: Scale, up: Scale, title: str, below: str, beside: str) -> None:
    bottom, left = up(up.low), across(across.low)
    drawing.text(left, 18, title)
    _bottom_axis(drawing, across, bottom, below)
    drawing.line([(left, bottom), (left, up(up.high))], GREY)
    ticks = up.ticks()
    for value, words in zip(ticks, spoken(ticks), strict=True):
        drawing.line([(left - 4, up(value)), (left, up(value))], GREY)
        drawing.text(left - 7, up(value) + FONT / 3, words, anchor="end")
    drawing.text(14, (bottom + up(up.high)) / 2, beside, anchor="middle", turn=-90)


def _bottom_axis(drawing: Drawing, across: Scale, y: float, below: str) -> None:
    drawing.line([(across(across.low), y), (across(across.high), y)], GREY)
    ticks = across.ticks()
    for value, words in zip(ticks, spoken(ticks), strict=True):
        drawing.line([(across(value), y), (across(value), y + 4)], GREY)
        drawing.text(across(value), y + 18, words, anchor="middle")
    drawing.text((across(across.low) + across(across.high)) / 2, y + 38, below, anchor="middle")


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(int))
