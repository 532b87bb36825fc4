from __future__ import annotations

import pytest

from modelmill.training.builders.stage_spec import parameter_value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.05", 0.05), ("7", 7), ("true", True), ("null", None), ("relu", "relu"), (3, 3), ("1e3", 1000.0)],
)
def test_texts_that_mean_numbers_are_numbers(text: str | int, value: object) -> None:
    assert parameter_value(text) == value


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "Infinity", "1e999"])
def test_what_json_cannot_say_stays_text_for_the_estimator_to_refuse(text: str) -> None:
    assert parameter_value(text) == text
