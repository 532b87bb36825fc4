"""Charts: a drawing of the standard width with named axes, and the figure that it becomes on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelmill_trainer.report.svg import FONT, GREY, Drawing, LogScale, Scale, spoken, width_of

WIDTH, HEIGHT = 360.0, 300.0
"""Pixels of a chart: as wide as the page of a telephone, so that its letters are never made smaller."""
# Told apart by people who are colour-blind, and on a white page as on a dark one.
# Source: Okabe, Ito, Color Universal Design (2008)
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
LABEL = 150.0
"""Most pixels of the name of a class, a category or a feature."""
_TOP, _SIDE, _GAP = 12.0, 22.0, 6.0
_RATIO = 50.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with what people read beside it.

    title: what it shows. told: how to read it, a sentence or two; a screen reader says both. head, rows: a table of the same
    numbers, whose first column is text; none where there is no row.
    """

    title: str
    told: str
    svg: Markup
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis says. label: its name with the unit. low, high: ends of its numbers, or `names`: its places from 0.

    log: equal steps are equal factors.
    """

    label: str
    low: float = 0.0
    high: float = 1.0
    names: Sequence[str] = ()
    log: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a legend. dashes: lengths of dashes and gaps in pixels; empty for a whole line."""

    words: str
    color: str
    dashes: str = ""


class Chart:
    """A drawing with two axes. `across` and `up` map values to pixels."""

    def __init__(
        self, title: str, told: str, across: Axis, up: Axis, *, height: float = HEIGHT, legend: Sequence[Entry] = ()
    ) -> None:  # fmt: skip
        """Begin with the axes; each name gets the room that it needs, up to `LABEL` pixels. The legend is above the picture."""
        named = min(LABEL, max((width_of(name) for name in across.names), default=0.0) + FONT)
        turned = bool(across.names) and named > 0.8 * (WIDTH - 90) / len(across.names)
        below = 20 + (0.75 * named if turned else 0) + 24
        height += 0.6 * named if turned else 0.0
        top = _TOP + len(legend) * (FONT + 6)
        bottom = height - below
        self._bottom, self._top = bottom, top
        rough = _scale(up, bottom, top)
        ticks, words = _ticks(rough, up, len(up.names) or 6)
        self._left = _SIDE + min(LABEL, max((width_of(word) for word in words), default=0.0)) + 2 * _GAP
        self.up = rough
        self.across = _scale(across, self._left, WIDTH - 14)
        self._told = (title, told)
        self.drawing = Drawing(WIDTH, height, title, told)
        self._beside(ticks, words, up.label)
        self._below(across, turned=turned)
        for place, entry in enumerate(legend):
            middle = 6 + place * (FONT + 6)
            self.drawing.line([(self._left, middle), (self._left + 30, middle)], entry.color, 3, dashes=entry.dashes)
            self.drawing.text(self._left + 36, middle + FONT / 3, entry.words, most=WIDTH - self._left - 40)

    def figure(self, head: Sequence[str] = (), rows: Sequence[Sequence[str]] = ()) -> Figure:
        """Return the figure with a table of the same numbers."""
        return Figure(*self._told, self.drawing.markup(), head, rows)

    def bar(self, left: float, right: float, value: float, color: str = BLUE) -> None:
        """Draw a bar from 0 up to a value between two values across."""
        start, top = self.across(left), self.up(value)
        self.drawing.rect(start, top, self.across(right) - start, self.up(0) - top, color)

    def dots(self, points: Sequence[tuple[float, float]], color: str = BLUE, radius: float = 2.0) -> None:
        """Draw a dot for each (across, up)."""
        self.drawing.dots([(self.across(x), self.up(y)) for x, y in points], color, radius)

    def line(
        self, points: Sequence[tuple[float, float]], color: str = BLUE, width: float = 2.0, dashes: str = ""
    ) -> None:
        """Draw straight lines between (across, up)."""
        self.drawing.line([(self.across(x), self.up(y)) for x, y in points], color, width, dashes=dashes)

    def _beside(self, ticks: Sequence[float], words: Sequence[str], label: str) -> None:
        left, middle = self._left, (self._bottom + self._top) / 2
        self.drawing.line([(left, self._bottom), (left, self._top)], GREY)
        for value, word in zip(ticks, words, strict=True):
            y = self.up(value)
            self.drawing.line([(left - 4, y), (left, y)], GREY)
            self.drawing.text(left - _GAP, y + FONT / 3, word, anchor="end", most=LABEL)
        self.drawing.text(14, middle, label, anchor="middle", turn=-90, most=self._bottom - self._top)

    def _below(self, axis: Axis, *, turned: bool) -> None:
        bottom, drawing = self._bottom, self.drawing
        drawing.line([(self._left, bottom), (WIDTH - 14, bottom)], GREY)
        if axis.names:
            for place, name in enumerate(axis.names):
                x = self.across(place)
                drawing.line([(x, bottom), (x, bottom + 4)], GREY)
                if turned:
                    # The first name reaches out to the left by as much as down.
                    most = min(LABEL, (x - 4) * 1.4)
                    drawing.text(x + 4, bottom + 14, name, anchor="end", turn=-45, most=most)
                else:
                    drawing.text(x, bottom + 18, name, anchor="middle", most=LABEL)
        else:
            bottom_ticks(drawing, self.across, bottom, WIDTH)
        most = WIDTH - self._left - 14
        middle = (self._left + WIDTH - 14) / 2
        drawing.text(middle, drawing.height - 6, axis.label, anchor="middle", most=most)


def bottom_ticks(drawing: Drawing, scale: Scale, y: float, width: float) -> None:
    """Draw ticks and their numbers below y, as many as there is room for within `width` pixels."""
    placed: list[tuple[float, float, str]] = []
    for most in (6, 5, 4, 3, 2, 1):
        values = scale.ticks(most)
        words = spoken(values)
        wide = [width_of(word) for word in words]
        places = [min(max(scale(value), size / 2), width - size / 2) for value, size in zip(values, wide, strict=True)]
        placed = list(zip(values, places, words, strict=True))
        ends = [place + size / 2 for place, size in zip(places, wide, strict=True)]
        begins = [place - size / 2 for place, size in zip(places, wide, strict=True)]
        if all(begin - end >= _GAP for end, begin in zip(ends, begins[1:], strict=False)):
            break
    else:
        placed = placed[:1]
    for value, place, word in placed:
        drawing.line([(scale(value), y), (scale(value), y + 4)], GREY)
        drawing.text(place, y + 18, word, anchor="middle")


def spans_decades(values: Sequence[float]) -> bool:
    """Tell whether numbers are looked at better on a scale of ratios: all above 0, one many times as great as another."""
    return bool(values) and min(values) > 0 and max(values) >= _RATIO * min(values)


def _scale(axis: Axis, start: float, end: float) -> Scale:
    if axis.names:
        return Scale(-0.5, len(axis.names) - 0.5, start, end)
    return LogScale(axis.low, axis.high, start, end) if axis.log else Scale(axis.low, axis.high, start, end)


def _ticks(scale: Scale, axis: Axis, most: int) -> tuple[list[float], list[str]]:
    if axis.names:
        return [float(place) for place in range(len(axis.names))], list(axis.names)
    values = scale.ticks(most)
    return values, spoken(values)
