"""The space of a search: which parameters a trial has, which values they may have, and how values become texts.

Values are kept as texts, so that 16 and '16' are one choice, and a float is the shortest text that reads as it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import floor, prod

from modelmill.api.tuning import Parameter, Tuning
from modelmill.contracts import spaces

Values = Mapping[str, str]
"""Parameters of one trial by name; those that hang on another value are left out."""
COUNTED = 100_000
"""Combinations up to here are counted and told apart; a space with more has no end in practice."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter. choices: of a categorical one, as texts. when: name and value that it hangs on."""

    name: str
    low: float | int = 0
    high: float | int = 0
    log: bool = False
    step: float | int | None = None
    choices: tuple[str, ...] = ()
    when: tuple[str, str] | None = None

    @property
    def integer(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int)

    def holds(self, text: str) -> bool:
        """Tell whether a text is one of its values."""
        if self.choices:
            return text in self.choices
        try:
            number = int(text) if self.integer else float(text)
        except ValueError:
            return False
        return bool(self.low <= number <= self.high)

    def active(self, values: Values) -> bool:
        """Tell whether a trial with these values of the axes before has a value here."""
        return self.when is None or values.get(self.when[0]) == self.when[1]

    def count(self) -> int | None:
        """Return how many values it has; None when there is no end of them."""
        if self.choices:
            return len(self.choices)
        if self.step is None:
            return 1 if self.low == self.high else None
        return self.steps() + 1

    def value_at(self, place: int) -> str:
        """Return the value at a place from 0 below `count`."""
        if self.choices:
            return self.choices[place]
        if self.integer:
            return str(int(self.low) + place * int(self.step or 1))
        return text_of(float(Decimal(repr(self.low)) + place * Decimal(repr(float(self.step or 0)))))

    def nearest(self, text: str) -> str:
        """Return the value that is nearest to one in the range: that of a seed trial may lie between two steps."""
        if self.choices:
            return text
        return text_of(float(text)) if self.step is None else self.value_at(self.place_of(text))

    def place_of(self, text: str) -> int:
        """Return the place of the step that is nearest to a number."""
        return min(max(round((float(text) - self.low) / (self.step or 1)), 0), self.steps())

    def steps(self) -> int:
        """Return how many steps there are from the least to the greatest value."""
        # As decimals: of 0.3 / 0.1 the floor as doubles is 2.
        width = Decimal(repr(self.high)) - Decimal(repr(self.low))
        return floor(width / Decimal(repr(self.step)))


def text_of(value: float | int | str) -> str:
    """Return a value as it is kept: the shortest text that reads as the same."""
    return value if isinstance(value, str) else repr(value)


def space_of(tuning: Tuning, estimator: str | None = None, metric: str = "") -> tuple[Axis, ...]:
    """Return the axes of a search, those that others hang on first.

    estimator, metric: of the built-in stage and the objective, which a space of ours follows from. Raises ValueError as
    `spaces.estimators_of` does, naming the field.
    """
    if tuning.space is not None:
        try:
            return tuple(_known(one) for one in spaces.space(spaces.estimators_of(estimator or "", metric)))
        except ValueError as error:
            raise ValueError(f"spec.tuning.space: {error}") from error
    given = tuning.parameters or ()
    parents = {one.name: one.when.parameter for one in given if one.when is not None}
    return tuple(_axis(one) for one in sorted(given, key=lambda one: _depth(one.name, parents)))


def _depth(name: str, parents: Mapping[str, str]) -> int:
    """Return on how many others a parameter hangs, one after the other."""
    depth = 0
    while name in parents and depth <= len(parents):
        name, depth = parents[name], depth + 1
    return depth


def _known(one: spaces.Dimension) -> Axis:
    if one.choices:
        return Axis(one.name, choices=one.choices, when=one.when)
    if one.integer:
        return Axis(one.name, int(one.low), int(one.high), one.log, 1, when=one.when)
    return Axis(one.name, one.low, one.high, one.log, when=one.when)


def fits(values: Values, space: Sequence[Axis]) -> bool:
    """Tell whether a trial's parameters are a combination of the space."""
    axes = {axis.name: axis for axis in space}
    return all(name in axes and axes[name].holds(text) for name, text in values.items())


def _axis(one: Parameter) -> Axis:
    when = (one.when.parameter, str(one.when.equals)) if one.when is not None else None
    if one.categorical is not None:
        return Axis(one.name, choices=tuple(dict.fromkeys(map(str, one.categorical.choices))), when=when)
    if one.int_range is not None:
        whole = one.int_range
        return Axis(one.name, whole.low, whole.high, whole.log, whole.step, when=when)
    if one.float_range is None:
        raise ValueError(f"spec.tuning.parameters: {one.name} has neither float, int nor categorical")
    span = one.float_range
    step = float(span.step) if span.step is not None else None
    return Axis(one.name, float(span.low), float(span.high), span.log, step, when=when)


def seed_trials(tuning: Tuning, space: Sequence[Axis]) -> list[dict[str, str]]:
    """Return the seed trials as values of the space; a parameter that hangs on another value of the same trial is left out."""
    return [_seed({name: str(value) for name, value in one.items()}, space) for one in tuning.seed_trials]


def _seed(given: Values, space: Sequence[Axis]) -> dict[str, str]:
    return {axis.name: axis.nearest(given[axis.name]) for axis in space if axis.name in given}


def size(space: Sequence[Axis]) -> int | None:
    """Return how many combinations there are; None when there is no end of them, or there are more than `COUNTED`."""
    counts = [axis.count() for axis in space]
    if any(count is None for count in counts):
        return None
    most = prod(count for count in counts if count is not None)
    if most <= COUNTED:
        return sum(1 for _ in combinations(space))
    if all(axis.when is None for axis in space):
        return None
    found = 0
    for _ in combinations(space):
        found += 1
        if found > COUNTED:
            return None
    return found


def combinations(space: Sequence[Axis]) -> Iterator[dict[str, str]]:
    """Yield every combination once, the last axis fastest. Raises ValueError for an axis without end."""
    yield from _combined(space, {})


def _combined(space: Sequence[Axis], values: dict[str, str]) -> Iterator[dict[str, str]]:
    if not space:
        yield values
        return
    axis, *rest = space
    if not axis.active(values):
        yield from _combined(rest, values)
        return
    count = axis.count()
    if count is None:
        raise ValueError(f"spec.tuning.parameters: {axis.name} has no step: give it one for algorithm Grid")
    for place in range(count):
        yield from _combined(rest, {**values, axis.name: axis.value_at(place)})
