"""Rows of JSON lines: an object on each line; what is passed on keeps its characters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from modelmill_server.batch.rows import (
    BLOCK_BYTES,
    BLOCK_CELLS,
    BLOCK_ROWS,
    MOST_OF_ROW,
    Answers,
    Unreadable,
    Wanted,
    unreadable,
)
from modelmill_server.queries.columns import Column, Feature

BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class JsonFile:
    """An object of JSON lines and its result. names: None, since each row has its own."""

    names: tuple[str, ...] | None = None

    def __init__(self, path: Path, result: Path, wanted: Wanted, label: str) -> None:
        for name in wanted.columns or ():
            wanted.require_free(name, label)
        self._label, self._wanted = label, wanted
        self._stream: BinaryIO = path.open("rb")
        if self._stream.read(len(BOM)) != BOM:
            self._stream.seek(0)
        self._result: BinaryIO = result.open("wb")

    def blocks(self) -> Iterator[JsonBlock]:
        """Yield the rows; lines without a character are none."""
        number, ended = 0, False
        while not ended:
            lines: list[bytes] = []
            rows: list[dict[str, Any]] = []
            numbers: list[int] = []
            wrong: list[Unreadable] = []
            size = cells = 0
            while len(rows) + len(wrong) < BLOCK_ROWS and size < BLOCK_BYTES and cells < BLOCK_CELLS:
                line = self._stream.readline(MOST_OF_ROW)
                if not line:
                    ended = True
                    break
                if len(line) >= MOST_OF_ROW:
                    raise unreadable(self._label, f"row {number + 1} has {MOST_OF_ROW} bytes or more")
                line = line.strip()
                if not line:
                    continue
                number += 1
                size += len(line)
                try:
                    row = _decode(line)
                except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
                    wrong.append(Unreadable(number, f"it is no JSON object: {error}"))
                    continue
                if self._wanted.columns is None and not row.keys().isdisjoint(self._wanted.answers):
                    for name in row:
                        self._wanted.require_free(name, f"{self._label}, row {number},")
                cells += len(row)
                lines.append(line)
                rows.append(row)
                numbers.append(number)
            yield JsonBlock(lines, rows, numbers, wrong, self)

    def write(
        self, lines: Sequence[bytes], rows: Sequence[dict[str, Any]], places: Sequence[int], answers: Answers
    ) -> None:
        """Write those of the rows: the line as it was, with the answers at its end."""
        told = zip(*(map(_finite, values.tolist()) for values in answers.values()), strict=True)
        columns = self._wanted.columns
        for place, values in zip(places, told, strict=True):
            answer = _encode(dict(zip(answers, values, strict=True)))
            if columns is None:
                begin = lines[place][:-1].rstrip()
            else:
                begin = _encode({name: rows[place].get(name) for name in columns})[:-1]
            self._result.write(begin + (b"," if begin != b"{" else b"") + answer[1:] + b"\n")

    def close(self) -> None:
        """End the result."""
        self._stream.close()
        self._result.close()


class JsonBlock:
    """Some rows of JSON lines."""

    def __init__(
        self,
        lines: list[bytes],
        rows: list[dict[str, Any]],
        numbers: list[int],
        wrong: list[Unreadable],
        file: JsonFile,
    ) -> None:
        self.numbers: Sequence[int] = numbers
        self.unreadable = wrong
        self._lines, self._rows, self._file = lines, rows, file

    def values(self, feature: Feature) -> Column | None:
        """Return a column, None where a row lacks it."""
        return [row.get(feature.name) for row in self._rows]

    def write(self, places: Sequence[int], answers: Answers) -> None:
        """Write those rows."""
        self._file.write(self._lines, self._rows, places, answers)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
