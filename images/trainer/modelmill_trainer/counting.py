"""How many rows an object has, counted as it is read: a look needs no more of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from modelmill_trainer.failure import rejected

LONGEST_FIELD: Final = 1 << 30
"""Of a csv, in characters: the parser's own limit is 131,072."""


def count_rows(path: Path, form: str, name: str) -> int:
    """Return how many rows a csv, jsonl or parquet has. Raises StageError (DataUnreadable), which says it by `name`."""
    try:
        if form == "parquet":
            from pyarrow.parquet import ParquetFile

            with ParquetFile(path) as file:
                return int(file.metadata.num_rows)
        if form == "csv":
            csv.field_size_limit(LONGEST_FIELD)
            with path.open(encoding="utf-8-sig", newline="") as stream:
                # As pandas counts: the first line that is not empty is the header.
                return max(0, sum(1 for row in csv.reader(stream) if row) - 1)
        with path.open(encoding="utf-8-sig") as stream:
            return sum(1 for line in stream if line.strip())
    except OSError as error:
        if form != "parquet" or error.errno is not None:
            raise
        raise rejected("DataUnreadable", f"{name} cannot be read as {form}: {error}") from None
    except (ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors and OSErrors
        raise rejected("DataUnreadable", f"{name} cannot be read as {form}: {error}") from None
