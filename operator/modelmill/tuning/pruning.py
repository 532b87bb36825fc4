"""Whether a trial is stopped by what it has reported so far: the rules of Optuna's MedianPruner and PercentilePruner. Pure.

Source: optuna 4, `optuna/pruners/_percentile.py`. A trial's best value up to a step is compared with a percentile of the values
that trials which succeeded have at that step; as in Optuna, what was pruned itself is no measure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from modelmill.api.tuning import Pruning

MOST_POINTS: Final = 32
"""Points of a trial that stay in the ledger."""
Curve = Mapping[int, float]
"""Values of the objective by step."""


def worse(rule: Pruning, direction: str, own: Curve, others: Sequence[Curve]) -> str:
    """Return why the trial is to be stopped, for people; empty when it goes on.

    own: what it has reported. others: what those reported that succeeded. The last step counts that any of them has too: of a
    long trial not every step is kept.
    """
    if len(others) < max(1, rule.startup_trials):
        return ""
    known = {step for one in others for step in one}
    step = max((step for step in own if step >= rule.warmup_steps and step in known), default=None)
    if step is None:
        return ""
    maximize = direction == "Maximize"
    best = (max if maximize else min)(value for at, value in own.items() if at <= step)
    share = float(rule.percentile) if rule.percentile is not None else 50.0
    there = [one[step] for one in others if step in one]
    bound = percentile(there, 100.0 - share if maximize else share)
    if (best >= bound) if maximize else (best <= bound):
        return ""
    what = "median" if rule.name == "Median" else f"best {share:g} percent"
    return f"at step {step} its best value was {best:.6g}, the {what} of {len(there)} trials ends at {bound:.6g}"


def percentile(values: Iterable[float], share: float) -> float:
    """Return the percentile of at least one value, linear between two of them, as numpy.percentile does by default."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share / 100.0
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def thinned(curve: Curve, most: int = MOST_POINTS) -> dict[int, float]:
    """Return at most so many of the points: the first of each span of steps, whose width is a power of two.

    So trials keep the same steps, whatever they count by and whichever reports were lost.
    """
    width = 1
    kept = sorted(curve)
    while len(kept) > most:
        width *= 2
        first: dict[int, int] = {}
        for step in kept:
            first.setdefault(step // width, step)
        kept = list(first.values())
    return {step: curve[step] for step in kept}
