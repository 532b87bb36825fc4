"""The population stability index (PSI): how far counted shares are from those of a reference, beyond what chance makes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modelmill.contracts.names import BIN_MISSING

UNKNOWN_ROWS: Final = 10_000.0
"""Rows of a reference that does not tell how many it had."""


@dataclass(frozen=True, slots=True)
class Stability:
    """rows: that were counted, without missing values. index: PSI without what chance adds, may be below 0; chance: that."""

    rows: float
    index: float
    chance: float


def stability(
    shares: Mapping[str, float], reference_rows: float | None, counts: Mapping[str, float]
) -> Stability | None:
    """Return how far the counts are from the reference; None without a count, or a reference.

    shares: of each bin of the reference, with that of missing values, which are looked at by themselves and left out here.
    reference_rows: how many the reference had. counts: of the same bins; one that is not there counts zero.

    With half an observation added to each bin, PSI is the sum of (q - p) * ln(q / p) over the bins; between two samples of one
    distribution n*m/(n + m) * PSI is nearly chi-squared with B - 1 degrees of freedom, so that chance adds
    (B - 1)(1/n + 1/m) on the average, which is taken off. Source: Yurdakul, "Statistical Properties of Population Stability
    Index", Western Michigan University, 2018, equation 1.1 and chapter 3.
    """
    present = 1.0 - shares.get(BIN_MISSING, 0.0)
    bins = [name for name in shares if name != BIN_MISSING]
    rows = sum(counts.get(name, 0.0) for name in bins)
    known = (UNKNOWN_ROWS if reference_rows is None else reference_rows) * present
    if rows <= 0 or known <= 0:
        return None
    index = 0.0
    for name in bins:
        live = (counts.get(name, 0.0) + 0.5) / (rows + 0.5 * len(bins))
        expected = (shares[name] / present * known + 0.5) / (known + 0.5 * len(bins))
        index += (live - expected) * math.log(live / expected)
    chance = (len(bins) - 1) * (1 / rows + 1 / known)
    return Stability(rows, index - chance, chance)
