"""Messages of Protocol Buffers, read field by field without a schema.

Source: protobuf.dev, "Encoding". A field that a message has once is refused when it is there twice: parsers merge the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIGN, _WRAP = 1 << 63, 1 << 64

Message = dict[int, list[Any]]
"""By number of the field: its values in order, int for varints, bytes-like for all others."""


def fields(content: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a message. Raises ValueError when it is none."""
    at, end = 0, len(content)
    while at < end:
        tag, at = _varint(content, at)
        field, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _varint(content, at)
            yield field, value
            continue
        if wire == BYTES:
            length, at = _varint(content, at)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"unknown type {wire} of a field at byte {at}")
        if field < 1 or length > end - at:
            raise ValueError(f"field {field} is longer than its message")
        yield field, content[at : at + length]
        at += length


def parse_message(content: memoryview) -> Message:
    """Return the fields of a message. Raises ValueError when it is none."""
    found: Message = {}
    for field, value in fields(content):
        found.setdefault(field, []).append(value)
    return found


def once(message: Message, field: int) -> Any:
    """Return the value of a field that may be there once, None without it. Raises ValueError."""
    values = message.get(field)
    if values is None:
        return None
    if len(values) > 1:
        raise ValueError(f"field {field} is there {len(values)} times")
    return values[0]


def text(message: Message, field: int) -> str:
    """Return a field of text, empty without it. Raises ValueError."""
    value = once(message, field)
    if isinstance(value, int):
        raise ValueError(f"field {field} is a number and no text")  # noqa: TRY004 - what a file holds is no type of ours
    return "" if value is None else bytes(value).decode()


def number(message: Message, field: int, default: int = 0) -> int:
    """Return a signed whole number. Raises ValueError."""
    value = once(message, field)
    if value is None:
        return default
    if not isinstance(value, int):
        raise ValueError(f"field {field} is no number")  # noqa: TRY004
    return _signed(value)


def numbers(message: Message, field: int) -> np.ndarray[Any, Any]:
    """Return repeated signed whole numbers, packed or not. Raises ValueError."""
    single: list[int] = []
    for value in message.get(field, ()):
        if isinstance(value, int):
            single.append(_signed(value))
        else:
            single.extend(_unpacked(value))
    return np.array(single, np.int64)


def count_of(message: Message, field: int, size: int) -> int:
    """Return how many fixed numbers of `size` bytes a repeated field has, packed or not. Raises ValueError."""
    total = 0
    for value in message.get(field, ()):
        if isinstance(value, int) or len(value) % size:
            raise ValueError(f"field {field} is no row of numbers")
        total += len(value) // size
    return total


def floats(message: Message, field: int) -> np.ndarray[Any, Any]:
    """Return repeated numbers in single precision, packed or not. Raises ValueError."""
    count_of(message, field, 4)
    return np.frombuffer(b"".join(message.get(field, ())), "<f4")


def _signed(value: int) -> int:
    return value - _WRAP if value >= _SIGN else value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        try:
            byte = content[at]
        except IndexError:
            raise ValueError("a number ends behind its message") from None
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= _WRAP:
                raise ValueError("a number has more than 64 bits")
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than ten bytes")


def _unpacked(content: memoryview) -> list[int]:
    """Return packed varints, all at once: each ends with its first byte below 128."""
    raw = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if len(raw) and (not len(ends) or ends[-1] != len(raw) - 1):
        raise ValueError("a number ends behind its field")
    begins = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    lengths = ends - begins + 1
    if len(lengths) and lengths.max() > 10:
        raise ValueError("a number has more than ten bytes")
    values = np.zeros(len(ends), np.uint64)
    for place in range(int(lengths.max(initial=0))):
        there = lengths > place
        values[there] |= (raw[begins[there] + place].astype(np.uint64) & np.uint64(0x7F)) << np.uint64(7 * place)
    found: list[int] = values.astype(np.int64).tolist()
    return found
