"""From the bytes of a request to the bytes of its answer: read, predict, write, count. Runs on any thread."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from modelmill.contracts.names import MANIFEST_FILE
from modelmill_server import rows, v2
from modelmill_server.answers import Answer, V2Writer, encode, headers, write_error, write_predictions
from modelmill_server.batching import Batcher
from modelmill_server.columns import Column, RejectedError
from modelmill_server.explanation import Explainer
from modelmill_server.failure import StartError
from modelmill_server.feedback import Feedback, FeedbackCounter
from modelmill_server.model import Output, ServedModel
from modelmill_server.monitoring import Monitor
from modelmill_server.payloads import PayloadLog
from modelmill_server.query import UNKNOWN, Query
from modelmill_server.settings import BATCHING_AUTO, BATCHING_ON, Settings
from modelmill_server.tokens import TASKS, Tokens, key_from

log = logging.getLogger("modelmill_server")

INLINE_SECONDS = 0.001  # a request that takes longer would keep health checks waiting
INLINE_BYTES = 64 * 1024
BATCH_ROWS = 16  # the trial that tells whether a model gains by batches
BATCH_SECONDS = 0.0001  # a model faster than that has nothing to gain worth the turn of the event loop
BATCH_GAIN = 2.0


Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Api(Generic[Given, Made]):
    """One inference protocol.

    read: takes the request, and the length of its JSON part when it has another. write: also takes the feedback id.
    """

    name: str
    read: Callable[[Given, int | None], Query]
    write: Callable[[Query, list[Output], str | None], Made]


class Inference:
    """Answers inference requests of one model."""

    def __init__(self, model: ServedModel, monitor: Monitor, settings: Settings) -> None:
        self._model = model
        self._monitor = monitor
        self._settings = settings
        self._names = frozenset(feature.name for feature in model.features)
        self.reader = v2.Reader(model.features, model.outputs, settings.max_rows)
        by_row = rows.Reader(model.features, model.primary, settings.max_rows)
        self.v2: Api[bytes, Answer] = Api("v2", self.reader.read, V2Writer(model.name, model.version).write)
        self.v1: Api[bytes, Answer] = Api("v1", lambda body, _: by_row.read_v1(body), write_predictions)
        self.mlflow: Api[bytes, Answer] = Api("mlflow", lambda body, _: by_row.read_mlflow(body), write_predictions)
        self._explainer = Explainer(model, settings.max_rows)
        self._task = model.artifact.manifest.signature.task
        secret = (model.artifact.path / MANIFEST_FILE).read_bytes()
        self._tokens = Tokens(key_from(settings.feedback_key, secret), model.version)
        counter = FeedbackCounter(model.version, self._task)
        self._feedback = Feedback(self._tokens, counter)
        monitor.extras.append(lambda: counter.render_lines(monitor.model_label))
        self.payloads: PayloadLog | None = None
        self.inline_bytes = 0
        self.batches = False

    def answer(self, api: Api[bytes, Answer], body: bytes, json_bytes: int | None) -> Answer:
        """Answer one request; nothing is raised."""
        try:
            return self.perform(api, body, json_bytes)
        except Exception as error:
            return self._refusal(error)

    async def answer_joined(
        self, api: Api[bytes, Answer], body: bytes, json_bytes: int | None, batcher: Batcher
    ) -> Answer:
        """Answer one request together with others that wait; nothing is raised."""
        try:
            return await self.perform_joined(api, body, json_bytes, batcher)
        except Exception as error:
            return self._refusal(error)

    def perform(self, api: Api[Given, Made], given: Given, json_bytes: int | None) -> Made:
        """Read, predict, write, count. Raises RejectedError, and whatever the model raises."""
        arrived = time.perf_counter()
        query = api.read(given, json_bytes)
        query.began = queued = time.perf_counter()
        return self._finished(api, query, self._model.predict(query), arrived, queued)

    async def perform_joined(
        self, api: Api[Given, Made], given: Given, json_bytes: int | None, batcher: Batcher
    ) -> Made:
        """Do the same together with others that wait."""
        arrived = time.perf_counter()
        query = api.read(given, json_bytes)
        queued = time.perf_counter()
        return self._finished(api, query, await batcher.predict(query), arrived, queued)

    def _finished(
        self, api: Api[Given, Made], query: Query, outputs: list[Output], arrived: float, queued: float
    ) -> Made:
        """Write the answer with the id that its labels may come back with, and count it."""
        done = time.perf_counter()
        first = outputs[0]
        predictions: list[Any] | None = None
        if first.name == self._model.primary and first.array.ndim == 1:
            predictions = first.array.tolist()
        feedback_id = None
        if predictions is not None and self._task in TASKS:
            feedback_id = self._tokens.make(predictions, self._task)
        answer = api.write(query, outputs, feedback_id)
        phases = (queued - arrived, query.began - queued, done - query.began, time.perf_counter() - done)
        self._monitor.count_answer(query, predictions, phases)
        if self.payloads is not None:
            self.payloads.offer(lambda: self._record(api.name, feedback_id, query, outputs))
        return answer

    def _record(self, protocol: str, feedback_id: str | None, query: Query, outputs: list[Output]) -> dict[str, Any]:
        return {
            "id": feedback_id,
            "protocol": protocol,
            "status": 200,
            "inputs": {feature.name: query.columns[feature.index] for feature in self._model.features},
            "outputs": {output.name: output.array for output in outputs},
        }

    def log_payloads(self, payloads: PayloadLog) -> None:
        """Log answered requests from now on."""
        self.payloads = payloads
        self._monitor.extras.append(lambda: payloads.render_lines(self._monitor.labels))

    def explain(self, body: bytes, json_bytes: int | None) -> Answer:
        """Answer V1 `:explain`; nothing is raised."""
        try:
            return 200, encode(self._explainer.explain(self.v1.read(body, json_bytes))), headers(None)
        except Exception as error:
            return self._refusal(error)

    def feedback(self, body: bytes) -> Answer:
        """Answer `POST /feedback`; nothing is raised."""
        status, content = self._feedback.handle(body)
        return status, content, headers(None)

    def rejected(self, error: Exception) -> RejectedError:
        """Count an error and return it as the client is told it: a fault of the request, or a reference to the log."""
        if isinstance(error, RejectedError):
            if error.feature is not None and error.reason is not None:
                self._monitor.count_invalid(error.feature if error.feature in self._names else UNKNOWN, error.reason)
            return error
        # A model may raise anything; the client gets a reference, the log the rest.
        reference = uuid.uuid4().hex[:12]
        log.error("request failed, reference %s", reference, exc_info=error)
        return RejectedError(
            500, f"the model failed on this request; the server's log has it under reference {reference}"
        )

    def _refusal(self, error: Exception) -> Answer:
        told = self.rejected(error)
        return write_error(told.status, told.message)

    def batcher(self, pool: Executor) -> Batcher | None:
        """Return what joins requests, when the warm-up found that the model gains by it."""
        if not self.batches:
            return None
        return Batcher(self._model.predict, None if self.inline_bytes else pool)

    def warm_up(self, requests: int) -> None:
        """Send golden rows through the whole path, uncounted, and measure which requests may run on the event loop.

        Raises StartError (ModelLoadFailed) when the model cannot answer its own golden rows.
        """
        columns = self._model.golden_columns()
        one, all_ = (self._request([column[:count] for column in columns]) for count in (1, len(columns[0])))
        seconds_one = min(self._timed(one) for _ in range(requests or 1))
        seconds_all = min(self._timed(all_) for _ in range(2))
        self.batches = self._gains(columns)
        if seconds_one >= INLINE_SECONDS:
            return
        per_byte = max(seconds_all - seconds_one, 1e-9) / max(len(all_) - len(one), 1)
        self.inline_bytes = int(min(INLINE_BYTES, len(one) + (INLINE_SECONDS - seconds_one) / per_byte))

    def _gains(self, columns: list[Column]) -> bool:
        """Tell whether answering rows together costs the model much less than one by one."""
        wanted = self._settings.batching
        if wanted != BATCHING_AUTO:
            return wanted == BATCHING_ON
        one, many = ([list(column[:1]) * count for column in columns] for count in (1, BATCH_ROWS))
        seconds_one = self._predict_seconds(one, 1)
        if seconds_one < BATCH_SECONDS:
            return False
        return BATCH_ROWS * seconds_one > BATCH_GAIN * self._predict_seconds(many, BATCH_ROWS)

    def _predict_seconds(self, columns: list[Column], count: int) -> float:
        query, best = Query(columns, count, self._model.outputs), float("inf")
        for _ in range(5):
            begin = time.perf_counter()
            self._model.predict(query)
            best = min(best, time.perf_counter() - begin)
        return best

    def _timed(self, body: bytes) -> float:
        begin = time.perf_counter()
        query = self.v2.read(body, None)
        query.binary = frozenset(query.wanted)
        try:
            self.v2.write(query, self._model.predict(query), None)
        except Exception as error:
            raise StartError("ModelLoadFailed", f"the model fails on its golden rows: {error}") from error
        return time.perf_counter() - begin

    def _request(self, columns: list[list[Any]]) -> bytes:
        return encode(
            {
                "inputs": [
                    {
                        "name": feature.name,
                        "shape": [len(column)],
                        "datatype": _in_json(feature.datatype),
                        "data": column,
                    }
                    for feature, column in zip(self._model.features, columns, strict=True)
                ]
            }
        )


def _in_json(datatype: str) -> str:
    return "FP32" if datatype == "FP16" else datatype
