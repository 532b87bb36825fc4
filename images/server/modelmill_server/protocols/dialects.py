"""The inference protocols that speak HTTP, for one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelmill_server.core.execution import Dialect
from modelmill_server.core.model import ServedModel
from modelmill_server.http.messages import Answer, encode
from modelmill_server.protocols import rows, v2
from modelmill_server.protocols.answers import V2Writer, write_predictions
from modelmill_server.queries.columns import Column
from modelmill_server.queries.query import Query

V2Body = tuple[bytes, int | None]
"""A body, and the length of its JSON part when tensors follow it in binary form."""


class Dialects:
    """Readers and writers. reader: of V2, whose requests gRPC has too."""

    def __init__(self, model: ServedModel, max_rows: int) -> None:
        self._model = model
        self.reader = v2.Reader(model.features, model.outputs, max_rows, model.ignored)
        self._write_v2 = V2Writer(model.name, model.version).write
        by_row = rows.Reader(model.features, model.primary, max_rows, model.ignored)
        self.v2: Dialect[V2Body, Answer] = Dialect("v2", lambda body: self.reader.read(*body), self._write_v2)
        self.v1: Dialect[bytes, Answer] = Dialect("v1", by_row.read_v1, write_predictions)
        self.mlflow: Dialect[bytes, Answer] = Dialect("mlflow", by_row.read_mlflow, write_predictions)

    def request_of(self, columns: Sequence[Column]) -> bytes:
        """Return the body of a V2 request for columns of all features."""
        return encode(
            {
                "inputs": [
                    {
                        "name": feature.name,
                        "shape": [len(column)],
                        "datatype": v2.in_json(feature.datatype),
                        "data": column,
                    }
                    for feature, column in zip(self._model.features, columns, strict=True)
                ]
            }
        )

    def answer_uncounted(self, body: bytes) -> Any:
        """Read a V2 request, predict and write every output in binary form, which every datatype has."""
        query: Query = self.reader.read(body)
        query.binary = frozenset(query.wanted)
        return self._write_v2(query, self._model.predict(query), None)
