"""How the model comes to its answers, in pictures."""

from __future__ import annotations

from typing import Any

from modelmill_trainer.interpretation import Contribution, Dependence, Explained, Interpretation
from modelmill_trainer.report.chart import (
    BLUE,
    GREEN,
    LABEL,
    VERMILLION,
    Axis,
    Chart,
    Entry,
    Figure,
)
from modelmill_trainer.report.figures import bars
from modelmill_trainer.report.quality import MAX_NAME, label_text
from modelmill_trainer.report.svg import cut, cut_letters, width_of

LINES = ((BLUE, ""), (VERMILLION, "7 3"), (GREEN, "2 3"))
"""Colour and dashes of each line, so that nobody has to tell them by colour alone."""
SHOWN_PARTS = 10


def dependences(found: Interpretation, target: str) -> list[Figure]:
    """Return the partial dependence on each feature."""
    return [_dependence(found, one, cut_letters(target, MAX_NAME)) for one in found.dependences]


def _dependence(found: Interpretation, one: Dependence, target: str) -> Figure:
    name = cut_letters(one.feature, MAX_NAME)
    labels = [cut_letters(label_text(label), MAX_NAME) for label in found.lines if label is not None]
    what = (
        f"probability of {labels[0]}"
        if len(labels) == 1
        else "probability of the class"
        if labels
        else f"predicted {target}"
    )
    low, high = float(one.answers.min()), float(one.answers.max())
    if labels:
        low, high = 0.0, max(high, 0.05)
    places = [float(value) for value in one.grid] if one.numeric else [float(place) for place in range(len(one.grid))]
    names = [] if one.numeric else [label_text(value) for value in one.grid]
    frequent = "most frequent " if names else ""
    told = (
        f"Mean answer for {found.sampled} rows of the hold-out when {name} has the same value in all of them; "
        f"{len(one.grid)} {frequent}values."
    )
    if len(labels) > 1:
        told += f" The {len(labels)} most frequent classes."
    chart = Chart(
        f"Partial dependence on {name}", told,
        Axis(name, names=names) if names else Axis(name, places[0], places[-1]), Axis(what, low, high),
        legend=[Entry(label, *style) for label, style in zip(labels, LINES, strict=False)] if len(labels) > 1 else (),
    )  # fmt: skip
    for line, (color, dashes) in zip(range(one.answers.shape[1]), LINES, strict=False):
        points = list(zip(places, one.answers[:, line].tolist(), strict=True))
        if names:
            # Beside each other, so that none hides another.
            chart.dots([(place + 0.12 * line, answer) for place, answer in points], color, 4)
        else:
            chart.line(points, color, 2, dashes)
            chart.dots(points, color, 2.5)
    head = [name, *(labels or [what])]
    grid = names or [f"{value:,.6g}" for value in places]
    rows = [
        [value, *(f"{answer:,.4g}" for answer in row)] for value, row in zip(grid, one.answers.tolist(), strict=True)
    ]
    return chart.figure(head, rows)


def explained(found: Interpretation, target: str) -> list[Figure]:
    """Return the contributions to the answer for each row."""
    return [
        _explained(one, cut_letters(target, MAX_NAME), classifies=found.lines != (None,)) for one in found.explained
    ]


def _explained(one: Explained, target: str, *, classifies: bool) -> Figure:
    answer, actual = _text(one.answer), _text(one.actual)
    what = f"probability of {answer}" if classifies else f"predicted {target}"
    told = (
        f"{one.why[:1].upper()}{one.why[1:]}: {what} is {one.score:,.4g}, and {one.base:,.4g} for rows of the hold-out on "
        f"average; actual: {actual}. Each bar is what the row's own value adds (Shapley value)"
    )
    error = max((item.error for item in one.contributions), default=0.0)
    told += f", with a standard error of at most {error:.2g}." if error else "."
    shown = [item for item in one.contributions if item.feature is not None][:SHOWN_PARTS]
    hidden = [item for item in one.contributions if item not in shown]
    items = [(_label(item), item.amount, _color(item.amount)) for item in shown]
    if hidden:
        count = sum(item.value if item.feature is None else 1 for item in hidden)
        amount = sum(item.amount for item in hidden)
        items.append((f"{count} others", amount, _color(amount)))
    rows = [
        [_name(item), "" if item.feature is None else _text(item.value), f"{item.amount:,.4g}", f"{item.error:.2g}"]
        for item in one.contributions
    ]
    title = f"Row {one.row} of the hold-out, answer {answer}"
    return bars(title, told, items, f"added to the {what}", ["feature", "value", "adds", "standard error"], rows)


def _color(amount: float) -> str:
    return BLUE if amount >= 0 else VERMILLION


def _name(item: Contribution) -> str:
    return f"{item.value} others together" if item.feature is None else cut_letters(item.feature, MAX_NAME)


def _label(item: Contribution) -> str:
    """Return `feature = value`, in which the value stays whole where it is short."""
    value = f" = {_text(item.value)}"
    # Isolated, so that a name that is read from the right does not turn the number round (Unicode, UAX 9).
    return f"\u2068{cut(item.feature or '', max(LABEL - width_of(value), LABEL / 2))}\u2069{value}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "missing" if value != value else f"{value:,.5g}"
    return cut_letters(label_text(value), MAX_NAME)
