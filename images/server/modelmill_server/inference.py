"""From the bytes of a request to the bytes of its answer: read, predict, count, write. Runs on any thread."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from modelmill_server import rows, v2
from modelmill_server.columns import RejectedError
from modelmill_server.failure import StartError
from modelmill_server.model import Output, ServedModel
from modelmill_server.monitoring import Monitor
from modelmill_server.query import PREDICT, UNKNOWN, Query
from modelmill_server.settings import Settings

log = logging.getLogger("modelmill_server")
encode = msgspec.json.Encoder().encode

Answer = tuple[int, bytes]
"""HTTP status and JSON body."""

INLINE_SECONDS = 0.001  # a request that takes longer would keep health checks waiting
INLINE_BYTES = 64 * 1024


class V2Tensor(msgspec.Struct):
    """One output tensor in an answer."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class V2Answer(msgspec.Struct, omit_defaults=True):
    """The body of an answer to `infer`."""

    model_name: str
    model_version: str
    outputs: list[V2Tensor]
    id: str | None = None


class Inference:
    """Answers inference requests of one model."""

    def __init__(self, model: ServedModel, monitor: Monitor, settings: Settings) -> None:
        self._model = model
        self._monitor = monitor
        self._names = frozenset(feature.name for feature in model.features)
        self._v2 = v2.Reader(model.features, model.outputs, settings.max_rows)
        self._rows = rows.Reader(model.features, settings.max_rows)
        self.inline_bytes = 0

    def v2(self, body: bytes) -> Answer:
        """Answer V2 `infer`."""
        return self._answer(body, self._v2.read, self._write_v2)

    def v1(self, body: bytes) -> Answer:
        """Answer V1 `:predict`."""
        return self._answer(body, self._rows.read_v1, _write_predictions)

    def mlflow(self, body: bytes) -> Answer:
        """Answer MLflow's `/invocations`."""
        return self._answer(body, self._rows.read_mlflow, _write_predictions)

    def _answer(
        self, body: bytes, read: Callable[[bytes], Query], write: Callable[[Query, list[Output]], bytes]
    ) -> Answer:
        try:
            query = read(body)
            outputs = self._model.predict(query)
            answer = write(query, outputs)
            self._count(query, outputs)
        except RejectedError as error:
            if error.feature is not None and error.reason is not None:
                self._monitor.count_invalid(error.feature if error.feature in self._names else UNKNOWN, error.reason)
            return error.status, error_body(error.message)
        except Exception:  # a model may raise anything; the client gets a reference, the log the rest
            reference = uuid.uuid4().hex[:12]
            log.exception("request failed, reference %s", reference)
            return 500, error_body(
                f"the model failed on this request; the server's log has it under reference {reference}"
            )
        return 200, answer

    def _write_v2(self, query: Query, outputs: list[Output]) -> bytes:
        tensors = [V2Tensor(item.name, item.shape, item.datatype, item.data) for item in outputs]
        return encode(V2Answer(self._model.name, self._model.version, tensors, query.id))

    def _count(self, query: Query, outputs: list[Output]) -> None:
        predictions = next(
            (item.data for item in outputs if item.name == PREDICT and len(item.data) == query.rows), None
        )
        self._monitor.count_rows(query.columns, predictions)

    def warm_up(self, requests: int) -> None:
        """Send golden rows through the whole path, uncounted, and measure which requests may run on the event loop.

        Raises StartError (ModelLoadFailed) when the model cannot answer its own golden rows.
        """
        columns = self._model.golden_columns()
        one, all_ = (self._request([column[:count] for column in columns]) for count in (1, len(columns[0])))
        if not requests:
            requests = 1
        seconds_one = min(self._timed(one) for _ in range(requests))
        seconds_all = min(self._timed(all_) for _ in range(2))
        if seconds_one >= INLINE_SECONDS:
            return
        per_byte = max(seconds_all - seconds_one, 1e-9) / max(len(all_) - len(one), 1)
        self.inline_bytes = int(min(INLINE_BYTES, len(one) + (INLINE_SECONDS - seconds_one) / per_byte))

    def _timed(self, body: bytes) -> float:
        begin = time.perf_counter()
        query = self._v2.read(body)
        try:
            self._write_v2(query, self._model.predict(query))
        except Exception as error:
            raise StartError("ModelLoadFailed", f"the model fails on its golden rows: {error}") from error
        return time.perf_counter() - begin

    def _request(self, columns: list[list[Any]]) -> bytes:
        return encode(
            {
                "inputs": [
                    {"name": feature.name, "shape": [len(column)], "datatype": feature.datatype, "data": column}
                    for feature, column in zip(self._model.features, columns, strict=True)
                ]
            }
        )


def error_body(message: str) -> bytes:
    """Return the body that every error has: `{"error": message}`."""
    return encode({"error": message})


def _write_predictions(query: Query, outputs: list[Output]) -> bytes:
    (output,) = outputs
    if len(output.shape) == 1:
        return encode({"predictions": output.data})
    width = output.shape[1]
    return encode({"predictions": [output.data[at : at + width] for at in range(0, len(output.data), width)]})
