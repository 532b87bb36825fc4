"""The population stability index: how far counted shares are from those of a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

FLOOR: Final = 1e-4
"""Least share of a bin: keeps the logarithm finite, as in the rules for Prometheus."""


def psi(reference: Mapping[str, float], counts: Mapping[str, int]) -> float | None:
    """Return the sum of (live - expected) * ln(live / expected) over the bins of the reference; None without a count.

    reference: share of each bin. counts: of the same bins; one that is not there counts zero.
    Source: Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan University, 2018, equation 1.1.
    """
    total = sum(counts.values())
    if not total:
        return None
    pairs = ((max(counts.get(name, 0) / total, FLOOR), max(share, FLOOR)) for name, share in reference.items())
    return sum((live - expected) * math.log(live / expected) for live, expected in pairs)
