"""Lists of floats become arrays with every bit as it was, whatever their length says about MessagePack's heads."""

from __future__ import annotations

import numpy as np
import pytest

from modelmill_server.queries.packing import array_of, matrix_of


@pytest.mark.parametrize("count", [0, 1, 15, 16, 255, 256, 65_535, 65_536])
def test_lists_become_arrays(count: int) -> None:
    values = np.random.default_rng(count).standard_normal(count)
    found = array_of(values.tolist())
    assert found.dtype == np.float64
    assert found.tobytes() == values.tobytes()


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (15, 15), (16, 16), (3, 0), (65_536, 2), (2, 65_536)])
def test_lists_of_rows_become_matrices(rows: int, width: int) -> None:
    values = np.random.default_rng(rows).standard_normal((rows, width))
    found = matrix_of(values.tolist())
    assert found.shape == (rows, width)
    assert found.tobytes() == values.tobytes()


def test_what_no_float_looks_like_is_kept() -> None:
    values = [-0.0, 5e-324, 1.7976931348623157e308, 0.1]
    assert [repr(value) for value in array_of(values).tolist()] == [repr(value) for value in values]


@pytest.mark.parametrize("rows", [[], [[1.0], []], [[1.0, 2.0], [3.0]]])
def test_rows_of_other_lengths_are_no_matrix(rows: list[list[float]]) -> None:
    assert matrix_of(rows) is None
