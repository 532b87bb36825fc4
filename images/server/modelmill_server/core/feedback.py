"""Labels that come later, scored against the predictions that an answer's id holds.

Who sends a label decides what it is, so no label decides what the sums are. A number beyond what the training data makes
plausible is counted as the end of the plausible range, and so is a prediction: a row adds at most the range's width to one sum
and its square to the other, and doubles tell a billion such rows from a billion and one. It is clamped and not refused,
because a rare true extreme is a true error, and the other labels of its request are as good as any; the answer and a
metric tell how many there were.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final

import msgspec
from prometheus_client.core import Metric, SummaryMetricFamily

from modelmill.contracts import names
from modelmill.contracts.artifact import category_bin, category_text
from modelmill_server.core.confidence import decile
from modelmill_server.core.plausible import Plausible
from modelmill_server.core.tokens import (
    CLASSIFICATION,
    DUPLICATE,
    FLOAT,
    INT,
    LABELS,
    REASONS,
    REGRESSION,
    SPOKEN,
    VALUE_TYPES,
    Claim,
    FeedbackError,
    Label,
)
from modelmill_server.telemetry.families import MODEL_LABELS, counter

ERRORS: Final = (
    (names.METRIC_ABSOLUTE_ERROR, "absolute", "|prediction - label| of scored rows."),
    (names.METRIC_SQUARED_ERROR, "squared", "(prediction - label)^2 of scored rows."),
)
METRIC_REJECTED: Final = "modelmill_feedback_rejected_total"  # reason
METRIC_PASSED_ON: Final = "modelmill_feedback_passed_on_total"  # result
METRIC_IMPLAUSIBLE: Final = "modelmill_feedback_implausible_total"  # reason
BEYOND, PREDICTED_BEYOND, UNKNOWN_CLASS = "label_beyond_range", "prediction_beyond_range", "unknown_class"

MAX_VERSIONS: Final = 20
OTHER_VERSION: Final = "other"
RECENT: Final = 10_000
MAX_CLASSES: Final = 10  # of a model whose confusion matrix is counted
DECILES: Final = 10
CORRECT, WRONG = "correct", "wrong"


class Accepted(msgspec.Struct, omit_defaults=True):
    """The answer to feedback. accepted: labels that were counted; implausible: those of them that training did not know."""

    accepted: int
    implausible: int = 0


@dataclass(slots=True)
class _Scores:
    correct: int = 0
    wrong: int = 0
    scored: int = 0
    absolute: float = 0.0
    squared: float = 0.0
    delay: float = 0.0
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    confidence: Counter[tuple[int, str]] = field(default_factory=Counter)

    @property
    def labels(self) -> int:
        """How many rows have their label."""
        return self.correct + self.wrong + self.scored

    def add(self, update: _Scores) -> None:
        """Add what another has."""
        self.correct += update.correct
        self.wrong += update.wrong
        self.scored += update.scored
        self.absolute += update.absolute
        self.squared += update.squared
        self.delay += update.delay
        self.cells.update(update.cells)
        self.confidence.update(update.confidence)


class FeedbackCounter:
    """Counts how right the predictions were, by the version that made them. May be called from any thread.

    A row that was scored is remembered among the last 10,000 of this process and refused when it comes again. It does not know
    of rows that another process scored, nor of those before a restart; `protocols.peers` brings the rows of an answer to one.
    At most 20 versions have series of their own; what others predicted is counted as `other`.
    The cells of the confusion matrix are called by the classes of the model that is served here, at most 10; any other label,
    and what another version predicted that is none of them, is `other`.
    """

    def __init__(
        self,
        model: str,
        version: str,
        task: str,
        plausible: Plausible,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """model, version, task, plausible: of what is served here; its series are there from the start. clock: Unix time."""
        self._model = model
        self._version = version
        self._plausible = plausible
        self._implausible: Counter[str] = Counter(dict.fromkeys((BEYOND, PREDICTED_BEYOND, UNKNOWN_CLASS), 0))
        self._lock = threading.Lock()
        self._clock = clock
        classes = plausible.classes if plausible.classes and len(plausible.classes) <= MAX_CLASSES else ()
        self._classes = {label: category_bin(category_text(label)) for label in classes}
        self._scores: dict[tuple[str, str], _Scores] = {(version, task): self._none(task)}
        self._rejected: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self._passed_on = Counter({"counted": 0, "returned": 0})
        self._seen: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def score(self, claim: Claim, labels: Sequence[Label | None]) -> Accepted:
        """Count one label per row. A label that is None is not known yet and left out.

        Raises FeedbackError, and then counts none of them: 400 naming the row when the number or a type of the labels does not
        fit the predictions, 409 when a row was scored already.
        """
        if len(labels) != len(claim.predictions):
            raise _wrong(
                f"the answer has {len(claim.predictions)} rows, the feedback {len(labels)} labels: send one each"
            )
        update, keys = _Scores(), []
        doubts: list[str] = []
        delay = max(self._clock() - claim.seconds, 0.0)  # clocks of two nodes may differ
        for row, (prediction, label) in enumerate(zip(claim.predictions, labels, strict=True)):
            if label is None:
                continue
            keys.append(claim.code + bytes((row,)))
            update.delay += delay
            if claim.task == REGRESSION:
                doubts += self._add_error(update, row, prediction, label)
            else:
                known = _same_type(row, prediction, label)
                if claim.version == self._version and not self._plausible.has_class(known):
                    doubts.append(UNKNOWN_CLASS)
                self._add_class(update, prediction, known, claim.confidences[row : row + 1])
        with self._lock:
            for key in keys:
                if key in self._seen:
                    raise FeedbackError(409, f"row {key[-1]} of this answer was scored already", DUPLICATE)
            self._remember(keys)
            self._scores_of(claim).add(update)
            self._implausible.update(doubts)
        return Accepted(len(keys), sum(doubt != PREDICTED_BEYOND for doubt in doubts))

    def count_rejected(self, reason: str) -> None:
        """Count one feedback that was refused."""
        with self._lock:
            self._rejected[reason] += 1

    def count_passed_on(self, *, counted: bool) -> None:
        """Count one feedback that was passed on to the server that owns its id. counted: there, else it has to be here."""
        with self._lock:
            self._passed_on["counted" if counted else "returned"] += 1

    def _add_error(self, update: _Scores, row: int, prediction: Label, label: Label) -> Iterator[str]:
        """Add the error of a row and yield what of it was clamped. Raises FeedbackError (400) naming the row."""
        number = _same_type(row, prediction, label)
        assert isinstance(prediction, float)
        assert isinstance(number, int | float)
        if prediction != prediction or number != number:
            raise _wrong(f"the error at row {row} is not a number: send null for this row")
        low, high = self._plausible.low, self._plausible.high
        if not low <= number <= high:
            yield BEYOND
        if not low <= prediction <= high:
            yield PREDICTED_BEYOND
        error = min(max(prediction, low), high) - min(max(number, low), high)
        update.scored += 1
        update.absolute += abs(error)
        update.squared += error * error

    def _add_class(self, update: _Scores, prediction: Label, label: Label, confidence: bytes) -> None:
        """Add a row of a classification. confidence: the id's byte of it, or nothing."""
        equal = label == prediction
        update.correct += equal
        update.wrong += not equal
        if self._classes:
            cell = self._classes.get(prediction, names.BIN_OTHER), self._classes.get(label, names.BIN_OTHER)
            update.cells[cell] += 1
        place = decile(confidence[0]) if confidence else None
        if place is not None:
            update.confidence[place, CORRECT if equal else WRONG] += 1

    def _none(self, task: str) -> _Scores:
        """Return the counts before the first label, with the series that the version served here has from the start."""
        if task != CLASSIFICATION:
            return _Scores()
        predicted = sorted(self._classes.values())
        return _Scores(
            cells=Counter({(one, actual): 0 for one in predicted for actual in (*predicted, names.BIN_OTHER)}),
            confidence=Counter({(place, result): 0 for place in range(DECILES) for result in (CORRECT, WRONG)}),
        )

    def _remember(self, keys: list[bytes]) -> None:
        self._seen.update(keys)
        self._order.extend(keys)
        while len(self._order) > RECENT:
            self._seen.discard(self._order.popleft())

    def _scores_of(self, claim: Claim) -> _Scores:
        versions = {version for version, _ in self._scores}
        known = claim.version in versions or len(versions - {OTHER_VERSION}) < MAX_VERSIONS
        return self._scores.setdefault((claim.version if known else OTHER_VERSION, claim.task), _Scores())

    def families(self) -> Iterable[Metric]:
        """Yield the families of the scores, by the version that predicted."""
        with self._lock:
            scores = [(version, task, deepcopy(item)) for (version, task), item in sorted(self._scores.items())]
            rejected = list(self._rejected.items())
            implausible = list(self._implausible.items())
            passed_on = list(self._passed_on.items())
        yield from self._about_errors(scores)
        yield from self._about_classes([(version, item) for version, task, item in scores if task == CLASSIFICATION])
        refused = counter(METRIC_REJECTED, "Feedback that was refused, by reason.", "reason")
        for reason, count in rejected:
            refused.add_metric([self._model, self._version, reason], count)
        yield refused
        words = "Rows beyond what the training data makes plausible: counted at the end of its range, or as wrong."
        doubted = counter(METRIC_IMPLAUSIBLE, words, "reason")
        for reason, count in implausible:
            doubted.add_metric([self._model, self._version, reason], count)
        yield doubted
        words = (
            "Feedback that was passed on to the server that owns its id: counted there, or returned and counted here."
        )
        passed = counter(METRIC_PASSED_ON, words, "result")
        for result, count in passed_on:
            passed.add_metric([self._model, self._version, result], count)
        yield passed

    def _about_errors(self, scores: Sequence[tuple[str, str, _Scores]]) -> Iterable[Metric]:
        labelled = counter(
            names.METRIC_FEEDBACK, "Rows whose label came back, by result; regressions are scored.", "result"
        )
        delays: dict[str, _Scores] = {}
        for version, task, item in scores:
            for result in ("scored",) if task == REGRESSION else (CORRECT, WRONG):
                labelled.add_metric([self._model, version, result], getattr(item, result))
            delays.setdefault(version, _Scores()).add(item)  # `other` may have two tasks
        yield labelled
        for name, of_error, text in ERRORS:
            family = SummaryMetricFamily(name, text, labels=MODEL_LABELS)
            for version, task, item in scores:
                if task == REGRESSION:
                    family.add_metric([self._model, version], item.scored, getattr(item, of_error))
            yield family
        delay = SummaryMetricFamily(
            names.METRIC_FEEDBACK_DELAY, "Time from an answer to its label.", labels=MODEL_LABELS
        )
        for version, both in delays.items():
            delay.add_metric([self._model, version], both.labels, both.delay)
        yield delay

    def _about_classes(self, scores: Sequence[tuple[str, _Scores]]) -> Iterable[Metric]:
        words = "Labelled rows by predicted and actual class, of a model with at most 10."
        matrix = counter(names.METRIC_FEEDBACK_CELL, words, "predicted", "actual")
        words = "Labelled rows by decile of the predicted class's probability, where the answer had it."
        confidence = counter(names.METRIC_FEEDBACK_CONFIDENCE, words, "bin", "result")
        for version, item in scores:
            for (predicted, actual), count in item.cells.items():
                matrix.add_metric([self._model, version, predicted, actual], count)
            for (place, result), count in item.confidence.items():
                confidence.add_metric([self._model, version, str(place), result], count)
        yield from (matrix, confidence)


def _same_type(row: int, prediction: Label, label: Label) -> Label:
    """Return the label when its type is the prediction's. Raises FeedbackError (400) naming the row."""
    form = VALUE_TYPES[type(prediction)]
    if type(label) is type(prediction) or (form == FLOAT and type(label) is int and abs(label) < 1 << 1023):
        return label
    if form == INT and type(label) is float and label.is_integer():  # a frame with gaps has its whole numbers as 3.0
        return int(label)
    raise _wrong(f"the label at row {row} must be {SPOKEN[form]}, as the prediction is")


def _wrong(message: str) -> FeedbackError:
    return FeedbackError(400, message, LABELS)
