"""Columns of the training data that the model does not use are ignored, those with gaps may be left out, others are unknown."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from modelmill.contracts.artifact import Tensor
from modelmill_server.protocols import inference_pb2 as pb
from modelmill_server.protocols import rows, v2
from modelmill_server.protocols.grpc_service import read_message
from modelmill_server.queries.columns import RejectedError, features_of
from modelmill_server.queries.query import Query

FEATURES = features_of(
    [
        Tensor("gap", "FP64", (-1,), nullable=True),
        Tensor("number", "FP64", (-1,)),
        Tensor("word", "BYTES", (-1,), kind="categorical", nullable=True),
    ]
)
IGNORED = frozenset({"signup", "comment", "number"})  # a feature of that name is a feature
V2 = v2.Reader(FEATURES, ("predict",), 100, IGNORED)
BY_ROW = rows.Reader(FEATURES, "predict", 100, IGNORED)
DATATYPES = {"gap": "FP64", "number": "FP64", "word": "BYTES", "colour": "BYTES"}
CONTENTS = {"FP64": "fp64_contents", "BYTES": "bytes_contents"}

Table = dict[str, list[Any]]


def infer(table: Table) -> Query:
    inputs = [
        {"name": name, "shape": [len(column)], "datatype": DATATYPES.get(name, "BYTES"), "data": column}
        for name, column in table.items()
    ]
    return V2.read(json.dumps({"inputs": inputs}).encode())


def infer_binary(table: Table) -> Query:
    """Numbers in binary form, and whatever is ignored as bytes that no datatype has."""
    inputs, tail = [], b""
    for name, column in table.items():
        datatype = DATATYPES.get(name, "DATE32")
        blob = b"".join(binary_value(value, datatype) for value in column)
        inputs.append(
            {
                "name": name,
                "shape": [len(column)],
                "datatype": datatype,
                "parameters": {"binary_data_size": len(blob)},
            }
        )
        tail += blob
    head = json.dumps({"inputs": inputs}).encode()
    return V2.read(head + tail, len(head))


def binary_value(value: Any, datatype: str) -> bytes:
    if datatype == "FP64":
        return struct.pack("<d", value)
    text = str(value).encode()
    return struct.pack("<I", len(text)) + text if datatype == "BYTES" else text


def infer_message(table: Table, raw: bool) -> Query:
    message = pb.ModelInferRequest()
    for name, column in table.items():
        datatype = DATATYPES.get(name, "DATE32")
        tensor = message.inputs.add(name=name, datatype=datatype, shape=[len(column)])
        if raw:
            message.raw_input_contents.append(b"".join(binary_value(value, datatype) for value in column))
        elif datatype in CONTENTS:
            values = [value.encode() if isinstance(value, str) else value for value in column]
            getattr(tensor.contents, CONTENTS[datatype]).extend(values)
        else:
            tensor.contents.bytes_contents.extend([b"\xff"] * len(column))
    return read_message(V2, message)


def records(table: Table) -> list[dict[str, Any]]:
    count = len(next(iter(table.values())))
    return [{name: column[row] for name, column in table.items()} for row in range(count)]


def body(**content: Any) -> bytes:
    return json.dumps(content).encode()


def split(table: Table) -> dict[str, Any]:
    return {"columns": list(table), "data": [list(row.values()) for row in records(table)]}


FORMS: dict[str, Callable[[Table], Query]] = {
    "V2": infer,
    "V2 in binary form": infer_binary,
    "gRPC": lambda table: infer_message(table, False),
    "gRPC, raw": lambda table: infer_message(table, True),
    "V1 instances": lambda table: BY_ROW.read_v1(body(instances=records(table))),
    "V1 inputs": lambda table: BY_ROW.read_v1(body(inputs=table)),
    "records": lambda table: BY_ROW.read_mlflow(body(dataframe_records=records(table))),
    "split": lambda table: BY_ROW.read_mlflow(body(dataframe_split=split(table))),
}
EVERY = pytest.mark.parametrize("form", FORMS)
WHOLE: Table = {"gap": [1.5, 2.5], "number": [3.0, 4.0], "word": ["a", "b"]}
DATES = ["2026-01-01", "2026-01-02"]


def refusal(form: str, table: Table) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        FORMS[form](table)
    assert caught.value.status == 400
    return caught.value


@EVERY
def test_column_that_the_model_does_not_use_is_ignored(form: str) -> None:
    want = FORMS[form](WHOLE)
    for table in (
        {**WHOLE, "signup": DATES},
        {"signup": DATES, **WHOLE, "comment": ["", "x" * 1000]},
        {"comment": DATES, **WHOLE},
    ):
        assert FORMS[form](table).columns == want.columns == list(WHOLE.values())


@EVERY
def test_column_with_gaps_may_be_left_out(form: str) -> None:
    query = FORMS[form]({"number": [3.0, 4.0], "signup": DATES})
    assert query.columns == [[None, None], [3.0, 4.0], [None, None]]
    assert query.rows == 2
    assert FORMS[form]({"word": ["a", "b"], "number": [3.0, 4.0]}).columns == [[None, None], [3.0, 4.0], ["a", "b"]]


@EVERY
def test_column_without_gaps_is_asked_for_by_name(form: str) -> None:
    for table in ({"gap": [1.5, 2.5], "word": ["a", "b"]}, {"signup": DATES}):
        told = refusal(form, table)
        assert "missing input 'number'" in told.message
        assert (told.feature, told.reason) == ("number", "missing")


@EVERY
def test_unknown_column_is_refused_by_name(form: str) -> None:
    told = refusal(form, {**WHOLE, "colour": ["red", "blue"], "signup": DATES})
    assert "unknown input 'colour'" in told.message
    assert told.reason == "unknown"


@EVERY
def test_long_tables_too(form: str) -> None:
    query = FORMS[form]({"number": [1.0] * 60, "comment": ["x"] * 60})
    assert [list(column) for column in query.columns] == [[None] * 60, [1.0] * 60, [None] * 60]


@pytest.mark.parametrize("form", ["V2", "V2 in binary form", "gRPC", "gRPC, raw", "V1 inputs"])
def test_ignored_column_has_as_many_rows_as_the_others(form: str) -> None:
    message = refusal(form, {**WHOLE, "signup": DATES[:1]}).message
    assert "'signup' has 1 rows" in message
    assert "2" in message


def test_rows_may_leave_out_different_columns() -> None:
    given = [{"number": 1.0}, {"number": 2.0, "gap": 5.0, "signup": None}, {"word": "a", "number": 3.0}]
    for query in (BY_ROW.read_v1(body(instances=given)), BY_ROW.read_mlflow(body(dataframe_records=given))):
        assert query.columns == [[None, 5.0, None], [1.0, 2.0, 3.0], [None, None, "a"]]
    with pytest.raises(RejectedError, match="missing input 'number' at row 1"):
        BY_ROW.read_v1(body(instances=[{"number": 1.0}, {"gap": 1.0}]))


def test_lists_without_names_have_the_features_and_nothing_else() -> None:
    assert BY_ROW.read_v1(body(instances=[[None, 1.0, "a"]])).columns == [[None], [1.0], ["a"]]
    for row in ([1.0], [None, 1.0, "a", "2026-01-01"]):
        with pytest.raises(RejectedError, match=r"row 0 has \d values: it must be a list of 3 values"):
            BY_ROW.read_v1(body(instances=[row]))


ALL_GAPS = features_of([Tensor("gap", "FP64", (-1,), nullable=True)])


def test_model_whose_every_column_has_gaps() -> None:
    reader, by_row = v2.Reader(ALL_GAPS, ("predict",), 100, IGNORED), rows.Reader(ALL_GAPS, "predict", 100, IGNORED)
    only = {"name": "signup", "shape": [3, 1], "datatype": "BYTES", "data": DATES}
    assert reader.read(body(inputs=[only])).columns == [[None] * 3]
    assert by_row.read_v1(body(instances=[{}, {}])).columns == [[None] * 2]
    assert by_row.read_mlflow(body(dataframe_split={"columns": ["signup"], "data": [["x"]]})).columns == [[None]]
    for wrong in (body(inputs={}), body(inputs={"signup": []}), body(instances=[])):
        with pytest.raises(RejectedError, match="no rows"):
            by_row.read_v1(wrong)
