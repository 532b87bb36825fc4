"""Labels that come later: every answer carries a signed id, and any replica can score the label that comes back with it.

The id is the record: it holds the version, the time and the predictions, so that replicas need no shared state. Its form is
URL-safe base64, without padding, of

    format (1 byte), salt of the process (4), length of the version's name (1), the name in UTF-8,
    Unix seconds (4), count (4), what was predicted (1), rows (1), the predictions, the confidences, HMAC-SHA256 cut to 16 bytes

with numbers in little-endian order. Predictions are float64 or int64 (8 bytes each), booleans (1 byte), or texts in UTF-8 after
a length of 2 bytes. Format 1 has no confidences; format 2 has a byte for each row, the probability of the predicted class as
confidence.py writes it. Salt and count keep the ids of equal predictions apart. The content is signed, not encrypted: whoever
has an id can read the predictions, which its answer said as well.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import itertools
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelmill.contracts.names import ENV_FEEDBACK_KEY
from modelmill_server.failure import StartError

REGRESSION: Final = "regression"
CLASSIFICATION: Final = "classification"
MAX_ROWS: Final = 100
MAX_CHARACTERS: Final = 2048
MAX_CONTENT: Final = MAX_CHARACTERS * 3 // 4 - 16  # bytes in so many characters, without the signature
MAX_AGE_SECONDS: Final = 30 * 24 * 3600
FUTURE_SECONDS: Final = 300  # clocks of two nodes may differ by so much
LEAST_KEY_CHARACTERS: Final = 16

MALFORMED: Final = "malformed"
FORGED: Final = "forged"
EXPIRED: Final = "expired"
FUTURE: Final = "future"
LABELS: Final = "labels"
DUPLICATE: Final = "duplicate"
REASONS: Final = (MALFORMED, FORGED, EXPIRED, FUTURE, LABELS, DUPLICATE)

Label = str | int | float | bool

FORMAT = 1
FORMAT_CONFIDENCE = 2
MAC_BYTES = 16
BLOCK_BYTES = 64  # of SHA-256
KEY_LABEL = b"modelmill feedback id 1"
TASKS = (REGRESSION, CLASSIFICATION)
FLOAT, INT, BOOL, TEXT = range(4)
VALUE_TYPES: dict[type, int] = {float: FLOAT, int: INT, bool: BOOL, str: TEXT}
LETTERS = {FLOAT: "d", INT: "q", BOOL: "?"}
SPOKEN = {FLOAT: "a number", INT: "a whole number", BOOL: "true or false", TEXT: "text"}
TO_URL = bytes.maketrans(b"+/", b"-_")
FROM_URL = bytes.maketrans(b"-_+/", b"+/**")  # what is not URL-safe becomes a character that is refused


class FeedbackError(Exception):
    """Feedback that is not counted. status: HTTP status, 400, 409 or 413. reason: one of REASONS, as in the metric."""

    def __init__(self, status: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claim:
    """What an id says: the version that predicted, when (Unix seconds), the task, one prediction per row.

    code: the id's signature, different for every answer. confidences: for each row the byte that the id has of it; or empty.
    """

    version: str
    seconds: int
    task: str
    predictions: tuple[Label, ...]
    code: bytes
    confidences: bytes = b""


def key_from(environment_value: str | None, artifact_secret: bytes) -> bytes:
    """Return the key that ids are signed with: 32 bytes from MODELMILL_FEEDBACK_KEY, or else from the artifact's content.

    Both keep a client from making up or changing predictions to be scored, and so from bending the error rates of a version.

    The set key, from a Secret, also keeps out those who may read the artifact, and lets every version score the ids of every
    other: set it where labels come after the next rollout.
    The derived key needs no Secret and is the same in all replicas of a version. It protects against those who cannot read
    the artifact, and one version cannot score the ids of another. artifact_secret must be content that is not published, such
    as the bytes of manifest.json; its digest is published, in the model's metadata and metrics.

    Raises StartError (ConfigInvalid) for a set key of less than 16 characters.
    """
    if environment_value:
        if len(environment_value) < LEAST_KEY_CHARACTERS:
            words = (
                f"{ENV_FEEDBACK_KEY} has {len(environment_value)} characters: it needs {LEAST_KEY_CHARACTERS} or more"
            )
            raise StartError("ConfigInvalid", words)
        return hmac.digest(KEY_LABEL + b" environment", environment_value.encode(), "sha256")
    if not artifact_secret:
        raise ValueError("a key cannot be derived from nothing")
    return hmac.digest(KEY_LABEL + b" artifact", artifact_secret, "sha256")


class Tokens:
    """Makes and reads the ids of answers. Both may be called from any thread."""

    def __init__(
        self,
        key: bytes,
        version: str,
        *,
        max_age_seconds: int = MAX_AGE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """key: 64 bytes at most. version: 255 bytes of UTF-8 at most. clock: the present Unix time."""
        padded = key.ljust(BLOCK_BYTES, b"\0")
        name = version.encode()
        if len(padded) != BLOCK_BYTES or len(name) > 255:
            raise ValueError("the key or the version's name is too long")
        # The HMAC of RFC 2104 with its two first blocks done: a third of the time of hmac.digest.
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
        of_process = os.urandom(4) + bytes((len(name),)) + name
        self._plain, self._confident = bytes((FORMAT,)) + of_process, bytes((FORMAT_CONFIDENCE,)) + of_process
        self._head = struct.Struct(f"<{len(self._plain)}sIIBB").pack
        self._one_float = struct.Struct(f"<{len(self._plain)}sIIBBd").pack
        self._one_int = struct.Struct(f"<{len(self._plain)}sIIBBq").pack
        self._count = itertools.count().__next__
        self._max_age = max_age_seconds
        self._clock = clock

    def make(self, predictions: Sequence[Label] | Any, kind: str, confidences: bytes = b"") -> str | None:
        """Return the id of an answer.

        predictions: one value per row, a sequence or a 1-D numpy array. kind: `regression` (the values are numbers) or
        `classification` (labels, all of one type of text, int, bool or float). confidences: of each row, as
        `confidence.confidences` has them, or of none; left out where the id would become too long by them.

        Returns None for an answer that has no id: more than 100 rows, an id of more than 2,048 characters, several values per
        row, labels of mixed or other types or beyond 64 bits.
        """
        rows = len(predictions)
        if not 0 < rows <= MAX_ROWS:
            return None
        values: Sequence[Any] = predictions if type(predictions) is list else _plain(predictions)
        task = TASKS.index(kind)
        form = VALUE_TYPES.get(type(values[0])) if task else FLOAT
        try:
            what, count = task << 4 | form, self._count() & 0xFFFFFFFF  # type: ignore[operator]
            prefix = self._confident if confidences else self._plain
            if rows == 1 and form == FLOAT:
                content = self._one_float(prefix, int(self._clock()), count, what, 1, values[0])
            elif rows == 1 and form == INT:
                content = self._one_int(prefix, int(self._clock()), count, what, 1, values[0])
            else:
                content = self._head(prefix, int(self._clock()), count, what, rows) + _packed(values, task, form)
            if confidences:
                if len(content) + rows <= MAX_CONTENT:
                    content += confidences
                else:
                    content = self._plain + content[len(prefix) :]
        except (struct.error, TypeError, OverflowError, UnicodeEncodeError):
            return None
        encoded = binascii.b2a_base64(content + self._code(content), newline=False).translate(TO_URL, b"=")
        return encoded.decode("ascii") if len(encoded) <= MAX_CHARACTERS else None

    def read(self, token: str) -> Claim:
        """Return what an id says.

        Raises FeedbackError (400) when it is malformed, not signed with this key, older than the maximum age, or more than five
        minutes ahead of this clock.
        """
        content = _signed_content(token)
        content, code = content[:-MAC_BYTES], content[-MAC_BYTES:]
        if not hmac.compare_digest(code, self._code(content)):
            raise FeedbackError(
                400,
                "the id was changed, or is of a version that signs with another key "
                f"(with {ENV_FEEDBACK_KEY} set, all versions sign with the same)",
                FORGED,
            )
        try:
            claim = _claim(content, code)
        except (ValueError, IndexError, struct.error):  # signed by another release with another form
            raise FeedbackError(400, f"the id is not of format {FORMAT} or {FORMAT_CONFIDENCE}", MALFORMED) from None
        age = self._clock() - claim.seconds
        if age > self._max_age:
            raise FeedbackError(
                400,
                f"the id is {age / 86400:.1f} days old: labels are taken for {self._max_age / 86400:g} days",
                EXPIRED,
            )
        if age < -FUTURE_SECONDS:
            raise FeedbackError(400, f"the id is from {-age:.0f} s in the future: compare the nodes' clocks", FUTURE)
        return claim

    def proof(self, claim: Claim) -> str:
        """Return what only a holder of the key can say of an id, and no id has: that it is passed on by a server."""
        return self._code(b"passed on " + claim.code).hex()

    def proves(self, claim: Claim, text: str) -> bool:
        """Return whether a text is the proof of this id."""
        return hmac.compare_digest(self.proof(claim).encode(), text.encode(errors="replace"))

    def _code(self, content: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(content)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()[:MAC_BYTES]


def _plain(predictions: Any) -> Sequence[Any]:
    plain: Sequence[Any] = predictions.tolist() if hasattr(predictions, "tolist") else predictions
    return plain


def _packed(values: Sequence[Any], task: int, form: int | None) -> bytes:
    """Return the values as bytes. Raises TypeError for labels that are not all of one known type."""
    if form is None or (task and len(set(map(type, values))) > 1):
        raise TypeError
    if form != TEXT:
        return struct.pack(f"<{len(values)}{LETTERS[form]}", *values)
    texts = [value.encode() for value in values]
    return b"".join(struct.pack("<H", len(text)) + text for text in texts)


def _signed_content(token: str) -> bytes:
    malformed = FeedbackError(400, "the id is malformed: send it as it came with the answer", MALFORMED)
    if not 0 < len(token) <= MAX_CHARACTERS:
        raise malformed
    try:
        raw = token.encode("ascii").translate(FROM_URL)
        content = binascii.a2b_base64(raw + b"=" * (-len(raw) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise malformed from None
    if len(content) <= MAC_BYTES:
        raise malformed
    return content


def _claim(content: bytes, code: bytes) -> Claim:
    """Return the parts of a signed content. Raises ValueError, IndexError or struct.error for another format."""
    if content[0] not in (FORMAT, FORMAT_CONFIDENCE):
        raise ValueError
    at = 6 + content[5]
    version = content[6:at].decode()
    seconds, _, what, rows = struct.unpack_from("<IIBB", content, at)
    task, form, at = TASKS[what >> 4], what & 15, at + 10
    end = len(content) - (rows if content[0] == FORMAT_CONFIDENCE else 0)
    values = content[at:end]
    labels = _texts(values, rows) if form == TEXT else struct.unpack(f"<{rows}{LETTERS[form]}", values)
    return Claim(version, seconds, task, labels, code, content[end:])


def _texts(values: bytes, rows: int) -> tuple[str, ...]:
    texts, at = [], 0
    for _ in range(rows):
        end = at + 2 + int.from_bytes(values[at : at + 2], "little")
        texts.append(values[at + 2 : end].decode())
        at = end
    return tuple(texts)
