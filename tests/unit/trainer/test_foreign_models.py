"""What is read of a foreign model's file: its inputs, its labels, rows for it, and what cannot be served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from modelmill_trainer.failure import StageError
from modelmill_trainer.imports.artifact import GAPS_FROM, answered, sample_rows, signature_of, told
from modelmill_trainer.imports.foreign import Column, open_model
from tests.support.foreign_models import lightgbm_classifier, skops_classifier, xgboost_regressor

FLOAT, INT64, IMAGE = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, [None, 3, 8, 8]


def graph(path: Path, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], kind: int = FLOAT) -> Path:
    """Write a graph that passes its first input on."""
    made = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", [next(iter(inputs))], [name]) for name in outputs],
        "same",
        [onnx.helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [onnx.helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def test_inputs_of_a_booster_are_its_columns_with_categories_and_ranges(tmp_path: Path) -> None:
    for made in (xgboost_regressor(tmp_path), lightgbm_classifier(tmp_path)):
        _, columns = open_model(made.path, made.format, ())
        power, weight, origin = columns
        assert (power.name, power.datatype, power.nullable) == ("power", "FP64", True)
        assert weight.bounds is not None
        assert 690 < weight.bounds[0] < weight.bounds[1] < 2010
        assert (origin.datatype, origin.values) == ("BYTES", ("Europe", "Japan", "USA"))


def test_texts_of_an_encoder_are_found_and_gaps_are_tried(tmp_path: Path) -> None:
    made = skops_classifier(tmp_path)
    model, (weight, origin) = open_model(made.path, "skops", ())
    assert (weight.datatype, weight.nullable) == ("FP64", False)
    assert (origin.datatype, origin.values) == ("BYTES", ("Europe", "Japan", "USA"))
    rows, outputs = answered(model, [weight, origin])
    signature = signature_of(model, [weight, origin], outputs)
    assert signature.outputs[1].classes == (False, True)
    assert signature.outputs[0].datatype == "BOOL"
    assert set(rows["origin"]) <= {"Europe", "Japan", "USA"}


def test_names_are_those_of_mlmodel_where_the_file_has_none(tmp_path: Path) -> None:
    path = graph(tmp_path / "m.onnx", {"X": [None, 2]}, {"y": [None, 2]})
    assert [one.name for one in open_model(path, "onnx", ("a", "b"))[1]] == ["a", "b"]
    assert [one.name for one in open_model(path, "onnx", ())[1]] == ["x0", "x1"]
    named = graph(tmp_path / "n.onnx", {"a": [None, 1], "b": [None, 1]}, {"y": [None, 1]})
    assert [one.name for one in open_model(named, "onnx", ())[1]] == ["a", "b"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ({"image": IMAGE}, {"y": IMAGE}, "4 dimensions"),
        ({"X": [None, None]}, {"y": [None, None]}, "does not say how many features"),
        ({"a": [None, 2], "b": [None, 1]}, {"y": [None, 2]}, "has not the shape"),
        ({"X": [None, 2]}, {"y": [None, 2]}, "one value for each row"),
    ],
)
def test_a_graph_that_is_no_model_of_rows_is_refused(
    tmp_path: Path, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], words: str
) -> None:
    with pytest.raises(StageError, match=words) as refused:
        answered(*open_model(graph(tmp_path / "m.onnx", inputs, outputs), "onnx", ()))
    assert refused.value.reason == "ModelInvalid"


def test_whole_numbers_are_asked_for_where_the_graph_takes_them(tmp_path: Path) -> None:
    model, columns = open_model(graph(tmp_path / "m.onnx", {"n": [None, 1]}, {"y": [None, 1]}, INT64), "onnx", ())
    rows, outputs = answered(model, columns)
    assert columns[0].datatype == "INT64"
    assert all(isinstance(value, int) for value in rows["n"])
    assert outputs["predict"].tolist() == rows["n"]


def test_rows_are_the_same_each_time_and_have_gaps_only_where_they_may() -> None:
    columns = [Column("a", nullable=True), Column("b", bounds=(10.0, 20.0)), Column("c", "BYTES", values=("x", "y"))]
    rows = sample_rows(columns)
    assert rows == sample_rows(columns)
    assert None in rows["a"][GAPS_FROM:]
    assert None not in rows["a"][:GAPS_FROM]
    assert all(9 <= value <= 21 for value in rows["b"])
    assert set(rows["c"]) == {"x", "y"}


def test_a_signature_is_told_in_a_bounded_line(tmp_path: Path) -> None:
    path = graph(tmp_path / "m.onnx", {"n" * 400: [None, 1]}, {"y": [None, 1]})
    model, columns = open_model(path, "onnx", ())
    signature = signature_of(model, columns, answered(model, columns)[1])
    assert told(signature).startswith("regression; predict FP64; 1 input: nnn")
    assert len(told(signature)) < 1000
