"""`POST /feedback`: the labels of an answer, by its id."""

from __future__ import annotations

from typing import Final

import msgspec

from modelmill_server.core.feedback import Accepted, FeedbackCounter
from modelmill_server.core.tokens import MALFORMED, FeedbackError, Label, Tokens
from modelmill_server.protocols.documents import decode
from modelmill_server.queries.columns import RejectedError

MAX_BODY_BYTES: Final = 64 * 1024


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
        """Return HTTP status and JSON body: 200 `{"accepted": n}` with the labels counted, or `{"error": …}`.

        The first also has `implausible`, the number of labels that training did not know, where there are any.
        """
        try:
            return 200, msgspec.json.encode(self._accept(body))
        except FeedbackError as error:
            self._counter.count_rejected(error.reason)
            return error.status, msgspec.json.encode({"error": error.message})

    def _accept(self, body: bytes) -> Accepted:
        if len(body) > MAX_BODY_BYTES:
            raise FeedbackError(413, f"the feedback has more than {MAX_BODY_BYTES} bytes", MALFORMED)
        try:
            request = decode(self._decoder, body, huge=False)
        except RejectedError as error:
            raise FeedbackError(error.status, error.message, MALFORMED) from None
        if (request.label is msgspec.UNSET) == (request.labels is msgspec.UNSET):
            raise FeedbackError(400, "send either label, for one row, or labels, one per row", MALFORMED)
        labels = [request.label] if request.labels is msgspec.UNSET else request.labels
        return self._counter.score(self._tokens.read(request.id), labels)  # type: ignore[arg-type]
