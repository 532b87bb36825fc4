"""Tests that tell a difference from chance, with the standard library alone. Pure.

Each returns a p-value: how likely chance alone gives what was counted, or more of it, while the bound holds.
Counts of any size cost a bounded time: samples beyond MOST are taken as MOST with the same shares, which claims less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import Final

MOST: Final = 1_000_000
MOST_RANKED: Final = 10_000
_NEGLIGIBLE: Final = 1e-17  # of a sum: later terms change no digit of it
_FAR: Final = Fraction(100)  # standard deviations: what is farther off has the probability 0 of a float


@dataclass(frozen=True, slots=True)
class Errors:
    """Absolute errors of labelled rows: how many, their sum, and the sum of their squares."""

    count: float
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean absolute error."""
        return self.total / self.count

    @property
    def variance(self) -> float:
        """Variance of the absolute errors; infinite where one row alone tells none."""
        if self.count < 2:
            return math.inf
        return max(self.squares / self.count - self.mean**2, 0.0) * self.count / (self.count - 1)


def binomial_tail(successes: float, trials: float, share: float) -> float:
    """Return P(X >= successes) for X of the binomial distribution: `trials` of which each succeeds with probability `share`."""
    scale = min(1.0, MOST / trials) if trials else 1.0
    k, n = math.floor(successes * scale), math.floor(trials * scale)
    if k <= 0 or share >= 1:
        return 1.0
    if k > n or share <= 0:
        return 0.0

    def log_of(i: int) -> float:
        return _log_choose(n, i) + i * math.log(share) + (n - i) * math.log1p(-share)

    odds = share / (1 - share)
    return _tail(k, 0, n, n * share, log_of, lambda i: (n - i) / (i + 1) * odds)


def rate_ratio_tail(
    errors: float, requests: float, stable_errors: float, stable_requests: float, ratio: float
) -> float:
    """Return the p-value of "errors come at most `ratio` times as often as in the stable version".

    The conditional test of two Poisson rates (Przyborowski and Wilenski 1940): of all errors, those of the candidate are
    binomial with share ratio*n/(ratio*n + m). Exact for rare errors; where errors are frequent it claims less than it could.
    """
    if not errors:
        return 1.0
    weighted = max(ratio, 0.0) * requests
    return binomial_tail(errors, errors + stable_errors, weighted / (weighted + stable_requests))


def exceedance_tail(above: float, count: float, below_stable: float, count_stable: float) -> float:
    """Return the p-value of "values are distributed as in the stable version, or lie lower".

    The exceedance test (Epstein 1954), exact for every distribution: at least `above` of `count` values lie above the
    stable version's value of rank `below_stable` among `count_stable`. Equal distributions give every order of the pooled
    values the same probability, so the stable ones among the first below_stable + count - above are hypergeometric.
    """
    mine, others = min(1.0, MOST_RANKED / count) if count else 1.0, min(1.0, MOST_RANKED / max(count_stable, 1.0))
    n, m = math.floor(count * mine), math.floor(count_stable * others)
    k, rank = min(math.floor(above * mine), n), min(math.ceil(below_stable * others), m)
    draws = rank + n - k
    least, most = max(0, draws - n), min(draws, m)
    if k <= 0 or rank <= least:
        return 1.0

    def log_of(i: int) -> float:
        return _log_choose(m, i) + _log_choose(n, draws - i) - _log_choose(n + m, draws)

    def growth(i: int) -> float:
        return (m - i) / (i + 1) * (draws - i) / (n - draws + i + 1)

    return _tail(rank, least, most, draws * m / (n + m), log_of, growth)


def normal_tail(z: float) -> float:
    """Return P(Z >= z) for the standard normal distribution."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def lower_share_tail(right: float, count: float, right_stable: float, count_stable: float, ratio: float) -> float:
    """Return the p-value of "the share is at least `ratio` times that of the stable version".

    Wald's test of p - ratio * q = 0 on shares with one success and one failure added to each (Agresti and Caffo 2000), which
    keeps its level with a few dozen observations.
    """
    n, m = Fraction(count) + 2, Fraction(count_stable) + 2
    # From 2**53 on a float does not tell one more or less, so that a share with one failure would be 1.
    p, q, bound = (Fraction(right) + 1) / n, (Fraction(right_stable) + 1) / m, Fraction(ratio)
    difference = bound * q - p
    variance = p * (1 - p) / n + bound**2 * q * (1 - q) / m
    return normal_tail(math.copysign(math.sqrt(min(difference**2 / variance, _FAR**2)), difference))


def mean_tail(sums: Errors, bound: float) -> float:
    """Return the p-value of "the mean is at most `bound`", of values with these sums (Student's test)."""
    return _beyond(sums.mean - bound, sums.variance / sums.count, sums.count - 1)


def mean_ratio_tail(sums: Errors, stable: Errors, ratio: float) -> float:
    """Return the p-value of "the mean is at most `ratio` times that of the stable version".

    Welch's test; its degrees of freedom are taken as those of the smaller sample, which claims less.
    """
    variance = sums.variance / sums.count + ratio * ratio * stable.variance / stable.count
    return _beyond(sums.mean - ratio * stable.mean, variance, min(sums.count, stable.count) - 1)


def _beyond(difference: float, variance: float, degrees: float) -> float:
    """Return P(T >= difference / sqrt(variance)) by Student's distribution (Abramowitz and Stegun 1964, 26.7.8)."""
    if variance > 0 and degrees > 0:
        t = difference / math.sqrt(variance)
        return normal_tail(t * (1 - 1 / (4 * degrees)) / math.sqrt(1 + t * t / (2 * degrees)))
    return 0.0 if difference > 0 and degrees > 0 else 1.0


def psi(counts: Sequence[float], stable: Sequence[float], level: float) -> tuple[float, float]:
    """Return the population stability index of two counts over the same bins without what chance adds, and its lower bound.

    PSI = sum of (q - p) * ln(q / p) over the bins, with half an observation added to each. Between two samples of one
    distribution n*m/(n + m) * PSI is nearly chi-squared with B - 1 degrees of freedom, so that chance adds (B - 1)(1/n + 1/m)
    on the average: it is taken off. Otherwise it is nearly non-central chi-squared, whose standard deviation gives the
    one-sided bound.
    """
    n, m = sum(counts), sum(stable)
    bins = len(counts)
    index = 0.0
    for one, other in zip(counts, stable, strict=True):
        q = (one + 0.5) / (n + 0.5 * bins)
        p = (other + 0.5) / (m + 0.5 * bins)
        index += (q - p) * math.log(q / p)
    unit = 1 / n + 1 / m
    value = max(index - (bins - 1) * unit, 0.0)
    deviation = unit * math.sqrt(2 * (bins - 1) + 4 * value / unit)
    return value, value - NormalDist().inv_cdf(1 - level) * deviation


def _tail(
    first: int, least: int, most: int, mean: float, log_of: Callable[[int], float], growth: Callable[[int], float]
) -> float:
    """Return the sum of the terms from `first` to `most`; growth: from the term i to the term i + 1.

    It is summed on the side of the mean where the terms fall, so that few of them matter.
    """
    if first > mean:
        term = total = math.exp(log_of(first))
        for i in range(first, most):
            term *= growth(i)
            total += term
            if term <= total * _NEGLIGIBLE:
                break
        return min(total, 1.0)
    term = total = math.exp(log_of(first - 1))
    for i in range(first - 2, least - 1, -1):
        term /= growth(i)
        total += term
        if term <= total * _NEGLIGIBLE:
            break
    return max(1.0 - total, 0.0)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
