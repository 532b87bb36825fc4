from __future__ import annotations

import numpy as np

from modelmill_trainer.report.quality import MAX_CLASSES, label_text, of_classes, of_regression


def labels(values: list[object]) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def test_residuals_are_told_in_the_unit_of_the_target() -> None:
    told = of_regression(np.array([10.0, 20.0, 30.0]), np.array([9.0, 20.0, 32.0]), "price")
    assert told.head[0] == "percentile"
    assert told.rows == [["residual", "-1", "-0.9", "-0.5", "0", "1", "1.8", "2"]]
    assert [plot.title for plot in told.plots] == [
        "Predicted against actual",
        "Residuals against prediction",
        "Residuals",
    ]
    assert "in the unit of price" in told.caption


def test_the_table_counts_rows_by_actual_and_predicted_class_the_most_frequent_first() -> None:
    told = of_classes(("a", "b"), labels(["b", "b", "b", "a"]), labels(["b", "b", "a", "a"]), None, None)
    assert told.head == ["actual", "b", "a"]
    assert told.rows == [["b", "2", "1"], ["a", "0", "1"]]
    assert len(told.plots) == 1


def test_two_classes_with_probabilities_have_a_roc_curve() -> None:
    truth = labels(["a", "b", "a", "b"])
    chances = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    told = of_classes(("a", "b"), truth, truth, chances, 1.0)
    assert [plot.title for plot in told.plots] == [
        "Confusion matrix",
        "Calibration, error 0.000",
        "ROC curve, area 1.000",
    ]


def test_a_class_that_only_the_rows_or_only_the_model_knows_is_counted() -> None:
    told = of_classes(("a", "never"), labels(["a", "new"]), labels(["a", "else"]), None, None)
    assert set(told.head[1:]) == {"a", "new", "never", "else"}
    assert sum(int(count) for row in told.rows for count in row[1:]) == 2


def test_classes_beyond_the_cap_count_as_one() -> None:
    names = [f"c{number:03d}" for number in range(30)]
    truth = labels([name for place, name in enumerate(names) for _ in range(40 - place)])
    told = of_classes(tuple(names), truth, truth, None, None)
    assert len(told.rows) == MAX_CLASSES + 1
    assert told.rows[-1][0] == told.head[-1] == "10 others"
    assert told.rows[-1][-1] == str(sum(40 - place for place in range(20, 30)))
    assert "20 most frequent of 30" in told.caption


def test_truth_values_numbers_and_the_empty_text_have_names() -> None:
    assert [label_text(label) for label in (True, False, 3, "", "x")] == ["true", "false", "3", "(empty)", "x"]
    told = of_classes((False, True), np.array([True, False, True]), np.array([True, True, True]), None, None)
    assert told.rows == [["true", "2", "0"], ["false", "1", "0"]]
