"""Columns as one matrix, with no copy where they are one already."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelmill_server.queries.columns import Column


def numbers(columns: list[Column], dtype: Any) -> Any:
    """Return columns of numbers as a C-contiguous array [rows, features] of the float type `dtype`, NaN where missing."""
    if len(columns[0]) == 1:
        return np.array([[column[0] for column in columns]], dtype)
    whole = one_matrix(columns)
    if whole is not None:
        return np.ascontiguousarray(whole, dtype)
    if not any(isinstance(column, np.ndarray) for column in columns):
        return np.ascontiguousarray(np.array(columns, dtype).T)
    rows = np.empty((len(columns[0]), len(columns)), dtype)
    for index, column in enumerate(columns):
        rows[:, index] = column
    return rows


def one_matrix(columns: list[Column]) -> Any:
    """Return the C-contiguous matrix that the columns are views of, itself a view; None when they are not of one."""
    first = columns[0]
    if not isinstance(first, np.ndarray):
        return None
    width, item, at = len(columns), first.itemsize, _address(first)
    strides = (width * item,)
    for index, column in enumerate(columns):
        if (
            not isinstance(column, np.ndarray)
            or column.base is None
            or column.base is not first.base
            or column.dtype != first.dtype
            or column.shape != first.shape
            or column.strides != strides
            or _address(column) != at + index * item
        ):
            return None
    # Every element of this view is an element of one of the columns, so it stays inside their memory.
    return np.lib.stride_tricks.as_strided(first, (len(first), width), (width * item, item), writeable=False)


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])
