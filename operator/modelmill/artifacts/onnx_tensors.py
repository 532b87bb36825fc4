"""Tensors of an ONNX file: as many bytes as their dimensions say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelmill.artifacts.protobuf import Message, count_of, floats, number, numbers, text

MAX_SIDES = 32
STRING = 8
EXTERNAL = 1
# TensorProto.DataType: bits of an element in raw_data, and the field that holds it otherwise.
_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16, 17: 8, 18: 8,
    19: 8, 20: 8, 21: 4, 22: 4, 23: 4,
}  # fmt: skip
_FLOATS, _INTEGERS, _LONGS, _DOUBLES, _UNSIGNED = 4, 5, 7, 10, 11
_FIELDS = {1: _FLOATS, 14: _FLOATS, 7: _LONGS, 11: _DOUBLES, 15: _DOUBLES, 12: _UNSIGNED, 13: _UNSIGNED}
_SMALL = 64  # elements of tensors whose values are kept: shapes, repeats, limits


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor in the file, or one made of these. values: of small tensors of numbers, else None.

    exact: it has these sides, and not only as many elements at most.
    """

    name: str
    sides: tuple[int, ...]
    values: tuple[float, ...] | None = None
    exact: bool = True

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.sides)


def parse_tensor(message: Message) -> tuple[Tensor, str]:
    """Return a tensor and what is wrong with it, an empty text when nothing is. Raises ValueError."""
    sides = tuple(numbers(message, 1).tolist())
    tensor, kind = Tensor(text(message, 8), sides), number(message, 2)
    if number(message, 14) == EXTERNAL or message.get(13):
        return tensor, "keeps weights in another file"
    if len(sides) > MAX_SIDES or any(side < 0 for side in sides) or message.get(3):
        return tensor, f"says the shape {sides[:8]}"
    elements = math.prod(sides)
    if kind == STRING:
        found = len(message.get(6, ()))
        return tensor, "" if found == elements else f"says {elements} texts and has {found}"
    if kind not in _BITS:
        return tensor, f"has elements of the unknown type {kind}"
    raw = message.get(9)
    if raw:
        if len(raw) > 1 or isinstance(raw[0], int):
            return tensor, "has its bytes twice"
        needed = -(-elements * _BITS[kind] // 8)
        if len(raw[0]) != needed:
            return tensor, f"says the shape {sides[:8]} and has {len(raw[0])} bytes where {needed} belong"
    else:
        field = _FIELDS.get(kind, _INTEGERS)
        found = count_of(message, field, 8) if field == _DOUBLES else len(_typed(message, field))
        needed = elements * (2 if kind in (14, 15) else 1)
        if _BITS[kind] == 4:
            needed = -(-elements // 2)
        if found != needed:
            return tensor, f"says the shape {sides[:8]} and has {found} elements where {needed} belong"
    return Tensor(tensor.name, sides, _values(message, kind, elements)), ""


def _typed(message: Message, field: int) -> Any:
    return floats(message, field) if field == _FLOATS else numbers(message, field)


def _values(message: Message, kind: int, elements: int) -> tuple[float, ...] | None:
    codes = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}
    if elements > _SMALL or kind not in codes:
        return None
    raw = message.get(9)
    if raw:
        return tuple(np.frombuffer(raw[0], codes[kind]).tolist())
    if kind == 11:
        return tuple(np.frombuffer(b"".join(message.get(_DOUBLES, ())), "<f8").tolist())
    return tuple(_typed(message, _FIELDS.get(kind, _INTEGERS)).tolist())
