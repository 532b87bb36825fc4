"""Requests become columns, or a refusal that names the field."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts.artifact import Tensor
from modelmill_server.protocols import binary, rows, v2
from modelmill_server.protocols.documents import decode
from modelmill_server.queries.columns import FAMILY, RejectedError, features_of, from_array, from_python, to_family

FEATURES = features_of(
    [
        Tensor("gap", "FP64", (-1,), nullable=True),
        Tensor("number", "FP64", (-1,)),
        Tensor("whole", "INT64", (-1,)),
        Tensor("flag", "BOOL", (-1,)),
        Tensor("word", "BYTES", (-1,), kind="categorical", nullable=True),
    ]
)
V2 = v2.Reader(FEATURES, ("predict", "predict_proba"), 100)
ROWS = rows.Reader(FEATURES, "predict", 100)

singles = st.floats(-1e30, 1e30)
rows_of_values = st.lists(
    st.tuples(
        st.one_of(st.none(), singles),
        singles,
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        st.one_of(st.none(), st.text()),
    ),
    min_size=1,
    max_size=20,
)


@given(rows_of_values, st.booleans(), st.randoms())
def test_every_form_gives_the_same_columns(table: list[Any], nested: bool, random: Any) -> None:
    columns = [list(column) for column in zip(*table, strict=True)]
    names = [feature.name for feature in FEATURES]
    inputs = [
        {
            "name": feature.name,
            "shape": [len(table), 1] if nested else [len(table)],
            "datatype": feature.datatype,
            "data": [[value] for value in column] if nested else column,
        }
        for feature, column in zip(FEATURES, columns, strict=True)
    ]
    random.shuffle(inputs)
    query = V2.read(json.dumps({"inputs": inputs}, ensure_ascii=True).encode())
    assert query.columns == columns
    assert (query.rows, query.wanted) == (len(table), ("predict", "predict_proba"))
    order = list(range(len(names)))
    random.shuffle(order)
    records = [dict(zip(names, row, strict=True)) for row in table]
    for document in (
        {"instances": table},
        {"instances": records},
        {"dataframe_records": records},
        {"dataframe_split": {"columns": [names[i] for i in order], "data": [[row[i] for i in order] for row in table]}},
        {"dataframe_split": {"data": table, "index": [1]}},
        {"inputs": dict(zip(names, columns, strict=True))},
    ):
        assert ROWS.read_mlflow(json.dumps(document).encode()).columns == columns


NUMBERS = features_of(
    [Tensor("a", "FP32", (-1,)), Tensor("b", "INT32", (-1,)), Tensor("c", "FP64", (-1,), nullable=True)]
)


@given(st.lists(st.tuples(singles, st.integers(-9, 9), st.one_of(st.none(), singles)), min_size=1, max_size=9))
def test_matrix_is_split_into_columns(table: list[Any]) -> None:
    reader = v2.Reader(NUMBERS, ("predict",), 100)
    flat = [value for row in table for value in row]
    want = [list(column) for column in zip(*table, strict=True)]
    for data in (flat, table):
        tensor = {"name": "x", "shape": [len(table), 3], "datatype": "FP64", "data": data}
        assert reader.read(json.dumps({"inputs": [tensor]}).encode()).columns == want


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        ({"shape": [1, 2], "data": [1.0, 2.0]}, "has 2 columns: the model takes 3"),
        ({"shape": [2, 3], "data": [1.0, 2.0]}, "has 2 values"),
        ({"shape": [1, 3], "data": [[1.0, 2.0]]}, "has 2 values at row 0"),
        ({"shape": [2, 3], "data": [1, 2, 3, 1, 2, "x"]}, "has text at row 1"),
        ({"shape": [1, 3], "data": [1, 2.5, 3]}, "'b' is 2.5 at row 0"),
        ({"shape": [2, 3], "data": [1, 2, 3, None, 2, 3]}, "'a' is missing (null or NaN) at row 1"),
        (
            {"shape": [1, 3], "data": ["a", "b", "c"], "datatype": "BYTES"},
            "has datatype BYTES: the model's features are numbers",
        ),
        ({"shape": [0, 3], "data": []}, "no rows"),
    ],
)
def test_bad_matrix_is_refused(tensor: dict[str, Any], words: str) -> None:
    reader = v2.Reader(NUMBERS, ("predict",), 100)
    with pytest.raises(RejectedError) as refused:
        reader.read(json.dumps({"inputs": [{"name": "x", "datatype": "FP64", **tensor}]}).encode())
    assert words in refused.value.message
    assert refused.value.status == 400


@pytest.mark.parametrize("opening", [b'{"inputs":[', b'{"x":NaN,"inputs":[', b"["])
def test_depth_has_a_limit(opening: bytes) -> None:
    with pytest.raises(RejectedError) as refused:
        decode(msgspec.json.Decoder(dict[str, Any]), opening + b"[" * 100_000)
    assert refused.value.status == 400


def test_every_datatype_can_be_read() -> None:
    families = {name: family for name, family in FAMILY.items() if name != "FP16"}
    reader = v2.Reader(features_of([Tensor(name, name, (-1,)) for name in families]), ("predict",), 10)
    values = {"float": 1.5, "int": 1, "bool": True, "text": "é"}
    inputs = [{"name": name, "shape": [1], "datatype": name, "data": [values[families[name]]]} for name in families]
    assert reader.read(json.dumps({"inputs": inputs}).encode()).columns == [
        [values[kind]] for kind in families.values()
    ]


@pytest.mark.parametrize(("declared", "value"), [("FP64", 9.3e18), ("FP64", -1e30), ("UINT64", 2**63)])
@pytest.mark.parametrize("rows", [1, 100])
def test_whole_numbers_beyond_64_bits_are_refused(declared: str, value: float, rows: int) -> None:
    feature = features_of([Tensor("n", "INT64", (-1,))])[0]
    values = np.array([1] * (rows - 1) + [value], binary.DTYPES[declared])
    with pytest.raises(RejectedError, match=f"'n' has a number out of range at row {rows - 1}"):
        from_array(feature, declared, values)


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize(
    ("datatype", "value"), [("INT8", 1000), ("UINT8", -1), ("INT32", 2**31), ("UINT32", 2**32), ("UINT16", -5)]
)
def test_whole_numbers_beyond_a_narrow_type_are_refused(datatype: str, value: int, rows: int) -> None:
    feature = features_of([Tensor("n", datatype, (-1,))])[0]
    values = [1] * (rows - 1) + [value]
    words = "'n' has a number out of range at row"
    with pytest.raises(RejectedError, match=words):
        from_array(feature, "INT64", np.array(values))
    with pytest.raises(RejectedError, match=words):
        from_python(feature, [float(one) for one in values])
    document = {"inputs": [{"name": "n", "shape": [rows], "datatype": "INT64", "data": values}]}
    with pytest.raises(RejectedError, match=words):
        v2.Reader((feature,), ("predict",), 100).read(json.dumps(document).encode())


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("rows", [47, 48, 300])
def test_large_matrix_of_numbers_is_read_as_small_ones_are(rows: int, nested: bool) -> None:
    features = features_of([Tensor("a", "FP64", (-1,)), Tensor("b", "FP64", (-1,), nullable=True)])
    reader = v2.Reader(features, ("predict",), 1000)
    matrix: list[list[Any]] = [[row / 3, float(-row)] for row in range(rows)]

    def read(table: list[list[Any]], shape: list[int] | None = None) -> list[Any]:
        data = table if nested else [value for row in table for value in row]
        tensor = {"name": "x", "shape": shape or [rows, 2], "datatype": "FP64", "data": data}
        return reader.read(json.dumps({"inputs": [tensor]}).encode()).columns

    assert [list(column) for column in read(matrix)] == [[row[place] for row in matrix] for place in (0, 1)]
    matrix[-1][1] = None
    assert list(read(matrix)[1])[-1] is None
    for bad_value, words in ((None, "'a' is missing"), ("x", "must be a number"), (1e39, "out of range")):
        wrong = [*matrix[:-1], [bad_value, 0.0]]
        with pytest.raises(RejectedError, match=words):
            read(wrong)
    with pytest.raises(RejectedError, match="its shape"):
        read(matrix, [rows + 1, 2])


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("declared", ["FP32", "FP64"])
def test_large_tensors_of_numbers_are_read_as_small_ones_are(declared: str, nested: bool) -> None:
    features = features_of([Tensor("a", "FP64", (-1,)), Tensor("n", "INT64", (-1,)), Tensor("t", "BYTES", (-1,))])
    reader = v2.Reader(features[:2], ("predict",), 1000)

    def read(a: list[Any], n: list[Any], name: str = "n", **more: Any) -> list[list[Any]]:
        inputs = [
            {"name": key, "datatype": declared, **more}
            | {"shape": [300, 1] if nested else [300], "data": [[value] for value in values] if nested else values}
            for key, values in (("a", a), (name, n))
        ]
        return [list(column) for column in reader.read(json.dumps({"inputs": inputs}).encode()).columns]

    numbers = [float(row) for row in range(300)]
    assert read(numbers, numbers) == [numbers, list(range(300))]
    for bad_value, words in ((0.5, "must be a whole number"), (None, "is missing"), ("x", "must be a number")):
        with pytest.raises(RejectedError, match=f"'n' .*{words}|'n' is 0.5 at row 299: it {words}"):
            read(numbers, [*numbers[:-1], bad_value])
    with pytest.raises(RejectedError, match="has 299 values"):
        read(numbers, numbers[:-1])
    with pytest.raises(RejectedError, match="unknown input 'other'"):
        read(numbers, numbers, "other")
    with pytest.raises(RejectedError, match="shared memory"):
        read(numbers, numbers, parameters={"shared_memory_region": "x"})
    reader = v2.Reader(features, ("predict",), 1000)
    with pytest.raises(RejectedError, match="the model takes BYTES"):
        read(numbers, numbers, "t")


@pytest.mark.parametrize("form", ["instances", "dataframe_split"])
@pytest.mark.parametrize("count", [20, 300])
def test_large_bodies_of_rows_are_read_as_small_ones_are(form: str, count: int) -> None:
    features = features_of([Tensor(name, "FP64", (-1,), nullable=name == "b") for name in "abc"])
    reader = rows.Reader(features, "predict", 301)

    def read(table: Any, **more: Any) -> list[list[Any]]:
        value = table if form == "instances" else {"data": table, **more}
        # Blanks make a body large that has few rows.
        body = json.dumps({form: value} | (more if form == "instances" else {})).encode() + b" " * 5000
        query = reader.read_mlflow(body)
        return [list(column) for column in query.columns]

    table: list[list[Any]] = [[row / 3, float(-row), row] for row in range(count)]
    assert read(table) == [list(column) for column in zip(*table, strict=True)]
    if form == "dataframe_split":
        assert read(table, columns=["c", "a", "b"]) == [[row[place] for row in table] for place in (1, 2, 0)]
        for columns, words in (([], "it must be a list of 0"), (None, "must be a list of names"), (["a"] * 3, "twice")):
            with pytest.raises(RejectedError, match=words):
                read(table, columns=columns)
        with pytest.raises(RejectedError, match="unknown input 'x'"):
            read(table, columns=["a", "b", "x"])
    else:
        with pytest.raises(RejectedError, match="exactly one of"):
            read(table, inputs=None)
    assert read([*table, [0.0, None, 1.0]])[1][-1] is None
    for wrong, words in (
        ([None, 0.0, 0.0], f"'a' is missing .* at row {count}"),
        ([1e39, 0.0, 0.0], f"'a' has a number out of range at row {count}"),
        ([True, 0.0, 0.0], "'a' has true or false"),
        ([0.0, 0.0], f"row {count} has 2 values"),
    ):
        with pytest.raises(RejectedError, match=words):
            read([*table, wrong])
    with pytest.raises(RejectedError, match="at most 301"):
        read(table * 31)


def test_half_precision_has_no_form_in_json() -> None:
    reader = v2.Reader(features_of([Tensor("x", "FP16", (-1,))]), ("predict",), 10)
    document = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP16", "data": [1.5]}]}
    with pytest.raises(RejectedError, match="'x' has datatype FP16: that is taken in binary form only"):
        reader.read(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("name", "declared", "values", "want"),
    [
        ("whole", "FP64", [1.0, -3.0], [1, -3]),
        ("number", "INT64", [1, 2], [1, 2]),
        ("number", "BOOL", [True], [1.0]),
        ("flag", "INT64", [0, 1], [False, True]),
        ("whole", "BOOL", [True], [1]),
        ("gap", "INT8", [None, 5], [None, 5]),
    ],
)
def test_other_numeric_datatypes_are_taken_when_nothing_is_lost(
    name: str, declared: str, values: list[Any], want: list[Any]
) -> None:
    feature = next(feature for feature in FEATURES if feature.name == name)
    got = to_family(feature, declared, values)
    assert got == want
    assert [type(value) for value in got] == [type(value) for value in want]


@pytest.mark.parametrize(
    ("name", "declared", "values"),
    [("whole", "FP64", [1.5]), ("flag", "INT64", [2]), ("number", "BYTES", []), ("word", "FP64", [])],
)
def test_other_datatypes_are_refused_when_something_would_be_lost(name: str, declared: str, values: list[Any]) -> None:
    feature = next(feature for feature in FEATURES if feature.name == name)
    with pytest.raises(RejectedError, match=name):
        to_family(feature, declared, values)


def test_a_frame_with_whole_numbers_as_floats_is_taken() -> None:
    assert from_python(FEATURES[2], [1.0, 2]) == [1, 2]
    with pytest.raises(RejectedError, match="'whole'"):
        from_python(FEATURES[2], [1.5])


@pytest.mark.parametrize("number", ["1e400", "-1e400", "7" * 5000, "1e" + "9" * 5000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_number_beyond_every_float_is_told_by_feature_and_row(number: str, mark: bytes) -> None:
    tensors = (
        '[{"name": "a", "shape": [2], "datatype": "FP64", "data": [1, BAD]},'
        '{"name": "b", "shape": [2], "datatype": "INT32", "data": [4, 4]}]'
    )
    reader = rows.Reader(NUMBERS, "predict", 100)
    for read, body in (
        (v2.Reader(NUMBERS, ("predict",), 100).read, f'{{"inputs": {tensors}}}'),
        (reader.read_mlflow, '{"instances": [[1, 4, 1], [BAD, 4, 1]]}'),
        (reader.read_v1, '{"instances": [[1, 4, 1], [BAD, 4, 1]]}'),
    ):
        with pytest.raises(RejectedError, match="input 'a' has a number out of range at row 1"):
            read(mark + body.replace("BAD", number).encode())


def test_byte_order_mark_is_ignored() -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"instances": [[1.5, 4, None]]}).encode()
    assert rows.Reader(NUMBERS, "predict", 100).read_mlflow(body).columns == [[1.5], [4], [None]]
