"""UBJSON as XGBoost writes it: sizes are compared with the bytes that are there.

Source: XGBoost 3, src/common/json.cc (UBJWriter, UBJReader); ubjson.org, draft 12. Lengths are 64-bit and signed, numbers
big-endian, arrays are counted or end with a bracket, and have one type or a mark before each element.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from modelmill.artifacts.limits import ArtifactInvalid, Limits

_NUMBERS = {mark: struct.Struct(f">{code}") for mark, code in zip(b"iUIlLdDC", "bBhiqfdb", strict=True)}
_ARRAYS = {
    mark: np.dtype(code)
    for mark, code in zip(b"iUIlLdDC", (">i1", ">u1", ">i2", ">i4", ">i8", ">f4", ">f8", ">i1"), strict=True)
}
_LITERALS: dict[int, Any] = {ord("Z"): None, ord("T"): True, ord("F"): False}
_LENGTH = struct.Struct(">q")


def parse_ubjson(content: bytes, name: str, limits: Limits) -> dict[str, Any]:
    """Return a document; arrays of one type are arrays of numpy. Raises ArtifactInvalid naming the document `name`."""
    reader = _Reader(content, name, limits.depth)
    try:
        document = reader.value(reader.mark(), 0)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ArtifactInvalid(f"{name} is no UBJSON at byte {reader.at}: {error}") from None
    if not isinstance(document, dict):
        raise ArtifactInvalid(f"{name} is UBJSON, but no object")
    return document


class _Reader:
    def __init__(self, content: bytes, name: str, depth: int) -> None:
        self._content = content
        self._name = name
        self._depth = depth
        self.at = 0

    def mark(self) -> int:
        found = self._content[self.at]
        self.at += 1
        return found

    def value(self, mark: int, depth: int) -> Any:
        if depth > self._depth:
            raise ArtifactInvalid(f"{self._name} is nested deeper than {self._depth}")
        if mark == ord("{"):
            return self._object(depth)
        if mark == ord("["):
            return self._array(depth)
        if mark == ord("S"):
            return self._text()
        if mark in _NUMBERS:
            number = _NUMBERS[mark]
            found = number.unpack_from(self._content, self.at)[0]
            self.at += number.size
            return found
        if mark in _LITERALS:
            return _LITERALS[mark]
        raise self._wrong(f"has the unknown mark {bytes([mark])!r}")

    def _length(self) -> int:
        if self.mark() != ord("L"):
            raise self._wrong("has a length that is not of 64 bits")
        (length,) = _LENGTH.unpack_from(self._content, self.at)
        self.at += _LENGTH.size
        if not 0 <= length <= len(self._content) - self.at:
            raise self._wrong(f"has the length {length}")
        return int(length)

    def _text(self) -> str:
        length = self._length()
        self.at += length
        return self._content[self.at - length : self.at].decode()

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._content[self.at] != ord("}"):
            key = self._text()
            if key in found:
                raise self._wrong(f"has {key!r} twice")
            found[key] = self.value(self.mark(), depth + 1)
        self.at += 1
        return found

    def _array(self, depth: int) -> Any:
        kind = None
        if self._content[self.at] == ord("$"):
            kind = _ARRAYS.get(self._content[self.at + 1])
            self.at += 2
            if kind is None or self._content[self.at] != ord("#"):
                raise self._wrong("has an array of an unknown type, or without a length")
        if self._content[self.at] == ord("#"):
            self.at += 1
            count = self._length()
            if kind is None:
                return [self.value(self.mark(), depth + 1) for _ in range(count)]
            if count * kind.itemsize > len(self._content) - self.at:
                raise self._wrong(f"has an array of {count} elements")
            self.at += count * kind.itemsize
            return np.frombuffer(self._content, kind, count, self.at - count * kind.itemsize)
        found = []
        while self._content[self.at] != ord("]"):
            found.append(self.value(self.mark(), depth + 1))
        self.at += 1
        return found

    def _wrong(self, what: str) -> ArtifactInvalid:
        return ArtifactInvalid(f"{self._name} {what} at byte {self.at}")
