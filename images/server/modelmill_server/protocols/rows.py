"""Row-wise requests: V1 `:predict` and MLflow's `/invocations` with its four forms.

Sources: KServe V1 protocol; MLflow scoring server, `dataframe_split`, `dataframe_records`, `instances`, `inputs`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from modelmill_server.protocols.documents import decode
from modelmill_server.queries.columns import FLOAT, Column, Feature, bad, from_matrix, from_python
from modelmill_server.queries.packing import matrix_of
from modelmill_server.queries.query import Query, check_rows, completed, unknown

V1_FORMS = ("instances", "inputs")
MLFLOW_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
PLAIN_BYTES = 4096  # from here on arrays are worth making (measured, four features)


class PlainFrame(msgspec.Struct):
    """A `dataframe_split` of nothing but numbers."""

    data: list[list[float]]
    columns: list[str] | msgspec.UnsetType = msgspec.UNSET


class PlainDocument(msgspec.Struct):
    """A body with rows of nothing but numbers, in one of two forms; the other forms are there to be seen."""

    instances: list[list[float]] | msgspec.UnsetType = msgspec.UNSET
    dataframe_split: PlainFrame | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: msgspec.UnsetType | None = msgspec.UNSET
    inputs: msgspec.UnsetType | None = msgspec.UNSET


class Reader:
    """Reads row-wise requests for one signature."""

    def __init__(
        self, features: tuple[Feature, ...], primary: str, max_rows: int, ignored: frozenset[str] = frozenset()
    ) -> None:
        """ignored: columns that a request may have although they are no features."""
        self._features = features
        self._by_name = {feature.name: feature for feature in features}
        self._known = self._by_name.keys() | ignored
        self._needed = [feature.name for feature in features if not feature.nullable]
        self._wanted = (primary,)
        self._max_rows = max_rows
        self._names = [feature.name for feature in features]
        self._numeric = all(feature.family == FLOAT for feature in features)
        self._document = msgspec.json.Decoder(dict[str, Any])
        self._plain_document = msgspec.json.Decoder(PlainDocument)

    def read_v1(self, body: bytes) -> Query:
        """Return the query of a V1 request. Raises RejectedError."""
        return self._read(body, V1_FORMS)

    def read_mlflow(self, body: bytes) -> Query:
        """Return the query of an `/invocations` request. Raises RejectedError."""
        return self._read(body, MLFLOW_FORMS)

    def _read(self, body: bytes, forms: tuple[str, ...]) -> Query:
        if self._numeric and len(body) >= PLAIN_BYTES:
            plain = self._plain(body, forms)
            if plain is not None:
                return Query(plain, len(plain[0]), self._wanted)
        document = decode(self._document, body)
        given = [form for form in forms if form in document]
        if len(given) != 1:
            raise bad(f"the request must have exactly one of {', '.join(forms)}")
        value = document[given[0]]
        if given[0] == "dataframe_split":
            columns = self._split(value)
        elif isinstance(value, dict) and given[0] == "inputs":
            columns = self._by_column(value)
        else:
            columns = self._by_row(value, given[0])
        return Query(columns, len(columns[0]), self._wanted)

    def _plain(self, body: bytes, forms: tuple[str, ...]) -> list[Column] | None:
        """Return the columns of a large body with rows of numbers; None for any other, and for what is to be refused."""
        try:
            document = self._plain_document.decode(body)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            return None
        given = [form for form in MLFLOW_FORMS if getattr(document, form) is not msgspec.UNSET]
        if len(given) != 1 or given[0] not in forms:
            return None
        rows, header = document.instances, self._names
        if isinstance(document.dataframe_split, PlainFrame):
            rows = document.dataframe_split.data
            if isinstance(document.dataframe_split.columns, list):
                header = document.dataframe_split.columns
        if not isinstance(rows, list) or len(rows) > self._max_rows or sorted(header) != sorted(self._names):
            return None
        matrix = matrix_of(rows)
        if matrix is None or matrix.shape[1] != len(header):
            return None
        if header != self._names:
            matrix = matrix[:, [header.index(name) for name in self._names]]
        return from_matrix(self._features, "FP64", matrix)

    def _split(self, value: Any) -> list[Column]:
        if not isinstance(value, dict) or not isinstance(value.get("data"), list):
            raise bad("dataframe_split must be an object with columns and data")
        header = value.get("columns", [feature.name for feature in self._features])
        if not isinstance(header, list) or not all(isinstance(name, str) for name in header):
            raise bad("dataframe_split.columns must be a list of names")
        if len(set(header)) != len(header):
            raise bad("dataframe_split.columns has a name twice")
        rows = value["data"]
        check_rows(len(rows), self._max_rows)
        return self._named(dict(zip(header, _transposed(rows, len(header)), strict=True)), len(rows))

    def _by_row(self, rows: Any, form: str) -> list[Column]:
        if not isinstance(rows, list):
            raise bad(f"{form} must be a list of rows")
        check_rows(len(rows), self._max_rows)
        if isinstance(rows[0], dict):
            return self._records(rows, form)
        width = len(self._features)
        if width == 1 and not isinstance(rows[0], list):
            return [from_python(self._features[0], rows)]
        return [
            from_python(feature, values)
            for feature, values in zip(self._features, _transposed(rows, width), strict=True)
        ]

    def _records(self, rows: list[Any], form: str) -> list[Column]:
        columns: list[Column] = [[] for _ in self._features]
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise bad(f"{form} has something else than an object at row {index}")
            if len(row) != len(columns) or not row.keys() >= self._by_name.keys():
                self._check_names(row, index)
            for feature in self._features:
                columns[feature.index].append(row.get(feature.name))
        return [from_python(feature, columns[feature.index]) for feature in self._features]

    def _check_names(self, row: dict[str, Any], index: int) -> None:
        """Raise RejectedError for a name that is not known, or one that is needed and not there."""
        for name in row:
            if name not in self._known:
                raise unknown(name, self._features)
        for name in self._needed:
            if name not in row:
                raise bad(f"missing input {name!r} at row {index}", name, "missing")

    def _by_column(self, value: dict[str, Any]) -> list[Column]:
        columns = {name: item if isinstance(item, list) else [item] for name, item in value.items()}
        return self._named(columns, len(next(iter(columns.values()), ())))

    def _named(self, columns: dict[str, list[Any]], rows: int) -> list[Column]:
        """Return the features' columns among those given, each of which must have so many rows."""
        for name in columns:
            if name not in self._known:
                raise unknown(name, self._features)
        whole = completed([columns.get(feature.name) for feature in self._features], self._features, rows)
        check_rows(rows, self._max_rows)
        for name, column in columns.items():
            if len(column) != rows:
                first = next(iter(columns))
                raise bad(f"input {name!r} has {len(column)} rows, {first!r} has {rows}", name, "shape")
        return [from_python(feature, column) for feature, column in zip(self._features, whole, strict=True)]


def _transposed(rows: list[Any], width: int) -> list[list[Any]]:
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            form = f"{len(row)} values" if isinstance(row, list) else type(row).__name__
            raise bad(f"row {index} has {form}: it must be a list of {width} values", None, "shape")
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
