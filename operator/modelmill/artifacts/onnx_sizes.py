"""How large the tensors become that an ONNX graph makes out of its own constants, which a runtime does while it loads the file.

What depends on a request is not known here: it is bounded by the rows of the request and by the memory of the process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from modelmill.artifacts.onnx_nodes import Node
from modelmill.artifacts.onnx_tensors import Tensor
from modelmill.artifacts.protobuf import floats, number, numbers

# Operators that make a tensor as large as the numbers in one of their inputs say, and which inputs those are.
_SHAPED = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Tile": (1,),
    "OneHot": (1,),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "Pad": (1,),
}
_ALIKE = {
    "Cast",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Transpose",
    "Neg",
    "Abs",
    "Not",
    "Slice",
    "Shape",
}
_KEEPING = {"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}
MAX_SCALE = 1024.0  # of a side, by Resize


class Sizes:
    """Constants by name: initializers, and what is computed of them alone. known: those of the graphs around."""

    def __init__(self, known: dict[str, Tensor], most: int) -> None:
        self.known = dict(known)
        self._most = most

    def see_tensor(self, tensor: Tensor) -> None:
        """Remember an initializer."""
        self.known[tensor.name] = tensor

    def see_node(self, kind: str, node: Node, held: Sequence[Tensor]) -> str:
        """Remember what a node makes of constants. Return what is wrong with its size, an empty text when nothing is."""
        if kind == "Constant":
            self._see_constant(node, held)
            return ""
        problem = self._shaped(kind, node) or self._ranged(kind, node)
        given = [name for name in node.inputs if name]
        if problem or not given or not all(name in self.known for name in given) or kind in ("If", "Scan"):
            return problem
        made = self._made(node, [self.known[name] for name in given])
        if made.elements > self._most:
            return f"makes {made.elements} elements out of constants: at most {self._most} are made"
        for name in node.outputs:
            self.known[name] = Tensor(name, made.sides, made.values if len(node.outputs) == 1 else None, made.exact)
        return ""

    def _see_constant(self, node: Node, held: Sequence[Tensor]) -> None:
        name = node.outputs[0] if node.outputs else ""
        if held:
            self.known[name] = Tensor(name, held[0].sides, held[0].values)
            return
        for attribute, message in node.attributes.items():
            values: tuple[float, ...] = ()
            if attribute == "value_int":
                self.known[name] = Tensor(name, (), (float(number(message, 3)),))
            elif attribute == "value_ints":
                values = tuple(numbers(message, 8).tolist())
                self.known[name] = Tensor(name, (len(values),), values)
            elif attribute == "value_floats":
                values = tuple(floats(message, 7).tolist())
                self.known[name] = Tensor(name, (len(values),), values)
            else:
                self.known[name] = Tensor(name, (len(message.get(9, ())),) if attribute == "value_strings" else ())

    def _shaped(self, kind: str, node: Node) -> str:
        stated = [
            number
            for key in ("pads", "repeats")
            if key in node.attributes
            for number in numbers(node.attributes[key], 8).tolist()
        ]
        for place in _SHAPED.get(kind, ()):
            tensor = self.known.get(node.inputs[place]) if place < len(node.inputs) else None
            if tensor is None:
                continue
            if tensor.values is None:
                if tensor.elements and not (kind in ("Resize", "Upsample") and place == 1):
                    return "has a size that is computed of constants: write the number"
                continue
            if kind in ("Resize", "Upsample") and place < 3:
                if any(not 0 <= value <= MAX_SCALE for value in tensor.values) and place == (
                    2 if kind == "Resize" else 1
                ):
                    return f"makes a side more than {MAX_SCALE:g} times as long"
                continue
            stated.extend(tensor.values)
        if kind == "Pad":  # so many before each side, then so many behind each
            half = len(stated) // 2
            stated = [
                1 + abs(before) + abs(behind) for before, behind in zip(stated[:half], stated[half:], strict=False)
            ]
        total = math.prod(max(abs(value), 1) for value in stated)
        if kind in _SHAPED and not total <= self._most:
            return f"makes {total:.3g} elements of each: at most {self._most} are made"
        return ""

    def _ranged(self, kind: str, node: Node) -> str:
        if kind != "Range":
            return ""
        held = [self.known.get(name) for name in node.inputs]
        values = [tensor.values[0] if tensor is not None and tensor.values else None for tensor in held]
        if len(values) != 3 or any(
            value is None and tensor is not None for value, tensor in zip(values, held, strict=True)
        ):
            return "has a size that is computed of constants: write the number"
        begin, end, step = values
        if step is not None and not abs(step) >= 1e-300:
            return "has no step"
        if (
            begin is not None
            and end is not None
            and step is not None
            and not abs(end - begin) / abs(step) <= self._most
        ):
            return f"makes {abs(end - begin) / abs(step):.3g} elements: at most {self._most} are made"
        return ""

    def _made(self, node: Node, given: list[Tensor]) -> Tensor:
        """Return what is made of constants: of at most that size, with values where they are the first one's."""
        kind, first = node.kind, given[0]
        values = _values(kind, given)
        if values is not None:
            return Tensor("", first.sides if kind == "Identity" else (len(values),), values, exact=kind == "Identity")
        if kind == "Identity":
            return first
        return Tensor("", _sides(node, given), exact=False)


def _sides(node: Node, given: list[Tensor]) -> tuple[int, ...]:
    """Return sides of at least as many elements as are made."""
    kind, first = node.kind, given[0]
    if kind == "ConstantOfShape":
        return tuple(int(side) for side in first.values or ())
    if kind == "Concat":
        return (sum(tensor.elements for tensor in given),)
    if kind == "Gather" and len(given) == 2:
        taken = first.elements
        axis = node.integer("axis", 0)
        if first.exact and -len(first.sides) <= axis < len(first.sides):
            taken //= max(first.sides[axis], 1)
        return (taken * given[1].elements,)
    if kind == "Einsum":
        return (math.prod(max(tensor.elements, 1) for tensor in given),)
    if kind in _ALIKE:
        return (first.elements,)
    shape = given[-1].values if kind in ("Expand", "Tile") else None
    if shape:
        return (first.elements, *(max(int(abs(side)), 1) for side in shape))
    try:
        return np.broadcast_shapes(*(tensor.sides for tensor in given))
    except ValueError:
        return (math.prod(max(tensor.elements, 1) for tensor in given),)


def _values(kind: str, given: list[Tensor]) -> tuple[float, ...] | None:
    """Return the numbers that an operator on sizes makes, None when they are not known here."""
    first = given[0]
    if kind == "Shape":
        return tuple(float(side) for side in first.sides)
    if kind == "Concat" and all(tensor.values is not None for tensor in given):
        return tuple(value for tensor in given for value in tensor.values or ())
    if kind == "Gather" and first.values is not None and len(given) == 2 and given[1].values is not None:
        places = [int(value) for value in given[1].values]
        inside = all(-len(first.values) <= place < len(first.values) for place in places)
        return tuple(first.values[place] for place in places) if inside else None
    return first.values if kind in _KEEPING else None
