"""Rows of parquet, a batch of records at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Read when pyarrow is imported: its own pool keeps what was freed.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import pyarrow as pa
import pyarrow.parquet as pq

from modelmill_server.batch.rows import Answers, Unreadable, Wanted, rows_of_block, unreadable
from modelmill_server.queries.columns import FLOAT, Column, Feature

GROUP_ROWS = 1 << 16
GROUP_BYTES = 16 << 20
PAGE_BUFFER = 1 << 20


class ParquetFile:
    """A parquet file and its result, whose row groups have GROUP_ROWS rows or GROUP_BYTES."""

    def __init__(self, path: Path, result: Path, wanted: Wanted, label: str) -> None:
        self._label = label
        self._file: Any = None
        self._writer: Any = None
        self._waiting: list[Any] = []
        self.names: tuple[str, ...] | None = ()
        if not path.stat().st_size:
            return
        try:
            self._file = pq.ParquetFile(path, buffer_size=PAGE_BUFFER, pre_buffer=False)
            schema = self._file.schema_arrow
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(label, f"it is no parquet: {error}") from None
        self.names = tuple(schema.names)
        passed = wanted.passed(self.names, label)
        self._passed = [self.names[place] for place in passed]
        answers = [pa.field(name, pa.array(example.tolist()).type) for name, example in wanted.answers.items()]
        self._schema = pa.schema([*(schema.field(place).remove_metadata() for place in passed), *answers])
        self._writer = pq.ParquetWriter(result, self._schema)

    def blocks(self) -> Iterator[ParquetBlock]:
        """Yield the rows."""
        if self._file is None:
            return
        number = 1
        most = rows_of_block(len(self.names or ()))
        batches = self._file.iter_batches(batch_size=most, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise unreadable(self._label, f"it cannot be read after row {number - 1}: {error}") from None
            if batch is None:
                return
            yield ParquetBlock(batch, number, self)
            number += batch.num_rows

    def write(self, batch: Any, places: Sequence[int], answers: Answers) -> None:
        """Write those of the rows."""
        chosen = batch if len(places) == batch.num_rows else batch.take(pa.array(places, pa.int64()))
        columns = [chosen.column(name) for name in self._passed]
        types = self._schema.types[len(columns) :]
        columns += [pa.array(values.tolist(), kind) for values, kind in zip(answers.values(), types, strict=True)]
        self._waiting.append(pa.record_batch(columns, schema=self._schema))
        rows, size = (sum(getattr(one, name) for one in self._waiting) for name in ("num_rows", "nbytes"))
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """End the result."""
        if self._file is not None:
            self._file.close()
        if self._writer is not None:
            self._flush()
            self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting), row_group_size=GROUP_ROWS)
            self._waiting.clear()


class ParquetBlock:
    """Some rows of a parquet file."""

    def __init__(self, batch: Any, first: int, file: ParquetFile) -> None:
        self.numbers: Sequence[int] = range(first, first + batch.num_rows)
        self.unreadable: list[Unreadable] = []
        self._batch, self._file = batch, file

    def values(self, feature: Feature) -> Column | None:
        """Return a column: an array of numbers, NaN where missing, for a feature of that kind; else a list."""
        place = self._batch.schema.get_field_index(feature.name)
        if place < 0:
            return None
        column = self._batch.column(place)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        if feature.family == FLOAT and not feature.categorical and numeric:
            return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        values: list[Any] = column.to_pylist()
        return [None if value != value else value for value in values]

    def write(self, places: Sequence[int], answers: Answers) -> None:
        """Write those rows."""
        self._file.write(self._batch, places, answers)
