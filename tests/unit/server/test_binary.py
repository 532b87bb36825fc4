"""Binary tensors: every datatype there and back, and bytes that are not what they say."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from modelmill.contracts.artifact import Tensor
from modelmill_server.protocols import binary, v2
from modelmill_server.queries.columns import VECTOR_ROWS, RejectedError, features_of

NULLABLE = Tensor("gap", "FP64", (-1,), nullable=True)
ROWS = [1, VECTOR_ROWS - 1, VECTOR_ROWS, 500]


def message(tensors: list[tuple[str, str, list[int], bytes]], **document: Any) -> tuple[bytes, int]:
    """Return a body and the length of its JSON part. tensors: name, datatype, shape, bytes."""
    inputs = [
        {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
        for name, datatype, shape, data in tensors
    ]
    head = json.dumps({"inputs": inputs, **document}).encode()
    return head + b"".join(data for *_, data in tensors), len(head)


def reader(*tensors: Tensor) -> v2.Reader:
    return v2.Reader(features_of(tensors), ("predict", "predict_proba"), 1000)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("datatype", binary.DTYPES)
def test_numbers_there_and_back(datatype: str, rows: int) -> None:
    values = (np.arange(rows) % 2 if datatype == "BOOL" else np.arange(rows) % 100).astype(binary.DTYPES[datatype])
    data = binary.write(values, datatype)
    assert data == values.tobytes()
    query = reader(Tensor("x", datatype, (-1,))).read(*message([("x", datatype, [rows], data)]))
    assert (query.rows, list(query.columns[0])) == (rows, values.tolist())
    assert isinstance(query.columns[0], list) == (rows < VECTOR_ROWS)


@pytest.mark.parametrize("rows", ROWS)
def test_texts_there_and_back(rows: int) -> None:
    texts = ["", "é", "long " * 100, "x"] * rows
    data = binary.write(np.array(texts[:rows], object), "BYTES")
    query = reader(Tensor("x", "BYTES", (-1,))).read(*message([("x", "BYTES", [rows], data)]))
    assert query.columns == [texts[:rows]]


@pytest.mark.parametrize("rows", ROWS)
def test_matrix_and_missing_values(rows: int) -> None:
    matrix = np.arange(rows * 2, dtype="<f4").reshape(rows, 2)
    matrix[rows // 2, 1] = np.nan
    made = reader(Tensor("whole", "FP64", (-1,)), NULLABLE)
    query = made.read(*message([("any", "FP32", [rows, 2], matrix.tobytes())]))
    assert list(query.columns[0]) == matrix[:, 0].tolist()
    gap = [None if value is None or value != value else value for value in query.columns[1]]
    assert gap == [None if value != value else value for value in matrix[:, 1].tolist()]
    with pytest.raises(RejectedError, match=f"'whole' is missing .* at row {rows // 2}"):
        made.read(*message([("any", "FP32", [rows, 2], matrix[:, ::-1].tobytes())]))


@pytest.mark.parametrize("rows", ROWS)
def test_infinite_numbers_are_refused(rows: int) -> None:
    for datatype in ("FP16", "FP32", "FP64"):
        values = np.zeros(rows, binary.DTYPES[datatype])
        values[-1] = np.inf
        with pytest.raises(RejectedError, match=f"'gap' has a number out of range at row {rows - 1}"):
            reader(NULLABLE).read(*message([("gap", datatype, [rows], values.tobytes())]))


@pytest.mark.parametrize("rows", ROWS)
def test_numbers_of_another_datatype(rows: int) -> None:
    made = reader(Tensor("x", "FP64", (-1,)), Tensor("n", "INT64", (-1,)))
    data = np.ones(rows, "<i4").tobytes()
    query = made.read(*message([("x", "INT32", [rows, 1], data), ("n", "FP64", [rows], np.ones(rows).tobytes())]))
    assert [list(column) for column in query.columns] == [[1] * rows] * 2
    with pytest.raises(RejectedError, match=r"'n' is 1\.5 at row"):
        made.read(*message([("x", "INT32", [rows], data), ("n", "FP64", [rows], np.full(rows, 1.5).tobytes())]))


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "words"),
    [
        ("FP64", [1], b"\0" * 7, "no whole number of FP64 values"),
        ("FP64", [2], b"\0" * 8, r"has 1 values, its shape \[2\] says 2"),
        ("BYTES", [1], b"\x05\0\0\0ab", "no whole number of BYTES values"),
        ("BYTES", [1], b"\xff\xff\xff\xff", "no whole number of BYTES values"),
        ("BYTES", [1], b"\0", "no whole number of BYTES values"),
        ("BYTES", [1], b"\x01\0\0\0\xff", "not UTF-8 at row 0"),
        ("BOOL", [1], b"\x02", "neither 0 nor 1"),
        ("FP128", [1], b"\0" * 16, "datatype 'FP128'"),
        ("FP64", [-1], b"\0" * 8, "no rows"),
        ("FP64", [1, 1, 1], b"\0" * 8, "must be"),
    ],
)
def test_bytes_that_are_not_what_they_say(datatype: str, shape: list[int], data: bytes, words: str) -> None:
    feature = Tensor("x", datatype if datatype in ("BYTES", "BOOL") else "FP64", (-1,))
    with pytest.raises(RejectedError, match=words):
        reader(feature).read(*message([("x", datatype, shape, data)]))


@pytest.mark.parametrize("size", [-1, 9, 1.5, True, "8", [], None])
def test_wrong_sizes(size: Any) -> None:
    head = json.dumps(
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": size}}]}
    ).encode()
    with pytest.raises(RejectedError, match="binary_data_size"):
        reader(Tensor("x", "FP64", (-1,))).read(head + b"\0" * 8, len(head))


def test_bytes_of_nobody_and_data_given_twice() -> None:
    made = reader(Tensor("x", "FP64", (-1,)))
    body, length = message([("x", "FP64", [1], b"\0" * 8)])
    with pytest.raises(RejectedError, match="1 bytes of the body belong to no input"):
        made.read(body + b"x", length)
    both = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0], "parameters": {"binary_data_size": 0}}
    head = json.dumps({"inputs": [both]}).encode()
    with pytest.raises(RejectedError, match="both data and binary_data_size"):
        made.read(head, len(head))


@pytest.mark.parametrize(
    ("document", "want"),
    [
        ({}, set()),
        ({"parameters": {"binary_data_output": True}}, {"predict", "predict_proba"}),
        (
            {"outputs": [{"name": "predict", "parameters": {"binary_data": True}}, {"name": "predict_proba"}]},
            {"predict"},
        ),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "predict", "parameters": {"binary_data": False}}, {"name": "predict_proba"}],
            },
            {"predict_proba"},
        ),
    ],
)
def test_which_outputs_are_binary(document: dict[str, Any], want: set[str]) -> None:
    query = reader(Tensor("x", "FP64", (-1,))).read(*message([("x", "FP64", [1], b"\0" * 8)], **document))
    assert query.binary == want
