"""From a request to its answer: read, predict, write, count. Runs on any thread, and knows no protocol's bytes."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from modelmill.contracts.names import MANIFEST_FILE
from modelmill_server.core.batching import Batcher
from modelmill_server.core.confidence import confidences
from modelmill_server.core.feedback import FeedbackCounter
from modelmill_server.core.model import PROBABILITIES, Output, ServedModel
from modelmill_server.core.plausible import plausible
from modelmill_server.core.ranking import ranked
from modelmill_server.core.tokens import MAX_ROWS, TASKS, Tokens, key_from
from modelmill_server.payloads.log import PayloadLog
from modelmill_server.queries.columns import RejectedError
from modelmill_server.queries.query import UNKNOWN, Query
from modelmill_server.settings import Settings
from modelmill_server.telemetry.counters import Monitor

log = logging.getLogger("modelmill_server")

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Dialect(Generic[Given, Made]):
    """One inference protocol. read: raises RejectedError. write: also takes the feedback id, None where there is none."""

    name: str
    read: Callable[[Given], Query]
    write: Callable[[Query, list[Output], str | None], Made]


class Execution:
    """Answers the inference requests of one model. tokens, scores: of the labels that come later."""

    def __init__(self, model: ServedModel, monitor: Monitor, settings: Settings) -> None:
        self._model = model
        self._monitor = monitor
        self._names = frozenset(feature.name for feature in model.features)
        artifact = model.artifact
        self._task = artifact.manifest.signature.task
        secret = (artifact.path / MANIFEST_FILE).read_bytes()
        self.tokens = Tokens(key_from(settings.feedback_key, secret), model.version)
        likely = plausible(artifact.manifest.signature, artifact.profile, artifact.golden)
        self.scores = FeedbackCounter(model.name, model.version, self._task, likely)
        classes = model.classes(PROBABILITIES) if PROBABILITIES in model.outputs else ()
        self._places = {label: place for place, label in enumerate(classes)}
        self.payloads: PayloadLog | None = None

    def perform(self, dialect: Dialect[Given, Made], given: Given, *, live: bool = True) -> Made:
        """Read, predict, write, count. Raises RejectedError, and whatever the model raises.

        live: False for a request that was mirrored here. Another version has answered it to the client: it says nothing more
        about what clients send, no label will come for this answer, and the other version logs it.
        """
        arrived = time.perf_counter()
        query = dialect.read(given)
        query.began = queued = time.perf_counter()
        return self._finished(dialect, query, self._model.predict(query), arrived, queued, live)

    async def perform_joined(
        self, dialect: Dialect[Given, Made], given: Given, batcher: Batcher, *, live: bool = True
    ) -> Made:
        """Do the same together with others that wait."""
        arrived = time.perf_counter()
        query = dialect.read(given)
        queued = time.perf_counter()
        return self._finished(dialect, query, await batcher.predict(query), arrived, queued, live)

    def _finished(
        self,
        dialect: Dialect[Given, Made],
        query: Query,
        outputs: list[Output],
        arrived: float,
        queued: float,
        live: bool,
    ) -> Made:
        """Write the answer with the id that its labels may come back with, and count it."""
        done = time.perf_counter()
        first = outputs[0]
        predictions: list[Any] | None = None
        if first.name == self._model.primary and first.array.ndim == 1:
            predictions = first.array.tolist()
        feedback_id = None
        if predictions is not None and self._task in TASKS and live:
            feedback_id = self.tokens.make(predictions, self._task, self._confidences(predictions, outputs))
        shown = outputs
        if query.ranked is not None:
            shown = [self._ranked(output, query.ranked.get(output.name)) for output in outputs]
        answer = dialect.write(query, shown, feedback_id)
        phases = (queued - arrived, query.began - queued, done - query.began, time.perf_counter() - done)
        self._monitor.count_answer(query, predictions, phases, live=live)
        if self.payloads is not None and live:
            self.payloads.offer(lambda: self._record(dialect.name, feedback_id, query, outputs))
        return answer

    def _confidences(self, predictions: list[Any], outputs: list[Output]) -> bytes:
        """Return the confidence of each row; nothing where the request did not ask for probabilities."""
        places = self._places
        if places and len(predictions) <= MAX_ROWS:
            for output in outputs:
                array = output.array
                if output.name == PROBABILITIES and array.dtype.kind == "f" and array.shape[1:] == (len(places),):
                    return confidences(predictions, array, places)
        return b""

    def _ranked(self, output: Output, count: int | None) -> Output:
        return output if count is None else ranked(output, count, self._model.classes(output.name))

    def _record(self, protocol: str, feedback_id: str | None, query: Query, outputs: list[Output]) -> dict[str, Any]:
        return {
            "id": feedback_id,
            "protocol": protocol,
            "status": 200,
            "inputs": {feature.name: query.columns[feature.index] for feature in self._model.features},
            "outputs": {output.name: output.array for output in outputs},
        }

    def rejected(self, error: Exception, *, live: bool = True) -> RejectedError:
        """Count an error and return it as the client is told it: a fault of the request, or a reference to the log.

        live: see `perform`.
        """
        if isinstance(error, RejectedError):
            if live and error.feature is not None and error.reason is not None:
                self._monitor.count_invalid(error.feature if error.feature in self._names else UNKNOWN, error.reason)
            return error
        # A model may raise anything; the client gets a reference, the log the rest.
        reference = uuid.uuid4().hex[:12]
        log.error("request failed, reference %s", reference, exc_info=error)
        return RejectedError(
            500, f"the model failed on this request; the server's log has it under reference {reference}"
        )
