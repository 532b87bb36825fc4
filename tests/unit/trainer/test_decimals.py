"""What a number in double precision was written as, and splits of it in single precision."""

from __future__ import annotations

import numpy as np
import pytest

from modelmill_trainer.decimals import decimal, single_at_most, single_less

BELOW, ABOVE = (2.51 + 2.53) / 2, 0.1 + 0.2  # a hair below 2.52, a hair above 0.3
LONG = 0.1234567890123


def test_only_noise_is_taken_away() -> None:
    assert (BELOW < 2.52, ABOVE > 0.3) == (True, True)
    assert [decimal(BELOW), decimal(ABOVE), decimal(-ABOVE)] == [2.52, 0.3, -0.3]
    for kept in (0.0, 0.5, 123456.7, LONG, 2.52 * (1 + 1e-13), 1e300, 5e-324, 16777217.0, -LONG, float("inf"), 1 / 3):
        assert decimal(kept) == kept


@pytest.mark.parametrize("split", [0.0, 0.5, BELOW, -BELOW, ABOVE, -ABOVE, 2.52, 1e6 + 0.1, 1e-40])
def test_a_split_decides_as_in_double_precision(split: float) -> None:
    number = decimal(split)
    assert (np.float32(number) <= single_at_most(split)) == (number <= split)
    assert (np.float32(number) < single_less(split)) == (number < split)
    step = max(0.01, 1e-6 * abs(number))
    for other in (number - step, number + step):
        assert (np.float32(other) <= single_at_most(split)) == (other <= split)
        assert (np.float32(other) < single_less(split)) == (other < split)


def test_a_split_of_more_digits_is_rounded() -> None:
    assert single_at_most(LONG) == single_less(LONG) == np.float32(LONG)
    assert np.isnan(decimal(float("nan")))
