"""The bootstrap against errors that are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from modelmill_trainer.model_document import CLASSIFICATION, REGRESSION
from modelmill_trainer.models import PREDICT, PROBABILITIES
from modelmill_trainer.standard_error import standard_error


@pytest.mark.parametrize("rows", [400, 20_000])
def test_the_error_of_accuracy_is_that_of_a_share(rows: int) -> None:
    draw = np.random.default_rng(1)
    target = draw.integers(0, 2, rows)
    guess = np.where(draw.random(rows) < 0.8, target, 1 - target)
    found = standard_error("accuracy", CLASSIFICATION, target, {PREDICT: guess}, (0, 1))
    assert found == pytest.approx(math.sqrt(0.8 * 0.2 / rows), rel=0.35)


def test_the_error_of_the_mean_absolute_error() -> None:
    draw = np.random.default_rng(2)
    target = draw.normal(size=900)
    gap = draw.exponential(2.0, 900)
    found = standard_error("mae", REGRESSION, target, {PREDICT: target + gap}, ())
    assert found == pytest.approx(2.0 / math.sqrt(900), rel=0.35)


def test_a_metric_that_the_rows_do_not_have_has_no_error() -> None:
    target = np.zeros(50, dtype=int)
    outputs = {PREDICT: target, PROBABILITIES: np.tile([0.9, 0.1], (50, 1))}
    assert standard_error("roc_auc", CLASSIFICATION, target, outputs, (0, 1)) is None
    assert standard_error("profit", CLASSIFICATION, target, outputs, (0, 1)) is None


def test_it_is_the_same_each_time() -> None:
    target = np.arange(60.0)
    outputs = {PREDICT: target + np.sin(target)}
    assert standard_error("r2", REGRESSION, target, outputs, ()) == standard_error(
        "r2", REGRESSION, target, outputs, ()
    )
