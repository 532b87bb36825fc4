"""Rows known by a hash of their content: on which side of the division they fall, and whether a model was trained on them.

rows.bin, which an artifact has for the comparison with the next version:

    8 bytes   MAGIC
    4 bytes   length of the header, big-endian
    header    JSON: v, key (hex), kinds (of the columns that were hashed), count (of the digests), below (digests from it on
              are not kept; null when all are)
    the rest  digests of the different rows that were trained on, 8 bytes each, big-endian, ascending
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import pandas as pd

from modelmill.contracts.artifact import MAX_ROWS_BYTES
from modelmill_trainer.kinds import BOOLEAN, EMPTY, NUMBER, TEXT

MAGIC: Final = b"MMROWS1\n"
MAX_DIGESTS: Final = 1 << 22  # 32 MiB; of more rows those with the smallest digests are kept
MAX_HEADER: Final = 1 << 20
MAX_KEY: Final = 64  # of blake2b
BLOCK_VALUES: Final = 1 << 20
DIGEST: Final = np.dtype(">u8")


class RowsError(ValueError):
    """rows.bin is not of its form, or does not fit the data; the text says why."""


def key_of(seed: int) -> bytes:
    """Return the key under which rows are divided and kept."""
    return f"modelmill rows 1 {seed}".encode()[:MAX_KEY]


def hash_rows(frame: pd.DataFrame, kinds: Mapping[str, str], key: bytes) -> np.ndarray:
    """Return uint64 [rows, 2]: a number that says the side of a row, and the digest by which it is known.

    kinds: the columns that count. Equal values give equal hashes whatever the order of the columns, the format of the file and
    the width of the numbers; truth values count as 1 and 0. A missing value counts for nothing, so that a column that is new
    does not change the rows that have no value in it.
    """
    columns = sorted(name for name, kind in kinds.items() if kind != EMPTY)
    pairs = [(_number_of(name), *_values(frame[name], kinds[name])) for name in columns]
    found = []
    step = max(1, BLOCK_VALUES // max(1, len(columns)))
    for start in range(0, len(frame), step):
        rows = slice(start, min(len(frame), start + step))
        block = np.empty((rows.stop - start, len(columns), 2), DIGEST)
        there = np.empty((rows.stop - start, len(columns)), np.bool_)
        for place, (number, values, present) in enumerate(pairs):
            block[:, place, 0] = number
            block[:, place, 1] = values[rows]
            there[:, place] = present[rows]
        found += [blake2b(content, digest_size=16, key=key).digest() for content in _contents(block, there)]
    return np.frombuffer(b"".join(found), DIGEST).reshape(len(frame), 2).astype(np.uint64)


def _contents(block: np.ndarray, there: np.ndarray) -> Iterator[bytes]:
    """Yield each row's columns and values, without those that are missing."""
    content, width = block.tobytes(), 16 * block.shape[1]
    for row, complete in enumerate(np.all(there, axis=1).tolist()):
        if complete:
            yield content[row * width : (row + 1) * width]
        else:
            yield block[row][there[row]].tobytes()


def _values(column: pd.Series, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each value, equal for equal values, and whether there is a value."""
    if kind in (NUMBER, BOOLEAN):
        numbers = column.to_numpy("float64", na_value=np.nan) + 0.0  # one zero only
        return numbers.view(np.uint64), ~np.isnan(numbers)
    if kind != TEXT:
        column = column.astype(object)
        column = column.map(lambda value: value.isoformat(), na_action="ignore")
    codes, different = pd.factorize(column.astype(object))
    numbers = np.array([_number_of(str(value)) for value in different] or [0], np.uint64)
    return numbers[codes], codes >= 0


def _number_of(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True, eq=False)
class TrainedRows:
    """The rows that a model was trained on. kinds: the columns that were hashed.

    digests: ascending and different. below: rows whose digest is not below it are not known; None when every row is.
    """

    key: bytes
    kinds: dict[str, str]
    digests: np.ndarray
    below: int | None = None

    @classmethod
    def of(cls, frame: pd.DataFrame, kinds: Mapping[str, str], key: bytes) -> TrainedRows:
        """Return the rows of a frame."""
        hashed = {name: kind for name, kind in kinds.items() if kind != EMPTY}
        return cls(key, hashed, np.unique(hash_rows(frame, kinds, key)[:, 1]))

    def joined(self, other: TrainedRows) -> TrainedRows:
        """Return the rows of both. Raises RowsError when they are not known by the same columns and key."""
        if (other.key, other.kinds) != (self.key, self.kinds):
            raise RowsError("its rows are known by other columns or another seed")
        bounds = [one.below for one in (self, other) if one.below is not None]
        below, digests = min(bounds, default=None), np.union1d(self.digests, other.digests)
        return TrainedRows(
            self.key, self.kinds, digests if below is None else digests[digests < np.uint64(below)], below
        )

    def fresh(self, frame: pd.DataFrame, kinds: Mapping[str, str]) -> np.ndarray:
        """Return, for each row, whether it is known not to have been trained on.

        Raises RowsError when the rows lack a column that was hashed, or have another type there: nothing is known then.
        """
        digests = self._digests(frame, kinds)
        unseen: np.ndarray = ~np.isin(digests, self.digests)
        return unseen if self.below is None else unseen & (digests < np.uint64(self.below))

    def contains(self, frame: pd.DataFrame, kinds: Mapping[str, str]) -> np.ndarray:
        """Return, for each row, whether it is known to have been trained on. Raises RowsError as `fresh` does."""
        found: np.ndarray = np.isin(self._digests(frame, kinds), self.digests)
        return found

    def _digests(self, frame: pd.DataFrame, kinds: Mapping[str, str]) -> np.ndarray:
        lacking = [name for name in self.kinds if name not in frame.columns]
        if lacking:
            raise RowsError(f"its rows are known by {_listed(lacking)}, which the data of this run lacks")
        there = {name: kind for name, kind in self.kinds.items() if kinds.get(name, EMPTY) != EMPTY}
        changed = [name for name, kind in there.items() if _family(kind) != _family(kinds[name])]
        if changed:
            raise RowsError(f"its rows are known by {_listed(changed)}, which had another type in its data")
        return hash_rows(frame, there, self.key)[:, 1]

    def pack(self, most: int = MAX_DIGESTS) -> bytes | None:
        """Return the content of rows.bin, or None when the names of the columns alone take more than `MAX_HEADER`.

        Of more than `most` rows those with the smallest digests are kept: rows from the next digest on are then not known.
        """
        kept = self.digests[:most]
        below = int(self.digests[most]) if len(self.digests) > most else self.below
        document = {"v": 1, "key": self.key.hex(), "kinds": self.kinds, "count": len(kept), "below": below}
        header = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        if len(header) > MAX_HEADER:
            return None
        return MAGIC + len(header).to_bytes(4, "big") + header + kept.astype(DIGEST).tobytes()


def parse_rows(content: bytes) -> TrainedRows:
    """Return what rows.bin says. Raises RowsError: it comes from a store, where anybody may have written it."""
    if len(content) > MAX_ROWS_BYTES:
        raise RowsError(f"it has {len(content)} bytes, over the limit of {MAX_ROWS_BYTES}")
    begin = len(MAGIC) + 4
    if content[: len(MAGIC)] != MAGIC or len(content) < begin:
        raise RowsError("it does not begin as such a file does")
    end = begin + int.from_bytes(content[len(MAGIC) : begin], "big")
    if end - begin > MAX_HEADER or end > len(content):
        raise RowsError("it is cut off, or longer than it says")
    key, kinds, count, below = _header(content[begin:end])
    if len(content) - end != 8 * count:
        raise RowsError("it is cut off, or longer than it says")
    digests = np.frombuffer(content, DIGEST, offset=end).astype(np.uint64)
    if not (digests[:-1] < digests[1:]).all() or (below is not None and len(digests) and int(digests[-1]) >= below):
        raise RowsError("its digests are not in order")
    return TrainedRows(key, kinds, digests, below)


def _header(content: bytes) -> tuple[bytes, dict[str, str], int, int | None]:
    try:
        raw: Any = json.loads(content)
        key, kinds, below = bytes.fromhex(raw["key"]), raw["kinds"], raw["below"]
        version, count = raw["v"], raw["count"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RowsError(f"its header cannot be read: {type(error).__name__}") from None
    if version != 1:
        raise RowsError("it is not version 1")
    if not isinstance(kinds, dict) or not kinds or not all(isinstance(kind, str) for kind in kinds.values()):
        raise RowsError("its header names no columns")
    if below is not None and (isinstance(below, bool) or not isinstance(below, int) or not 0 <= below < 1 << 64):
        raise RowsError("its header has a wrong bound")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise RowsError("its header has a wrong count")
    if len(key) > MAX_KEY:
        raise RowsError("its key is too long")
    return key, kinds, count, below


def _family(kind: str) -> str:
    return NUMBER if kind == BOOLEAN else kind


def _listed(columns: list[str]) -> str:
    more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
    return f"{', '.join(columns[:5])}{more}"
