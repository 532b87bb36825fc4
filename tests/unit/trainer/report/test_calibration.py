from __future__ import annotations

import numpy as np
import pytest

from modelmill_trainer.report.calibration import calibration, wilson


def test_probabilities_that_are_true_have_no_error_and_those_that_boast_have_much() -> None:
    chances = np.repeat([0.1, 0.9], 50)
    true = np.concatenate([np.arange(50) < 5, np.arange(50) < 45])
    made = calibration(chances, true, "class a")
    assert made.title == "Calibration, error 0.000"
    assert [row[1] for row in made.rows] == ["50", "50"]
    assert calibration(np.full(100, 0.99), np.arange(100) < 50, "class a").title == "Calibration, error 0.490"


@pytest.mark.parametrize("rows", [1, 9, 11])
def test_few_rows_are_one_bin(rows: int) -> None:
    made = calibration(np.linspace(0, 1, rows), np.ones(rows, bool), "class a")
    assert len(made.rows) == 1
    assert f"One bin of {rows} rows" in made.told


def test_intervals_stay_within_0_and_1_and_shrink_with_the_rows() -> None:
    assert wilson(0.0, 1)[0] == 0.0
    assert wilson(1.0, 1)[1] == 1.0
    # Source: Wilson 1927; 8 of 10 is 0.490 to 0.943 (Agresti, Coull 1998)
    assert wilson(0.8, 10) == pytest.approx((0.490, 0.943), abs=0.001)
    few, many = wilson(0.5, 10), wilson(0.5, 1000)
    assert few[1] - few[0] > 5 * (many[1] - many[0])
