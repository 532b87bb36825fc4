"""A target that an estimator cannot predict is told before the first fit, with the metric that fits it."""

from __future__ import annotations

import pandas as pd
import pytest

from modelmill_trainer.failure import StageError
from modelmill_trainer.kinds import BOOLEAN, NUMBER, TEXT
from modelmill_trainer.target_of_task import require_target_for

RIDGE, FOREST = "sklearn.linear_model.Ridge", "sklearn.ensemble.RandomForestClassifier"


@pytest.mark.parametrize(
    ("estimator", "kind", "values", "words"),
    [
        (RIDGE, TEXT, ["yes", "no"], "labels, and Ridge predicts numbers: use a classifier; .* accuracy"),
        (RIDGE, BOOLEAN, [True, False], "true and false"),
        (FOREST, NUMBER, [1.0, 2.5], "numbers with a fraction, and RandomForestClassifier predicts classes: .* r2"),
    ],
)
def test_what_cannot_be_predicted_is_told(estimator: str, kind: str, values: list[object], words: str) -> None:
    with pytest.raises(StageError, match=words) as caught:
        require_target_for(estimator, "y", kind, pd.Series(values))
    assert (caught.value.reason, caught.value.rejected) == ("TargetInvalid", True)


@pytest.mark.parametrize(
    ("estimator", "kind", "values"),
    [
        (RIDGE, NUMBER, [1.0, 2.5]),
        (FOREST, NUMBER, [1.0, float("nan"), 3.0]),
        (FOREST, TEXT, ["a", "b"]),
        ("sklearn.linear_model.Lars", TEXT, ["a", "b"]),
    ],
)
def test_what_can_be_predicted_or_is_not_known_goes_on(estimator: str, kind: str, values: list[object]) -> None:
    require_target_for(estimator, "y", kind, pd.Series(values))
