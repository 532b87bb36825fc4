"""How good the answers for the hold-out are, in pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelmill_trainer.report.chart import BLUE, LABEL, WIDTH, Axis, Chart, Figure, bottom_ticks
from modelmill_trainer.report.svg import FONT, GREY, Drawing, Scale, width_of

MAX_POINTS = 1000
MAX_BARS = 20
CELL = 36.0
_BLUE_PARTS = (0x00, 0x72, 0xB2)
_IN_CELLS = "#000000", "#ffffff"  # letters, whose ground does not change with that of the page


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray, target: str) -> Figure:
    """Return a scatter plot. actual, predicted: [rows], finite, in the unit of the target."""
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    chart = Chart(
        "Predicted against actual", f"A row that is predicted well lies on the line.{_shown(len(actual))}",
        Axis(f"actual {target}", low, high), Axis(f"predicted {target}", low, high),
    )  # fmt: skip
    chart.line([(low, low), (high, high)], GREY, 1)
    shown = thinned(len(actual))
    chart.dots(list(zip(actual[shown].tolist(), predicted[shown].tolist(), strict=True)))
    return chart.figure()


def residuals_against_prediction(gap: np.ndarray, predicted: np.ndarray, target: str) -> Figure:
    """Return a scatter plot. gap: [rows], predicted - actual; predicted: [rows], both in the unit of the target."""
    low, high = float(predicted.min()), float(predicted.max())
    least, most = min(0.0, float(gap.min())), max(0.0, float(gap.max()))
    chart = Chart(
        "Residuals against prediction",
        f"Without a pattern they lie around 0 alike for small and great predictions.{_shown(len(gap))}",
        Axis(f"predicted {target}", low, high), Axis("predicted - actual", least, most),
    )  # fmt: skip
    chart.line([(low, 0.0), (high, 0.0)], GREY, 1)
    shown = thinned(len(gap))
    chart.dots(list(zip(predicted[shown].tolist(), gap[shown].tolist(), strict=True)))
    return chart.figure()


def residuals(gap: np.ndarray, target: str) -> Figure:
    """Return a histogram. gap: [rows], predicted - actual, in the unit of the target."""
    scale = Scale(float(gap.min()), float(gap.max()), 0, 1)
    counts, edges = np.histogram(gap, bins=min(30, max(5, len(gap) // 8)), range=(scale.low, scale.high))
    chart = Chart(
        "Residuals", f"How often the prediction is off by how much; all {len(gap)} rows.",
        Axis(f"predicted - actual {target}", scale.low, scale.high), Axis("rows", 0, float(counts.max())),
    )  # fmt: skip
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        chart.bar(left, right, count)
    if scale.low <= 0 <= scale.high:
        chart.line([(0.0, 0.0), (0.0, float(counts.max()))], GREY, 1)
    return chart.figure()


def confusion(matrix: np.ndarray, labels: Sequence[str], told: str) -> Figure:
    """Return a confusion matrix. matrix: [classes, classes], rows counted by actual (down) and predicted class (across).

    A cell is the bluer, the greater its share of its row. told: what is said beside it.
    """
    title = "Confusion matrix"
    # Few classes get larger cells, and many smaller ones.
    cell = max(min(CELL, 400 / len(labels)), 160 / len(labels), width_of(str(matrix.max())) + 10)
    longest = min(LABEL, max(width_of(label) for label in labels) + FONT)
    left, top, side = longest + 40, 8.0, cell * len(labels)
    # The names below are turned by 45 degrees, so the first reaches out to the left as well.
    drawing = Drawing(left + side + 20, top + side + 0.75 * longest + 52, title, told)
    for row, down in enumerate(matrix.tolist()):
        middle = top + (row + 0.5) * cell
        drawing.text(left - 8, middle + FONT / 3, labels[row], anchor="end", most=LABEL)
        for column, count in enumerate(down):
            share = count / max(sum(down), 1)
            drawing.rect(left + column * cell, top + row * cell, cell, cell, shade(share))
            color = _IN_CELLS[share > 0.5]
            drawing.text(left + (column + 0.5) * cell, middle + FONT / 3, str(count), anchor="middle", color=color)
    drawing.line([(left, top), (left + side, top), (left + side, top + side), (left, top + side), (left, top)], GREY)
    for column, label in enumerate(labels):
        x, y = left + (column + 0.5) * cell, top + side + 16
        drawing.text(x + 4, y, label, anchor="end", turn=-45, most=LABEL)
    drawing.text(14, top + side / 2, "actual class", anchor="middle", turn=-90)
    drawing.text(left + side / 2, drawing.height - 6, "predicted class", anchor="middle")
    return Figure(title, told, drawing.markup())


def shade(share: float) -> str:
    """Return the colour of a share: white for 0, blue for 1."""
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in _BLUE_PARTS)


def roc(false_positive: np.ndarray, true_positive: np.ndarray, area: float, positive: str) -> Figure:
    """Return the ROC curve. false_positive, true_positive: [points], rates; area: under the curve; positive: the class."""
    chart = Chart(
        f"ROC curve, area {area:.3f}",
        f"Of the rows of class {positive} the share that is found, against the share of the others that is taken for it.",
        Axis("false positive rate"), Axis("true positive rate"),
    )  # fmt: skip
    chart.line([(0.0, 0.0), (1.0, 1.0)], GREY, 1)
    shown = thinned(len(false_positive))
    chart.line(list(zip(false_positive[shown].tolist(), true_positive[shown].tolist(), strict=True)))
    return chart.figure()


def importance(values: dict[str, float], score: str) -> Figure:
    """Return a bar for each of the `MAX_BARS` first features. score: what is lost, for people."""
    items = list(values.items())[:MAX_BARS]
    told = f"Loss of {score} on the hold-out when the values of the column are shuffled (permutation importance)."
    if len(values) > len(items):
        told += f" The {len(items)} most important of {len(values)} features that were tried."
    rows = [[name, f"{value:,.4g}"] for name, value in values.items()]
    return bars("Importance of the features", told, [(name, value, BLUE) for name, value in items], f"loss of {score}",
                ["feature", f"loss of {score}"], rows)  # fmt: skip


def bars(
    title: str, told: str, items: Sequence[tuple[str, float, str]], label: str, head: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> Figure:  # fmt: skip
    """Return a bar to the right or left for each (name, value, colour). label: of the axis; head, rows: the table."""
    room = min(LABEL, max((width_of(name) for name, _, _ in items), default=0.0) + FONT)
    left, height, top = room + 16, 22.0, 6.0
    bottom = top + height * len(items)
    drawing = Drawing(WIDTH, bottom + 46, title, told)
    numbers = [value for _, value, _ in items]
    across = Scale(min([0.0, *numbers]), max([0.0, *numbers]), left, WIDTH - 14)
    for place, (name, value, color) in enumerate(items):
        y = top + place * height
        start, end = sorted((across(0), across(value)))
        drawing.rect(start, y + 3, end - start, height - 6, color)
        drawing.text(left - 8, y + height / 2 + FONT / 3, name, anchor="end", most=LABEL)
    drawing.line([(left, bottom), (WIDTH - 14, bottom)], GREY)
    bottom_ticks(drawing, across, bottom, WIDTH)
    drawing.line([(across(0), top), (across(0), bottom)], GREY)
    drawing.text(WIDTH - 14, drawing.height - 6, label, anchor="end", most=WIDTH - 28)
    return Figure(title, told, drawing.markup(), head, rows)


def thinned(count: int, most: int = MAX_POINTS) -> np.ndarray:
    """Return at most so many places of 0 … count - 1, spread evenly, in order."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def _shown(rows: int) -> str:
    return f" {MAX_POINTS} of {rows} rows are drawn." if rows > MAX_POINTS else ""
