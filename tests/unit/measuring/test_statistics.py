"""Tests of statistics: against exact sums, against counting by hand, and on counts of any size."""

from __future__ import annotations

import math
import random
from decimal import Decimal, localcontext
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modelmill.measuring.statistics import (
    MOST_RANKED,
    Errors,
    binomial_tail,
    exceedance_tail,
    lower_share_tail,
    mean_ratio_tail,
    mean_tail,
    normal_tail,
    psi,
    rate_ratio_tail,
)

EXACT = 2**53
"""From here on a float does not tell a count from the next one."""
COUNTS = st.floats(0, 1e15) | st.integers(0, 60).map(float)
EXTREME = st.integers(0, 60) | st.integers(EXACT - 60, EXACT + 60) | st.floats(1e15, 1e300)


@given(st.integers(1, 400), st.data(), st.floats(0, 1))
def test_binomial_tail_is_the_sum_of_its_terms(trials: int, data: st.DataObject, share: float) -> None:
    successes = data.draw(st.integers(0, trials))
    assert binomial_tail(successes, trials, share) == pytest.approx(
        stats.binom.sf(successes - 1, trials, share), abs=1e-9
    )


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_exceedance_tail_is_hypergeometric(count: int, stable: int, data: st.DataObject) -> None:
    above, rank = data.draw(st.integers(0, count)), data.draw(st.integers(1, stable))
    exact = stats.hypergeom.sf(rank - 1, count + stable, stable, rank + count - above)
    assert exceedance_tail(above, count, rank, stable) == pytest.approx(exact, abs=1e-9)


def test_exceedance_tail_counts_orders_that_are_equally_likely() -> None:
    """Two of three values above the second of four: by all 35 orders of the pooled values."""
    places = range(7)
    orders = [set(mine) for mine in combinations(places, 3)]
    hits = 0
    for mine in orders:
        second = [place for place in places if place not in mine][1]
        hits += sum(place > second for place in mine) >= 2
    assert exceedance_tail(2, 3, 2, 4) == pytest.approx(hits / len(orders))


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.floats(0, 10))
def test_counts_of_any_size_give_a_probability(one: float, two: float, three: float, four: float, bound: float) -> None:
    for chance in (
        binomial_tail(one, two, min(bound, 1)),
        rate_ratio_tail(min(one, two), two, min(three, four), four + 1, bound),
        exceedance_tail(one, two, three, four),
        lower_share_tail(min(one, two), two, min(three, four), four, bound),
        normal_tail(one),
    ):
        assert 0 <= chance <= 1


def test_samples_beyond_the_bound_claim_no_more_than_those_at_it() -> None:
    assert exceedance_tail(600, MOST_RANKED, 9500, MOST_RANKED) == exceedance_tail(6e10, 1e12, 95e10, 1e12)
    assert binomial_tail(2e5, 1e6, 0.199) == binomial_tail(2e11, 1e12, 0.199)


def test_errors_of_equal_rates_are_no_evidence_and_five_of_ten_against_none_are() -> None:
    assert rate_ratio_tail(1, 100, 9, 900, 1) > 0.5
    assert rate_ratio_tail(5, 10, 0, 90, 3) == pytest.approx(0.25**5)
    assert rate_ratio_tail(0, 10, 0, 90, 3) == 1


@pytest.mark.parametrize("count", [15, 25, 400])
@pytest.mark.parametrize("t", [-1.0, 0.5, 2.0, 4.0])
def test_mean_tail_is_students(count: int, t: float) -> None:
    sums = Errors(count, 3.0 * count, (9 + 2 * (count - 1) / count) * count)
    assert sums.variance == pytest.approx(2)
    bound = 3 - t * math.sqrt(2 / count)
    assert mean_tail(sums, bound) == pytest.approx(stats.t.sf(t, count - 1), rel=0.3, abs=3e-4)
    assert mean_ratio_tail(sums, sums, 1) == pytest.approx(0.5)


def test_one_value_or_no_spread_is_told_apart() -> None:
    assert mean_tail(Errors(1, 5, 25), 1) == 1
    assert mean_tail(Errors(50, 100, 200), 1.9) == 0
    assert mean_tail(Errors(50, 100, 200), 2.1) == 1


def test_share_that_is_much_lower_is_evidence() -> None:
    assert lower_share_tail(95, 100, 95, 100, 1) == pytest.approx(0.5)
    assert lower_share_tail(60, 100, 95, 100, 1) < 1e-6


@given(EXTREME, EXTREME, EXTREME, EXTREME, st.sampled_from([0.0, 0.5, 0.95, 1.0, 1.05, 3.0]))
def test_shares_of_extreme_counts_are_judged_as_with_a_thousand_digits(
    one: float, two: float, three: float, four: float, ratio: float
) -> None:
    """As they come from pages of pods: as floats, and the right ones among all, or the wrong ones."""
    (right, count), (right_stable, count_stable) = sorted(map(float, (one, two))), sorted(map(float, (three, four)))
    for mine, other in ((right, right_stable), (count - right, right_stable), (right, count_stable - right_stable)):
        found = lower_share_tail(mine, count, other, count_stable, ratio)
        z = _wald(mine, count, other, count_stable, ratio)
        assert found == pytest.approx(stats.norm.sf(z), rel=1e-9, abs=1e-300)


def _wald(right: float, count: float, right_stable: float, count_stable: float, ratio: float) -> float:
    with localcontext(prec=1000):
        p, q = ((Decimal(a) + 1) / (Decimal(b) + 2) for a, b in ((right, count), (right_stable, count_stable)))
        bound = Decimal(ratio)
        variance = p * (1 - p) / (Decimal(count) + 2) + bound**2 * q * (1 - q) / (Decimal(count_stable) + 2)
        return max(min(float((bound * q - p) / variance.sqrt()), 1e9), -1e9)


def test_a_hundred_wrong_of_as_many_as_a_float_counts_are_evidence_against_none() -> None:
    most = float(EXACT - 1)
    assert lower_share_tail(most, most, most, most, 1) == 0.5
    assert lower_share_tail(most - 100, most, most, most, 1) < 1e-15
    assert lower_share_tail(most, most, most - 100, most, 1) > 1 - 1e-15


@pytest.mark.parametrize("rows", [50, 200, 1000])
def test_psi_of_equal_distributions_is_nearly_zero_however_few_rows_there_are(rows: int) -> None:
    """The plain index of 50 rows in ten bins is 0.4 on the average."""
    chosen = random.Random(rows)
    found = []
    for _ in range(200):
        one, other = [0.0] * 10, [0.0] * 10
        for _ in range(rows):
            one[chosen.randrange(10)] += 1
            other[chosen.randrange(10)] += 1
        found.append(psi(one, other, 0.001))
    assert sum(value for value, _ in found) / len(found) < 0.06
    assert all(least <= 0.1 for _, least in found)


def test_psi_of_many_rows_is_the_textbook_value() -> None:
    value, least = psi([250_000, 750_000], [500_000, 500_000], 0.001)
    assert value == pytest.approx(0.25 * math.log(3), abs=1e-3)
    assert 0.26 < least < value
