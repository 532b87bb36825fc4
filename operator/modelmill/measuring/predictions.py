"""The predictions of two versions over the same bins, so that they can be compared. Pure.

Classes have bins by their names. Of numbers each version has bins of its own, between quantiles of what it predicted on its
training data: one is counted over the other's by the shares that its bins have there.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.contracts.names import BIN_MISSING, BIN_OTHER
from modelmill.measuring.samples import Sample


def aligned(mine: Sample, other: Sample) -> tuple[list[float], list[float]]:
    """Return the rows of both over the same bins.

    Raises ValueError, for people, when they cannot be compared.
    """
    if BIN_OTHER in mine.bins and BIN_OTHER in other.bins:
        names = sorted({*mine.bins, *other.bins})
        return [mine.bins.get(name, 0.0) for name in names], [other.bins.get(name, 0.0) for name in names]
    if BIN_OTHER in mine.bins or BIN_OTHER in other.bins:
        raise ValueError("one version predicts classes and the other one numbers")
    if not mine.edges or not other.edges:
        raise ValueError(
            "the pods of one version tell no edges of bins: "
            "their server is of an earlier release, or it predicted one number only"
        )
    edges = [other.edges[name] for name in _in_order(other)]
    below = [_rows_below(mine, edge) for edge in edges]
    mine_counts = [max(after - before, 0.0) for before, after in zip([0.0, *below], [*below, _rows(mine)], strict=True)]
    return [*mine_counts, mine.bins.get(BIN_MISSING, 0.0)], [*_counts(other), other.bins.get(BIN_MISSING, 0.0)]


def _in_order(sample: Sample) -> list[str]:
    return sorted(sample.edges, key=lambda name: sample.edges[name])


def _counts(sample: Sample) -> list[float]:
    """Return the rows of each bin of numbers; the last one has no upper bound."""
    names = _in_order(sample)
    last = sum(count for name, count in sample.bins.items() if name not in sample.edges and name != BIN_MISSING)
    return [*(sample.bins.get(name, 0.0) for name in names), last]


def _rows(sample: Sample) -> float:
    return sum(_counts(sample))


def _rows_below(sample: Sample, value: float) -> float:
    """Return how many numbers are below `value`: linear inside a bin, the open ones being as wide as those beside them."""
    edges = [sample.edges[name] for name in _in_order(sample)]
    first, last = (edges[1] - edges[0], edges[-1] - edges[-2]) if len(edges) > 1 else (0.0, 0.0)
    bounds: Sequence[float] = [edges[0] - first, *edges, edges[-1] + last]
    below = 0.0
    for number, (low, high, count) in enumerate(zip(bounds, bounds[1:], _counts(sample), strict=False)):
        if value < high:
            return below + (count * (value - low) / (high - low) if value > low else 0.0)
        # With one edge the open bins have no width: what is above the edge is not below it.
        if number == len(edges) and value <= low:
            return below
        below += count
    return below
