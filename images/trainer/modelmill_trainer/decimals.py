"""Numbers as people and files write them.

Models split half-way between known values, and half-way between 2.51 and 2.53 is 2.5199999999999996 in double precision. A
request has 2.52, on the other side of the split, and single precision cannot tell the two apart.
"""

from __future__ import annotations

import numpy as np

DIGITS = 7  # of single precision
NOISE = 8 * float(np.finfo(np.float64).eps)  # a sum and a product, rounded


def decimal(value: float) -> float:
    """Return the number of at most seven digits that `value` is but for the noise of double precision, else `value`."""
    short = float(f"{value:.{DIGITS}g}")
    return short if abs(short - value) <= NOISE * abs(value) else value


def single_at_most(split: float) -> np.float32:
    """Return the w for which float32(x) <= w is x <= `split`, where x is `decimal(split)` or out of its rounding."""
    wanted = decimal(split)
    rounded = np.float32(wanted)
    return rounded if wanted <= split else np.nextafter(rounded, np.float32(-np.inf))


def single_less(edge: float) -> np.float32:
    """Return the w for which float32(x) < w is x < `edge`, where x is `decimal(edge)` or out of its rounding."""
    wanted = decimal(edge)
    rounded = np.float32(wanted)
    return np.nextafter(rounded, np.float32(np.inf)) if wanted < edge else rounded
