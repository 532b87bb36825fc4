"""`POST /feedback`: the labels of an answer, by its id."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Final

import msgspec

from modelmill_server.core.feedback import FeedbackCounter
from modelmill_server.core.tokens import MALFORMED, Claim, FeedbackError, Label, Tokens
from modelmill_server.protocols.documents import decode
from modelmill_server.protocols.peers import Peers
from modelmill_server.queries.columns import RejectedError

MAX_BODY_BYTES: Final = 64 * 1024

Answered = tuple[int, bytes]
"""HTTP status and JSON body."""


class FeedbackRequest(msgspec.Struct):
    """The body of `POST /feedback`: `{"id", "label"}` for an answer of one row, `{"id", "labels": […]}` for any."""

    id: str
    label: Label | msgspec.UnsetType | None = msgspec.UNSET
    labels: list[Label | None] | msgspec.UnsetType = msgspec.UNSET


class Feedback:
    """Answers `POST /feedback`."""

    def __init__(self, tokens: Tokens, counter: FeedbackCounter, peers: Peers | None = None) -> None:
        """peers: those with which the labels are shared; None for a server that counts all that come."""
        self._tokens = tokens
        self._counter = counter
        self._peers = peers
        self._decoder = msgspec.json.Decoder(FeedbackRequest)

    def handle(self, body: bytes, proof: str = "") -> Answered | Coroutine[Any, Any, Answered]:
        """Return the answer, or what will return it: 200 `{"accepted": n}` with the labels counted, or `{"error": …}`.

        The first also has `implausible`, the number of labels that training did not know, where there are any.
        proof: with which another server passed this on, to be counted here whoever owns it; empty for a client's.
        """
        try:
            claim, labels = self._read(body)
        except FeedbackError as error:
            return self._refused(error)
        if self._peers is None or (proof and self._tokens.proves(claim, proof)):
            return self._counted(claim, labels)
        return self._shared(self._peers, claim, labels, body)

    async def _shared(self, peers: Peers, claim: Claim, labels: Sequence[Label | None], body: bytes) -> Answered:
        """Return the answer of the server that owns the id; where it has none, the labels are counted here."""
        owner = await peers.owner(claim.code)
        if owner is not None:
            answer = await peers.ask(owner, body, self._tokens.proof(claim))
            self._counter.count_passed_on(counted=answer is not None)
            if answer is not None:
                return answer
        return self._counted(claim, labels)

    def _counted(self, claim: Claim, labels: Sequence[Label | None]) -> Answered:
        try:
            return 200, msgspec.json.encode(self._counter.score(claim, labels))
        except FeedbackError as error:
            return self._refused(error)

    def _refused(self, error: FeedbackError) -> Answered:
        self._counter.count_rejected(error.reason)
        return error.status, msgspec.json.encode({"error": error.message})

    def _read(self, body: bytes) -> tuple[Claim, Sequence[Label | None]]:
        if len(body) > MAX_BODY_BYTES:
            raise FeedbackError(413, f"the feedback has more than {MAX_BODY_BYTES} bytes", MALFORMED)
        try:
            request = decode(self._decoder, body, huge=False)
        except RejectedError as error:
            raise FeedbackError(error.status, error.message, MALFORMED) from None
        if (request.label is msgspec.UNSET) == (request.labels is msgspec.UNSET):
            raise FeedbackError(400, "send either label, for one row, or labels, one per row", MALFORMED)
        labels = [request.label] if request.labels is msgspec.UNSET else request.labels
        return self._tokens.read(request.id), labels  # type: ignore[return-value]
