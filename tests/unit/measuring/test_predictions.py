"""Predictions of two versions over the same bins."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.measuring.predictions import aligned
from modelmill.measuring.samples import Sample
from modelmill.measuring.statistics import psi


def numbers(values: list[float], edges: list[float], missing: float = 0) -> Sample:
    """Return what a server with these edges counts."""
    counts = Counter(bisect_right(edges, value) for value in values)
    bins = {str(i): float(counts[i]) for i in range(len(edges) + 1)}
    return Sample(bins={**bins, "missing": missing}, edges={str(i): edge for i, edge in enumerate(edges)})


def classes(**counts: float) -> Sample:
    return Sample(bins={**counts, "missing": 0.0, "other": 0.0})


def test_the_same_edges_change_nothing() -> None:
    mine, other = aligned(numbers([1, 5, 9], [2, 6, 8], missing=3), numbers([1, 1, 7], [2, 6, 8]))
    assert (mine, other) == ([1, 1, 0, 1, 3], [2, 0, 1, 0, 0])


def test_classes_are_compared_by_name_also_those_of_one_version_only() -> None:
    mine, other = aligned(classes(a=5, b=1), classes(a=2, c=4))
    assert (mine, other) == ([5, 1, 0, 0, 0], [2, 0, 4, 0, 0])


def drawn(mean: float, seed: int) -> list[float]:
    chosen = random.Random(seed)
    return [chosen.gauss(mean, 10) for _ in range(4000)]


def deciles(values: list[float]) -> list[float]:
    return [sorted(values)[len(values) * i // 10] for i in range(1, 10)]


@pytest.mark.parametrize(
    ("shift", "least", "most"), [(0, 0, 0.02), (10, 0.5, 2), (-10, 0.5, 2), (1000, 4, 20), (-1000, 4, 20)]
)
def test_versions_with_edges_of_their_own_are_compared_by_what_they_predict(
    shift: float, least: float, most: float
) -> None:
    """Each has the deciles of its own predictions as edges, so that their bins by number never differ."""
    mine, other = drawn(100 + shift, 1), drawn(100, 2)
    value, _ = psi(*aligned(numbers(mine, deciles(mine)), numbers(other, deciles(other))), 0.001)
    assert least <= value <= most


values = st.lists(st.floats(-1e300, 1e300), max_size=30)
some_edges = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=9)


@given(values, some_edges, values, some_edges)
def test_no_row_is_lost_whatever_the_edges_are(
    mine: list[float], mine_at: list[float], other: list[float], at: list[float]
) -> None:
    one, two = aligned(numbers(mine, sorted(mine_at)), numbers(other, sorted(at)))
    assert len(one) == len(two)
    assert sum(one) == pytest.approx(len(mine))
    assert sum(two) == len(other)
    assert min(one) >= -1e-9


@pytest.mark.parametrize("other", [classes(a=1), Sample(bins={"0": 3.0, "missing": 0.0})])
def test_what_cannot_be_compared_is_told(other: Sample) -> None:
    with pytest.raises(ValueError, match="one version"):
        aligned(numbers([1], [2]), other)


def test_one_edge_parts_two_bins() -> None:
    """A model of two values has one edge between them, and bins without a width."""
    same = aligned(numbers([0] * 3 + [5] * 7, [1.0]), numbers([0] * 6 + [5] * 14, [1.0]))
    assert same == ([3, 7, 0], [6, 14, 0])
    moved = aligned(numbers([0] * 10, [1.0]), numbers([5] * 10, [1.0]))
    assert moved == ([10, 0, 0], [0, 10, 0])
