from __future__ import annotations

import math

import numpy as np
import pytest

from modelmill.contracts.drift import stability

TENTHS = {str(place): 0.1 for place in range(10)} | {"missing": 0.0}


def test_the_index_by_hand() -> None:
    found = stability({"0": 0.5, "1": 0.5}, 1e12, {"0": 899.5, "1": 99.5})
    assert found is not None
    assert found.chance == pytest.approx(1 / 999)
    assert found.index + found.chance == pytest.approx(0.8 * math.log(9) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("shares", "rows", "counts"),
    [
        (TENTHS, 100, {}),
        (TENTHS, 0, {"0": 5}),
        (TENTHS, 100, {"missing": 5}),
        ({"missing": 1.0}, 100, {"missing": 5}),
        ({}, 100, {"0": 5}),
    ],
)
def test_nothing_counted_or_nothing_known_has_no_index(
    shares: dict[str, float], rows: float, counts: dict[str, float]
) -> None:
    assert stability(shares, rows, counts) is None


@pytest.mark.parametrize("rows", [100, 500, 5000])
@pytest.mark.parametrize("reference", [200, 20_000])
def test_chance_is_taken_off_whatever_the_sizes(rows: int, reference: int) -> None:
    random = np.random.default_rng(rows + reference)
    found = []
    for _ in range(400):
        known = random.multinomial(reference, [0.1] * 10) / reference
        shares = {str(place): float(share) for place, share in enumerate(known)} | {"missing": 0.0}
        live = dict(zip(map(str, range(10)), random.multinomial(rows, [0.1] * 10).tolist(), strict=True))
        one = stability(shares, reference, live)
        assert one is not None
        found.append(one.index)
    unit = 1 / rows + 1 / reference
    # The mean of 400 indexes of standard deviation sqrt(2 * 9) * unit; the approximation is good to a tenth of a unit.
    assert abs(np.mean(found)) < (4 * math.sqrt(18 / 400) + 0.5) * unit


def test_missing_values_are_no_part_of_it() -> None:
    half = {name: share / 2 for name, share in TENTHS.items()} | {"missing": 0.5}
    counts = {str(place): 100.0 for place in range(10)}
    plain, other = stability(TENTHS, 1000, counts), stability(half, 2000, counts | {"missing": 7.0})
    assert plain is not None
    assert other is not None
    assert other.index == pytest.approx(plain.index)
