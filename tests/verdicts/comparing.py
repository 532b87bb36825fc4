"""How far two lives of one story are from each other: what fires in them, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.verdicts.life import STEP, Outcome

Span = tuple[int, int]
"""The step from which on something fires, and that from which on it does not."""


def spans(firing: Sequence[frozenset[str]]) -> dict[str, list[Span]]:
    """Return when each alert fires. firing: by step."""
    found: dict[str, list[Span]] = {}
    began: dict[str, int] = {}
    for step, now in enumerate([*firing, frozenset[str]()], 1):
        for one in began.keys() - now:
            found.setdefault(one, []).append((began.pop(one), step))
        began |= dict.fromkeys(now - began.keys(), step)
    return found


def distance(one: Outcome, other: Outcome) -> float:
    """Return by how many steps, at most, an alert or a run begins or ends otherwise; inf where there are others."""
    ours, theirs = spans(one.firing), spans(other.firing)
    runs = (
        [(round(hour * 3600 / STEP), 0) for hour, _ in one.runs],
        [(round(hour * 3600 / STEP), 0) for hour, _ in other.runs],
    )
    pairs = [(ours.get(what, []), theirs.get(what, [])) for what in ours.keys() | theirs.keys()]
    if any(len(left) != len(right) for left, right in (*pairs, runs)):
        return math.inf
    return max(
        (
            abs(moment - moment_of_other)
            for left, right in (*pairs, runs)
            for span, span_of_other in zip(left, right, strict=True)
            for moment, moment_of_other in zip(span, span_of_other, strict=True)
        ),
        default=0,
    )


def words_of(outcome: Outcome) -> str:
    """Return what fired and ran, in hours."""
    hour = STEP / 3600
    fired = [
        f"{what} {begin * hour:.2f} h to {end * hour:.2f} h"
        for what, found in sorted(spans(outcome.firing).items())
        for begin, end in found
    ]
    return ", ".join([*fired, *(f"run at {moment:.2f} h" for moment, _ in outcome.runs)]) or "nothing"
