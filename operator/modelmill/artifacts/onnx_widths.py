"""How many columns a tensor of an ONNX graph has, where the file says it.

Operators on trees read a row by the places that their nodes say, and compare no place with the row.
"""

from __future__ import annotations

from typing import Any

from modelmill.artifacts.onnx_nodes import Node
from modelmill.artifacts.onnx_sizes import Sizes
from modelmill.artifacts.onnx_tensors import Tensor
from modelmill.artifacts.protobuf import Message, number, once, parse_message, text

_SAME = {
    "Abs", "Cast", "Ceil", "Clip", "Exp", "Floor", "Identity", "Imputer", "LeakyRelu", "Log", "Neg", "Normalizer", "Reciprocal",
    "Relu", "Round", "Scaler", "Sigmoid", "Sign", "Softmax", "Sqrt", "Tanh", "Binarizer",
}  # fmt: skip
_BETWEEN = {"Add", "Sub", "Mul", "Div", "Pow", "Where", "Max", "Min", "Sum"}


class Widths:
    """The last side of tensors by name. known: those of the graphs around."""

    def __init__(self, known: dict[str, int]) -> None:
        self.known = dict(known)

    def of(self, name: str) -> int | None:
        """Return the columns of a tensor, None where they are not known."""
        return self.known.get(name)

    def see_input(self, value: Message) -> None:
        """Remember an input of the graph: ValueInfoProto."""
        type_: Any = once(value, 2)
        tensor = once(parse_message(type_), 1) if type_ is not None else None
        shape = once(parse_message(tensor), 2) if tensor is not None else None
        sides = parse_message(shape).get(1, []) if shape is not None else []
        width = number(parse_message(sides[-1]), 1) if len(sides) == 2 else 0
        if width > 0:
            self.known[text(value, 1)] = width

    def see_tensor(self, tensor: Tensor) -> None:
        """Remember an initializer."""
        if tensor.sides:
            self.known[tensor.name] = tensor.sides[-1]

    def see_node(self, node: Node, constants: Sizes) -> None:
        """Remember what a node makes, where that can be told."""
        width = self._made(node, constants)
        for name in node.outputs:
            self.known.pop(name, None)
        if width is not None and node.outputs:
            self.known[node.outputs[0]] = width

    def _made(self, node: Node, constants: Sizes) -> int | None:
        given = [self.known.get(name) for name in node.inputs]
        known = [width for width in given if width is not None]
        if not given:
            return None
        if node.kind in _SAME:
            return given[0]
        if node.kind in _BETWEEN:
            return max(known) if len(known) == len(given) else None
        if node.kind == "Concat":
            return sum(known) if len(known) == len(given) and node.integer("axis", 1) in (1, -1) else None
        if node.kind == "FeatureVectorizer":
            return sum(known) if len(known) == len(given) else None
        second = constants.known.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if second is None:
            return None
        if node.kind in ("MatMul", "Gemm") and len(second.sides) == 2:
            return second.sides[0 if node.kind == "Gemm" and node.integer("transB", 0) else 1]
        if node.kind == "ArrayFeatureExtractor":
            return second.elements
        if node.kind == "Reshape" and second.values and len(second.values) == 2 and second.values[-1] > 0:
            return int(second.values[-1])
        return None
