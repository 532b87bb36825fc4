"""SVG drawn by hand: its words stay text, which the browser draws with its own fonts, whatever their script."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence

from markupsafe import Markup

FONT = 12.0
"""Height of the letters in pixels."""
INK, GREY = "currentColor", "#888888"
"""Letters have the colour of the page's own, which is light on a dark screen."""
MAX_TOLD = 400
"""Most letters that are shown when the pointer rests on words that were cut."""
# Widths of a Latin letter, a capital, a broad one and a Chinese letter, as a part of their height.
_NARROW, _CAPITAL, _BROAD, _WIDE = 0.63, 0.77, 0.99, 1.05
_INVISIBLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


class Drawing:
    """A picture of `width` x `height` pixels. Coordinates are pixels from the upper left corner."""

    def __init__(self, width: float, height: float, title: str, told: str = "") -> None:
        """Begin a picture. title, told: what a screen reader says, its name and what is to be seen in it."""
        self.width, self.height = width, height
        self._title, self._told = visible(title), visible(told)
        self._parts: list[Markup] = []

    def rect(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Draw a filled rectangle without a border."""
        markup = Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}"/>')
        self._parts.append(markup.format(_short(x), _short(y), _short(width), _short(height), fill))

    def line(
        self, points: Iterable[tuple[float, float]], color: str, width: float = 1.0, *, dashes: str = "", opacity: float = 1.0
    ) -> None:  # fmt: skip
        """Draw straight lines from point to point. dashes: lengths of dashes and gaps in pixels; left out, one whole line."""
        text = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
        drawn = Markup(' stroke-dasharray="{}"').format(dashes) if dashes else Markup("")
        seen = Markup(' stroke-opacity="{}"').format(_short(opacity)) if opacity < 1 else Markup("")
        markup = Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="{}"{}{}/>')
        self._parts.append(markup.format(text, color, _short(width), drawn, seen))

    def dots(self, points: Iterable[tuple[float, float]], color: str, radius: float = 2.0) -> None:
        """Draw round, half transparent dots; nothing without points."""
        # One path with lines of no length is a fifth of the bytes of as many circles.
        text = "".join(f"M{_short(x)} {_short(y)}h0" for x, y in points)
        if not text:
            return
        markup = Markup('<path d="{}" stroke="{}" stroke-width="{}" stroke-linecap="round" stroke-opacity=".6"/>')
        self._parts.append(markup.format(text, color, _short(2 * radius)))

    def text(
        self, x: float, y: float, words: str, *, anchor: str = "start", color: str = INK, size: float = FONT,
        turn: float = 0.0, most: float = math.inf, halo: bool = False,
    ) -> None:  # fmt: skip
        """Write one line with its base line at y.

        anchor: which end of the words is at x (start, middle, end). turn: degrees clockwise about (x, y). most: pixels, beyond
        which the words are cut; all of them are then shown when the pointer rests on them. halo: a rim of the page's
        colour, for words that lie over lines.
        """
        shown = cut(words, most, size)
        whole = Markup("<title>{}</title>").format(cut_letters(words, MAX_TOLD)) if shown != visible(words) else ""
        turned = Markup(' transform="rotate({} {} {})"').format(_short(turn), _short(x), _short(y)) if turn else ""
        rim = Markup(' stroke="Canvas" stroke-width="4" paint-order="stroke"') if halo else Markup("")
        markup = Markup('<text x="{}" y="{}" text-anchor="{}" font-size="{}" fill="{}"{}{}>{}{}</text>')
        self._parts.append(markup.format(_short(x), _short(y), anchor, _short(size), color, turned, rim, whole, shown))

    def markup(self) -> Markup:
        """Return the `svg` element."""
        width, height = (_short(math.ceil(value)) for value in (self.width, self.height))
        head = Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{}" height="{}" viewBox="0 0 {} {}" '
            'font-family="system-ui, sans-serif"><title>{}</title><desc>{}</desc>\n'
        ).format(width, height, width, height, self._title, self._told)
        return head + Markup("\n").join(self._parts) + Markup("\n</svg>")


class Scale:
    """A linear map of the values from low to high to the pixels from start to end."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        """Make the map; values that are as good as equal get some room around them."""
        size = max(abs(low), abs(high))
        if high - low <= 1e-12 * size + 1e-300:  # no room for steps between them
            low, high = low - (size / 2 or 1.0), high + (size / 2 or 1.0)
        self.low, self.high = low, high
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return self._start + (value - self.low) / (self.high - self.low) * (self._end - self._start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return at most `most` + 1 round values within the scale, in steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


class LogScale(Scale):
    """The map of a scale of ratios: equal steps are equal factors. Both ends are above 0."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        """Make the map of the values from low to high."""
        self._powers = Scale(math.log10(low), math.log10(high), start, end)
        super().__init__(low, high, start, end)

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return self._powers(math.log10(value))

    def ticks(self, most: int = 6) -> list[float]:
        """Return at most `most` + 1 powers of ten, or round values where the scale has not two of them."""
        first, last = math.ceil(self._powers.low - 1e-9), math.floor(self._powers.high + 1e-9)
        if last <= first:
            return super().ticks(most)
        step = math.ceil((last - first) / most)
        return [10.0**power for power in range(first, last + 1, step)]


def spoken(values: Sequence[float]) -> list[str]:
    """Return tick labels: as many digits as tell neighbours apart."""
    texts: list[str] = []
    for digits in (6, 9, 12, 17):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) == len(values):
            break
    return texts


def visible(words: str) -> str:
    """Return the words on one line: a space for whatever breaks lines or has no shape."""
    return "".join(" " if unicodedata.category(letter) in _INVISIBLE else letter for letter in words)


def cut_letters(words: str, most: int) -> str:
    """Return the visible words, ended with `…` where they have more than `most` letters."""
    return visible(words if len(words) <= most else words[: most - 1] + "…")


def width_of(words: str, size: float = FONT) -> float:
    """Return about how many pixels the words take; only the browser knows its font."""
    return size * sum(_letter_width(letter) for letter in words)


def cut(words: str, most: float, size: float = FONT) -> str:
    """Return the visible words, ended with `…` where they would be wider than `most` pixels."""
    words = visible(words)
    if len(words) * size * _WIDE <= most or width_of(words, size) <= most:
        return words
    kept, room = [], most - size
    for letter in words:
        room -= size * _letter_width(letter)
        if room < 0:
            break
        kept.append(letter)
    return "".join(kept) + "…"


def _letter_width(letter: str) -> float:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return _WIDE
    return _BROAD if letter in "mwMW@%" else _CAPITAL if letter.isupper() else _NARROW


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
