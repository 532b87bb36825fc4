"""The inputs, labels and outputs that an ONNX graph says that it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import onnx

from modelmill_trainer.failure import StageError
from modelmill_trainer.imports.foreign import FLOAT, TEXT, TRUTH, WHOLE, Column
from modelmill_trainer.model_document import CLASSIFICATION, REGRESSION
from modelmill_trainer.models import Model, OnnxModel
from modelmill_trainer.onnx_file import require_whole

DATATYPES: Final = {
    onnx.TensorProto.FLOAT: FLOAT, onnx.TensorProto.DOUBLE: FLOAT, onnx.TensorProto.INT64: WHOLE, onnx.TensorProto.INT32: WHOLE,
    onnx.TensorProto.BOOL: TRUTH, onnx.TensorProto.STRING: TEXT,
}  # fmt: skip
LABELS: Final = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
TEXTS: Final = ("cats_strings", "keys_strings", "classes_strings")


def open_onnx(content: bytes, said: Sequence[str]) -> tuple[Model, list[Column]]:
    """Return the model and its inputs. Raises StageError (ModelInvalid)."""
    require_whole(content)
    graph = onnx.load_model_from_string(content).graph
    weights = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in weights]
    columns = _columns(graph, inputs, said)
    if not graph.output:
        raise StageError("ModelInvalid", "the ONNX model has no output")
    classifies = _datatype(graph.output[0]) in (WHOLE, TEXT, TRUTH)
    task = CLASSIFICATION if classifies else REGRESSION
    return OnnxModel(content, [one.name for one in columns], task, _classes(graph) if classifies else ()), columns


def _columns(graph: onnx.GraphProto, inputs: list[Any], said: Sequence[str]) -> list[Column]:
    texts = _texts(graph)
    if len(inputs) == 1:
        name, width = inputs[0].name, _width(inputs[0]) or len(said)
        if not width:
            raise StageError(
                "ModelInvalid",
                f"the input {name!r} of the ONNX model does not say how many features it takes: give it the shape [rows, "
                "features] when it is exported",
            )
        names = [name] if width == 1 else [f"x{place}" for place in range(min(width, 1 << 20))]
        if len(said) == width > 1:
            names = [*said]
        return [Column(one, _known(inputs[0]), values=texts.get(name, ())) for one in names]
    for one in inputs:
        if _width(one) != 1:
            raise StageError(
                "ModelInvalid",
                f"the input {one.name!r} of the ONNX model has not the shape [rows, 1]: of several inputs each has one value "
                "for each row",
            )
    return [Column(one.name, _known(one), values=texts.get(one.name, ())) for one in inputs]


def _width(item: Any) -> int:
    """Return how many features an input of the shape [rows, features] takes, 0 when it does not say. Raises StageError."""
    sides = item.type.tensor_type.shape.dim
    if len(sides) != 2:
        raise StageError(
            "ModelInvalid",
            f"the input {item.name!r} of the ONNX model has {len(sides)} dimensions: rows of features have 2, [rows, features]",
        )
    return int(sides[1].dim_value)


def _datatype(item: Any) -> str | None:
    return DATATYPES.get(item.type.tensor_type.elem_type)


def _known(item: Any) -> str:
    found = _datatype(item)
    if found is None:
        raise StageError(
            "ModelInvalid", f"the ONNX model's input {item.name!r} has a type of its own: use float, int64 or string"
        )
    return found


def _classes(graph: onnx.GraphProto) -> tuple[Any, ...]:
    """Return the labels that a classifier or a ZipMap names; by number where only the width of the probabilities is known."""
    for node in reversed(graph.node):
        for name in LABELS:
            listed = _attribute(node, name)
            if listed:
                return listed
    sides = list(graph.output[1].type.tensor_type.shape.dim) if len(graph.output) > 1 else []
    return tuple(range(int(sides[1].dim_value))) if len(sides) == 2 and _datatype(graph.output[0]) == WHOLE else ()


def _attribute(node: onnx.NodeProto, name: str) -> tuple[Any, ...]:
    for one in node.attribute:
        if one.name == name:
            return tuple(text.decode("utf-8", "replace") for text in one.strings) or tuple(one.ints)
    return ()


def _texts(graph: onnx.GraphProto) -> dict[str, tuple[Any, ...]]:
    """Return the texts that an operator knows of what it reads, by its name."""
    return dict(_known_texts(graph))


def _known_texts(graph: onnx.GraphProto) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for node in graph.node:
        for name in TEXTS:
            listed = _attribute(node, name)
            if listed and node.input:
                yield node.input[0], listed
