"""What engines return becomes the outputs that the signature says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelmill.contracts.artifact import Tensor
from modelmill_server.core.model import output_of

LABEL = Tensor("predict", "BOOL", (-1,), classes=(False, True))
CHANCES = Tensor("predict_proba", "FP64", (-1, 2), classes=(False, True))


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, 0, 1]),
        np.array([True, False, True]),
        np.array(["True", "False", "True"]),
        np.array(["true", "false", "true"], np.object_),
        np.array([True, False, True], np.object_),
        np.array([[1.0], [0.0], [1.0]]),
    ],
)
def test_labels_of_any_form_become_truth_values(values: Any) -> None:
    output = output_of(LABEL, values, 3)
    assert (output.datatype, output.shape, output.data) == ("BOOL", [3], [True, False, True])


@pytest.mark.parametrize("names", [(0, 1), (False, True), ("False", "True")])
def test_chances_of_truth_values_are_in_the_order_of_the_classes(names: tuple[Any, Any]) -> None:
    rows = [{names[1]: 0.75, names[0]: 0.25}, {names[0]: 0.5, names[1]: 0.5}]
    assert output_of(CHANCES, rows, 2).data == [0.25, 0.75, 0.5, 0.5]


def test_an_output_of_another_number_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'predict' has shape \(2,\) for 3 rows"):
        output_of(LABEL, np.array([1, 0]), 3)
