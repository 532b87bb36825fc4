"""The metrics of labels beside the error that is judged."""

from __future__ import annotations

import pytest

from modelmill.contracts.counts import CELL, LABEL, Key
from modelmill.monitoring.metrics import metrics_of

TRUE_NO: Key = (CELL, "no", "no")
COUNTS: dict[Key, float] = {
    (LABEL, "correct"): 80.0,
    (LABEL, "wrong"): 20.0,
    TRUE_NO: 45.0,
    (CELL, "yes", "yes"): 35.0,
    (CELL, "yes", "no"): 5.0,
    (CELL, "no", "yes"): 15.0,
}


def test_classes_weigh_alike() -> None:
    found = metrics_of(COUNTS)
    assert found["accuracy"] == pytest.approx(0.8)
    assert found["balanced_error"] == pytest.approx(1 - (45 / 50 + 35 / 50) / 2)
    assert found["f1"] == pytest.approx((2 * 45 / (50 + 60) + 2 * 35 / (50 + 40)) / 2)


def test_a_misspelt_label_is_wrong_and_no_class_of_its_own() -> None:
    found = metrics_of(COUNTS | {(LABEL, "wrong"): 21.0, (CELL, "no", "other"): 1.0})
    before = metrics_of(COUNTS)
    assert found["accuracy"] == pytest.approx(80 / 101)
    assert found["balanced_error"] == pytest.approx(before["balanced_error"])
    assert before["f1"] - 0.01 < found["f1"] < before["f1"], "it was taken for one of the classes"


def test_labels_of_no_class_of_the_model_have_no_figures_by_class() -> None:
    assert metrics_of({(LABEL, "wrong"): 3.0, (CELL, "no", "other"): 3.0}) == {"accuracy": 0.0}
