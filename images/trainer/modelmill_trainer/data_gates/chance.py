"""How unlikely a difference is when nothing changed: the thresholds of the gates that compare values.

Two kinds of bound hold together. A difference must be one that chance does not make, and one that is worth a person's time; the
second is where each gate is. All levels come from `ALARMS`: rows drawn again from the same source raise anything with about
this probability in a run, whatever the number of columns (Bonferroni: the level of a comparison is divided by their number).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

ALARMS: Final = 1e-3
PER_COLUMN: Final = 8
"""Comparisons of one column: missing values, two ends of its range, two of its categories, its unit, its age, its strength."""


def level(columns: int) -> float:
    """Return the level of one comparison in a run on so many columns."""
    return ALARMS / (PER_COLUMN * max(1, columns))


def all_on_one_side(count: int, own: int, other: int, alpha: float) -> bool:
    """Return whether `count` rows of a sample of `own` that are more extreme than every row of `other` are more than chance.

    When both samples come from one source, all orders of the pooled rows are equally likely, so that the `count` greatest are
    all of one sample with a probability of at most (own / (own + other)) ** count, whatever the distribution (Gumbel and von
    Schelling, "The distribution of the number of exceedances", Ann. Math. Statist. 21, 1950).
    """
    return own > 0 and other > 0 and count * math.log(own / (own + other)) <= math.log(alpha)


def more_than(count: int, expected: float, alpha: float) -> bool:
    """Return whether a count is above what a Poisson distribution with this mean gives, by Chernoff's bound on its tail.

    P(X >= k) <= exp(k - m) * (m / k) ** k for k > m (Mitzenmacher and Upfal, Probability and Computing, theorem 5.4).
    """
    if count <= expected:
        return False
    return count - expected + count * math.log(max(expected, 1e-9) / count) <= math.log(alpha)


def shares_differ(first: float, first_rows: int, second: float, second_rows: int, alpha: float) -> bool:
    """Return whether two shares of rows differ by more than chance: the pooled test of two proportions."""
    rows = first_rows + second_rows
    pooled = (first * first_rows + second * second_rows) / rows
    error = math.sqrt(max(pooled * (1 - pooled), 1 / rows) * (1 / first_rows + 1 / second_rows))
    return abs(first - second) > deviations(alpha) * error


def deviations(alpha: float) -> float:
    """Return how many standard errors a normal estimate lies from its mean with probability alpha at most, on both sides."""
    return NormalDist().inv_cdf(1 - alpha / 2)


def distance(first_rows: int, second_rows: int, alpha: float) -> float:
    """Return by how much two empirical distribution functions of one source may differ at any place.

    The bound of Dvoretzky, Kiefer and Wolfowitz with Massart's constant ("The tight constant in the DKW inequality", Ann.
    Probab. 18, 1990) for each of them, at half of the level.
    """
    return math.sqrt(math.log(4 / alpha) / 2) * (1 / math.sqrt(first_rows) + 1 / math.sqrt(second_rows))
