"""What the formats have in common: an object's rows come in blocks of bounded size and leave with the answers beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from modelmill_server.failure import StartError
from modelmill_server.queries.columns import Column, Feature

BLOCK_ROWS: Final = 8192
BLOCK_CELLS: Final = 400_000
"""Values of a block: as Python objects they take some 60 bytes each."""
BLOCK_BYTES: Final = 8 << 20
MOST_OF_ROW: Final = 4 << 20
"""Characters of a row: a quote that is never closed would else make the rest of an object one."""
DATA_UNREADABLE: Final = "DataUnreadable"

Answers = Mapping[str, Any]
"""By column of the result, a 1-D array of one value per row."""


def rows_of_block(columns: int) -> int:
    """Return how many rows with so many columns are a block at most."""
    return max(1, min(BLOCK_ROWS, BLOCK_CELLS // max(columns, 1)))


@dataclass(slots=True)
class Unreadable:
    """A row that is none: its number, from 1, and why."""

    row: int
    why: str


class Block(Protocol):
    """Some rows of an object. numbers: of each, from 1. unreadable: rows among them that are left out."""

    numbers: Sequence[int]
    unreadable: list[Unreadable]

    def values(self, feature: Feature) -> Column | None:
        """Return a column, values in Python's or numpy's own types and not checked; None where the rows have none."""

    def write(self, places: Sequence[int], answers: Answers) -> None:
        """Write those rows with their answers."""


class RowFile(Protocol):
    """An object that is read, and the result that is written. names: of its columns; None where each row has its own."""

    names: tuple[str, ...] | None

    def blocks(self) -> Iterator[Block]:
        """Yield the rows. Raises StartError (DataUnreadable)."""

    def close(self) -> None:
        """End the result."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a result has. columns: of the object; None for all. answers: name and example of each answer, in order."""

    columns: tuple[str, ...] | None
    answers: Mapping[str, Any] = field(default_factory=dict)

    def passed(self, names: Sequence[str], label: str) -> list[int]:
        """Return the places of the columns that are passed on. Raises StartError: ColumnMissing, ColumnTaken."""
        if len(set(names)) != len(names):
            twice = next(name for place, name in enumerate(names) if name in names[:place])
            raise unreadable(label, f"more than one column is called {twice[:100]!r}")
        places = {name: place for place, name in enumerate(names)}
        wanted = names if self.columns is None else self.columns
        for name in wanted:
            if name not in places:
                words = f"{label} has no column {name[:100]!r}, which output.columns names: correct it"
                raise StartError("ColumnMissing", words)
            self.require_free(name, label)
        return [places[name] for name in wanted]

    def require_free(self, name: str, label: str) -> None:
        """Raise StartError (ColumnTaken) when an answer has the name of a column that is passed on."""
        if name in self.answers:
            words = f"{label} has a column {name[:100]!r}, as the model calls its answer: name others in output.columns"
            raise StartError("ColumnTaken", words)


def unreadable(label: str, why: str) -> StartError:
    """Return the failure of an object that is not in its format."""
    return StartError(DATA_UNREADABLE, f"{label}: {why[:500]}")


def open_rows(form: str, path: Path, result: Path, wanted: Wanted, label: str) -> RowFile:
    """Return the rows of the object in the file `path`; `result` is written. label: of the object, for people.

    Raises StartError: DataUnreadable, ColumnMissing, ColumnTaken.
    """
    if form == "csv":
        from modelmill_server.batch.csv_rows import CsvFile

        return CsvFile(path, result, wanted, label)
    if form == "jsonl":
        from modelmill_server.batch.json_rows import JsonFile

        return JsonFile(path, result, wanted, label)
    from modelmill_server.batch.parquet_rows import ParquetFile

    return ParquetFile(path, result, wanted, label)
