"""Rows of csv (RFC 4180): the first line that is not empty is the header; what is passed on keeps its characters."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from modelmill_server.batch.rows import (
    BLOCK_BYTES,
    MOST_OF_ROW,
    Answers,
    Unreadable,
    Wanted,
    rows_of_block,
    unreadable,
)
from modelmill_server.queries.columns import BOOL, FLOAT, TEXT, Column, Feature

# A missing number or truth value, as in training: what pandas takes for one. In a column of text they are text.
MISSING: Final = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
     "NaN", "None", "n/a", "nan", "null"}
)  # fmt: skip
TRUTH: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class CsvFile:
    """A csv and its result. names: none for an object without a byte."""

    def __init__(self, path: Path, result: Path, wanted: Wanted, label: str) -> None:
        csv.field_size_limit(MOST_OF_ROW)
        self._label = label
        self._stream = path.open(encoding="utf-8-sig", newline="")
        self._lines = _Lines(self._stream)
        self._records = csv.reader(self._lines, strict=True)
        header = self._next()
        self.names: tuple[str, ...] | None = tuple(header or ())
        self._passed = wanted.passed(self.names, label)
        self._result: TextIO | None = None
        if header is not None:
            self._result = result.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._result, lineterminator="\n")
            self._writer.writerow([*(self.names[place] for place in self._passed), *wanted.answers])

    def blocks(self) -> Iterator[CsvBlock]:
        """Yield the rows."""
        width, number = len(self.names or ()), 0
        most = rows_of_block(width)
        places = {name: place for place, name in enumerate(self.names or ())}
        ended = self._result is None
        while not ended:
            rows: list[list[str]] = []
            numbers, wrong = [], []
            begin = self._lines.seen
            while len(rows) < most and self._lines.seen - begin < BLOCK_BYTES:
                row = self._next()
                if row is None:
                    ended = True
                    break
                number += 1
                if len(row) == width:
                    rows.append(row)
                    numbers.append(number)
                else:
                    wrong.append(Unreadable(number, f"it has {len(row)} fields, the header {width}"))
                    if len(wrong) >= most:
                        break
            yield CsvBlock(rows, numbers, wrong, places, self)

    def write(self, rows: Sequence[list[str]], places: Sequence[int], answers: Answers) -> None:
        """Write those of the rows."""
        told = [values.tolist() for values in answers.values()]
        chosen = rows if len(places) == len(rows) else [rows[place] for place in places]
        if self._passed == list(range(len(self.names or ()))):
            lines: Any = (row + list(answer) for row, answer in zip(chosen, zip(*told, strict=True), strict=True))
        else:
            passed = self._passed
            lines = (
                [*(row[place] for place in passed), *answer]
                for row, answer in zip(chosen, zip(*told, strict=True), strict=True)
            )
        self._writer.writerows(lines)

    def close(self) -> None:
        """End the result."""
        self._stream.close()
        if self._result is not None:
            self._result.close()

    def _next(self) -> list[str] | None:
        """Return the next row that is not empty; None at the end."""
        try:
            while True:
                self._lines.left = MOST_OF_ROW
                row = next(self._records)
                if row:
                    return row
        except StopIteration:
            return None
        except UnicodeDecodeError as error:
            raise unreadable(self._label, f"it is not UTF-8 text: byte {error.start}: {error.reason}") from None
        except (csv.Error, _RowTooLong) as error:
            raise unreadable(self._label, f"line {self._records.line_num + 1} is no csv: {error}") from None


class CsvBlock:
    """Some rows of a csv."""

    def __init__(
        self,
        rows: list[list[str]],
        numbers: list[int],
        wrong: list[Unreadable],
        places: dict[str, int],
        file: CsvFile,
    ) -> None:
        self.numbers: Sequence[int] = numbers
        self.unreadable = wrong
        self._rows, self._places, self._file = rows, places, file
        self._columns = list(zip(*rows, strict=True))

    def values(self, feature: Feature) -> Column | None:
        """Return a column: its texts as what the feature is, texts where they are not that."""
        place = self._places.get(feature.name)
        if place is None:
            return None
        texts: Sequence[str] = self._columns[place] if self._columns else ()
        if feature.family == TEXT:
            return [text or None for text in texts]
        if feature.family == FLOAT:
            numbers = _floats(texts)
            if numbers is not None:
                return numbers
        read = _truth if feature.family == BOOL else _number
        return [None if text in MISSING else read(text) for text in texts]

    def write(self, places: Sequence[int], answers: Answers) -> None:
        """Write those rows."""
        self._file.write(self._rows, places, answers)


class _RowTooLong(Exception):
    pass


class _Lines:
    """The lines of a file, of which a row takes `left` characters at most. seen: characters so far."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.left = MOST_OF_ROW
        self.seen = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MOST_OF_ROW)
        if not line:
            raise StopIteration
        self.left -= len(line)
        self.seen += len(line)
        if self.left <= 0:
            raise _RowTooLong(f"a row has more than {MOST_OF_ROW} characters: a quote may not be closed")
        return line


def _floats(texts: Sequence[str]) -> Any:
    """Return texts that are all numbers as a float64 array; None otherwise."""
    try:
        numbers = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        return None
    # Python reads 1_000 as a number, which nobody writes into a csv to mean one.
    return None if "_" in "".join(texts) else numbers


def _number(text: str) -> Any:
    if "_" in text:
        return text
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _truth(text: str) -> Any:
    found = TRUTH.get(text)
    return _number(text) if found is None else found
