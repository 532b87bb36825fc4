"""Labels that come later: `POST /feedback` scores them against the predictions that the answer's id holds."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from modelmill_server.columns import RejectedError
from modelmill_server.documents import decode
from modelmill_server.monitoring import escaped
from modelmill_server.tokens import (
    DUPLICATE,
    FLOAT,
    INT,
    LABELS,
    MALFORMED,
    REASONS,
    REGRESSION,
    SPOKEN,
    VALUE_TYPES,
    Claim,
    FeedbackError,
    Label,
    Tokens,
)

METRIC_FEEDBACK: Final = "modelmill_feedback_total"  # result: correct, wrong, scored
METRIC_ABSOLUTE_ERROR: Final = "modelmill_feedback_absolute_error"  # summary: _sum and _count
METRIC_SQUARED_ERROR: Final = "modelmill_feedback_squared_error"  # summary: _sum and _count
ERRORS: Final = (
    (METRIC_ABSOLUTE_ERROR, "absolute", "|prediction - label| of scored rows."),
    (METRIC_SQUARED_ERROR, "squared", "(prediction - label)^2 of scored rows."),
)
METRIC_REJECTED: Final = "modelmill_feedback_rejected_total"  # reason

MAX_BODY_BYTES: Final = 64 * 1024
MAX_VERSIONS: Final = 20
OTHER_VERSION: Final = "other"
RECENT: Final = 10_000


@dataclass(slots=True)
class _Scores:
    correct: int = 0
    wrong: int = 0
    scored: int = 0
    absolute: float = 0.0
    squared: float = 0.0


class FeedbackCounter:
    """Counts how right the predictions were, by the version that made them. May be called from any thread.

    A row that was scored is remembered among the last 10,000 of this process and refused when it comes again. Replicas do not
    know of each other's rows, nor of those before a restart: a label that is sent to two of them counts twice.
    At most 20 versions have series of their own; what others predicted is counted as `other`.
    """

    def __init__(self, version: str, task: str) -> None:
        """version, task: of the model that is served here; its series are there from the start."""
        self._version = version
        self._lock = threading.Lock()
        self._scores: dict[tuple[str, str], _Scores] = {(version, task): _Scores()}
        self._rejected: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self._seen: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def score(self, claim: Claim, labels: Sequence[Label | None]) -> int:
        """Count one label per row and return how many were counted. A label that is None is not known yet and left out.

        Raises FeedbackError, and then counts none of them: 400 naming the row when the number or a type of the labels does not
        fit the predictions, 409 when a row was scored already.
        """
        if len(labels) != len(claim.predictions):
            raise _wrong(
                f"the answer has {len(claim.predictions)} rows, the feedback {len(labels)} labels: send one each"
            )
        update, keys = _Scores(), []
        for row, (prediction, label) in enumerate(zip(claim.predictions, labels, strict=True)):
            if label is None:
                continue
            keys.append(claim.code + bytes((row,)))
            if claim.task == REGRESSION:
                _add_error(update, row, prediction, label)
            else:
                equal = _same_type(row, prediction, label) == prediction
                update.correct += equal
                update.wrong += not equal
        with self._lock:
            for key in keys:
                if key in self._seen:
                    raise FeedbackError(409, f"row {key[-1]} of this answer was scored already", DUPLICATE)
            self._remember(keys)
            _add(self._scores_of(claim), update)
        return len(keys)

    def count_rejected(self, reason: str) -> None:
        """Count one feedback that was refused."""
        with self._lock:
            self._rejected[reason] += 1

    def _remember(self, keys: list[bytes]) -> None:
        self._seen.update(keys)
        self._order.extend(keys)
        while len(self._order) > RECENT:
            self._seen.discard(self._order.popleft())

    def _scores_of(self, claim: Claim) -> _Scores:
        versions = {version for version, _ in self._scores}
        known = claim.version in versions or len(versions - {OTHER_VERSION}) < MAX_VERSIONS
        return self._scores.setdefault((claim.version if known else OTHER_VERSION, claim.task), _Scores())

    def render_lines(self, base_model_label: str) -> Iterable[str]:
        """Yield the metrics as text. base_model_label: `model_name="…"`, escaped."""
        with self._lock:
            scores = [(f'{base_model_label},model_version="{escaped(version)}"', task, item)
                      for (version, task), item in sorted(self._scores.items())]  # fmt: skip
            rejected = list(self._rejected.items())
        yield f"# HELP {METRIC_FEEDBACK} Rows whose label came back, by result; regressions are scored."
        yield f"# TYPE {METRIC_FEEDBACK} counter"
        for label, task, item in scores:
            for result in ("scored",) if task == REGRESSION else ("correct", "wrong"):
                yield f'{METRIC_FEEDBACK}{{{label},result="{result}"}} {getattr(item, result)}'
        regressions = [(label, item) for label, task, item in scores if task == REGRESSION]
        for name, field, text in ERRORS:
            yield f"# HELP {name} {text}"
            yield f"# TYPE {name} summary"
            for label, item in regressions:
                yield f"{name}_sum{{{label}}} {getattr(item, field)!r}"
                yield f"{name}_count{{{label}}} {item.scored}"
        yield f"# HELP {METRIC_REJECTED} Feedback that was refused, by reason."
        yield f"# TYPE {METRIC_REJECTED} counter"
        own = f'{base_model_label},model_version="{escaped(self._version)}"'
        yield from (f'{METRIC_REJECTED}{{{own},reason="{reason}"}} {count}' for reason, count in rejected)


def _add(total: _Scores, update: _Scores) -> None:
    total.correct += update.correct
    total.wrong += update.wrong
    total.scored += update.scored
    total.absolute += update.absolute
    total.squared += update.squared


def _add_error(update: _Scores, row: int, prediction: Label, label: Label) -> None:
    assert isinstance(prediction, float)
    number = _same_type(row, prediction, label)
    error = prediction - float(number)
    if not math.isfinite(error * error):
        raise _wrong(f"the error at row {row} is not a finite number: send null for this row")
    update.scored += 1
    update.absolute += abs(error)
    update.squared += error * error


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


class FeedbackRequest(msgspec.Struct):
    """The body of `POST /feedback`: `{"id", "label"}` for an answer of one row, `{"id", "labels": […]}` for any."""

    id: str
    label: Label | msgspec.UnsetType | None = msgspec.UNSET
    labels: list[Label | None] | msgspec.UnsetType = msgspec.UNSET


class Feedback:
    """Answers `POST /feedback`."""

    def __init__(self, tokens: Tokens, counter: FeedbackCounter) -> None:
        self._tokens = tokens
        self._counter = counter
        self._decoder = msgspec.json.Decoder(FeedbackRequest)

    def handle(self, body: bytes) -> tuple[int, bytes]:
        """Return HTTP status and JSON body: 200 `{"accepted": n}` with the labels counted, or `{"error": …}`."""
        try:
            return 200, msgspec.json.encode({"accepted": self._accept(body)})
        except FeedbackError as error:
            self._counter.count_rejected(error.reason)
            return error.status, msgspec.json.encode({"error": error.message})

    def _accept(self, body: bytes) -> int:
        if len(body) > MAX_BODY_BYTES:
            raise FeedbackError(413, f"the feedback has more than {MAX_BODY_BYTES} bytes", MALFORMED)
        try:
            request = decode(self._decoder, body)
        except RejectedError as error:
            raise FeedbackError(error.status, error.message, MALFORMED) from None
        if (request.label is msgspec.UNSET) == (request.labels is msgspec.UNSET):
            raise FeedbackError(400, "send either label, for one row, or labels, one per row", MALFORMED)
        labels = [request.label] if request.labels is msgspec.UNSET else request.labels
        return self._counter.score(self._tokens.read(request.id), labels)  # type: ignore[arg-type]
