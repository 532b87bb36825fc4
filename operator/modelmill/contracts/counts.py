"""What the pods of a service counted, slot by slot: kept by the operator in a ConfigMap, read by the drift report.

    {"v": 1, "revision": R, "version": V, "reference": {...}, "rings": {NAME: {"seconds": S, "keys": [[...], ...],
     "slots": [{"number": N, "values": [...]}, ...]}}, "memory": {...}}

A slot with the number N has what was counted from N * S to (N + 1) * S, Unix time. Values are in the order of the keys.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from modelmill.contracts.documents import reading

COUNTS_VERSION: Final = 1
COUNTS_KEY: Final = "counts.json"
"""Key of the ConfigMap."""
MOST: Final = 1e100
"""Of what is counted or summed: its square is finite."""
MAX_KEYS: Final = 3000
"""Series in a ring: 100 features with 20 categories each have 2,800."""
MAX_NAMES: Final = 150_000
"""Characters of their labels: what is kept has room in a ConfigMap."""
SLOTS: Final = 12
"""Of a window."""
DRIFT_RING: Final = "drift"
QUALITY_RING: Final = "quality"
ERRORS_RING: Final = "errors"
"""Names of rings: with the values that came, with the labels that came, with the answers."""

Key = tuple[str, ...]
"""A series: one of the words below, and its labels."""
Counts = Mapping[Key, float]

BIN: Final = "bin"  # feature, bin
INVALID: Final = "invalid"  # feature
OUT_OF_RANGE: Final = "out_of_range"  # feature, near or far
MAGNITUDE: Final = "magnitude"  # feature; count, sum or squares
PREDICTION: Final = "prediction"  # bin
LABEL: Final = "label"  # correct, wrong or scored
ERROR: Final = "error"  # absolute or squared
CELL: Final = "cell"  # predicted, actual
DELAY: Final = "delay"  # count or sum, s
CONFIDENCE: Final = "confidence"  # bin, result
PREDICTIONS: Final = "predictions"  # all rows that were predicted
CODE: Final = "code"  # HTTP status
LENGTHS: Final = {
    **dict.fromkeys((BIN, OUT_OF_RANGE, MAGNITUDE, CELL, CONFIDENCE), 3),
    **dict.fromkeys((INVALID, PREDICTION, LABEL, ERROR, DELAY, CODE), 2),
    PREDICTIONS: 1,
}
"""Of the keys, by their word."""


def plus(one: Counts, other: Counts) -> Counts:
    """Return both counted together."""
    total = dict(one)
    for key, value in other.items():
        total[key] = total.get(key, 0.0) + value
    return total


def minus(after: Counts, before: Counts) -> Counts:
    """Return what was counted since `before`, without zeros.

    A counter that went back was reset: then the process is a new one, and all of its counters count from zero.
    """
    if any(value < before.get(key, 0.0) for key, value in after.items()):
        before = {}
    grown = {key: value - before.get(key, 0.0) for key, value in after.items()}
    return {key: value for key, value in grown.items() if value}


def only(counts: Counts, *words: str) -> Counts:
    """Return the series that begin with one of the words."""
    return {key: value for key, value in counts.items() if key[0] in words}


@dataclass(frozen=True, slots=True)
class Ring:
    """Counts of the last SLOTS slots of `seconds` each, by the number of the slot. Series beyond MAX_KEYS are left out."""

    seconds: float
    slots: Mapping[int, Counts] = field(default_factory=dict)

    def number(self, moment: float) -> int:
        """Return the slot of a moment, Unix time."""
        return math.floor(moment / self.seconds)

    def added(self, moment: float, counts: Counts) -> Ring:
        """Return the ring with what was counted just before a moment; slots that are too old are left out."""
        number = self.number(moment)
        kept = {one: slot for one, slot in self.slots.items() if number - SLOTS < one <= number}
        return replace(self, slots={**kept, number: plus(kept.get(number, {}), _with_room(kept, counts))})

    def total(self, moment: float) -> Counts:
        """Return what was counted in the window that ends at a moment: the slot of the moment, and SLOTS - 1 before it."""
        number = self.number(moment)
        total: dict[Key, float] = {}
        for one, slot in self.slots.items():
            if number - SLOTS < one <= number:
                for key, value in slot.items():
                    total[key] = total.get(key, 0.0) + value
        return total


def _with_room(slots: Mapping[int, Counts], counts: Counts) -> Counts:
    """Return the counts without new series for which there is no room: who tells the counts may make up names."""
    known = {key for slot in slots.values() for key in slot}
    new = counts.keys() - known
    if len(known) + len(new) <= MAX_KEYS and _characters(known) + _characters(new) <= MAX_NAMES:
        return counts
    return {key: value for key, value in counts.items() if key in known}


def _characters(keys: Iterable[Key]) -> int:
    return sum(len(word) for key in keys for word in key)


@dataclass(frozen=True, slots=True)
class FeatureReference:
    """The training data of a feature. shares: by bin. importance: its share of that of all watched ones, None if not told.

    magnitude: mean and standard deviation of log10|x| + 16 of numbers that are not 0, None if not told.
    """

    shares: Mapping[str, float]
    importance: float | None = None
    magnitude: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """What the training data looked like, as the pods tell it. rows: of training. trained: Unix time. None if not told."""

    features: Mapping[str, FeatureReference] = field(default_factory=dict)
    prediction: Mapping[str, float] = field(default_factory=dict)
    rows: float | None = None
    trained: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What is kept of one revision of a service.

    rings: by name. memory: what the operator remembers beside, as JSON: its own business.
    """

    revision: str
    version: str
    reference: Reference
    rings: Mapping[str, Ring]
    memory: Mapping[str, Any] = field(default_factory=dict)


def encode(history: History) -> str:
    """Return the document."""
    rings = {}
    for name, ring in history.rings.items():
        keys = sorted({key for slot in ring.slots.values() for key in slot})
        slots = [
            {"number": number, "values": [_number(slot.get(key, 0.0)) for key in keys]}
            for number, slot in sorted(ring.slots.items())
        ]
        rings[name] = {"seconds": ring.seconds, "keys": keys, "slots": slots}
    reference = history.reference
    features = {
        name: {"shares": one.shares, "importance": one.importance, "magnitude": one.magnitude}
        for name, one in reference.features.items()
    }
    document = {
        "v": COUNTS_VERSION,
        "revision": history.revision,
        "version": history.version,
        "reference": {
            "features": features,
            "prediction": reference.prediction,
            "rows": reference.rows,
            "trained": reference.trained,
        },
        "rings": rings,
        "memory": history.memory,
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def decode(text: str) -> History:
    """Return what the document holds. Raises ValueError for another one, which who may write ConfigMaps can have put there."""
    with reading("the counts"):
        raw = json.loads(text)
        if raw["v"] != COUNTS_VERSION:
            raise ValueError(f"counts of version {str(raw['v'])[:20]}, not {COUNTS_VERSION}")
        rings = {str(name): _ring(ring) for name, ring in raw["rings"].items()}
        memory = raw["memory"]
        if not isinstance(memory, dict):
            raise TypeError("memory")
        # Python reads NaN, which is no JSON: it raises ValueError.
        json.dumps(memory, allow_nan=False)
        return History(str(raw["revision"]), str(raw["version"]), _reference(raw["reference"]), rings, memory)


def _ring(raw: Any) -> Ring:
    seconds = _finite(raw["seconds"])
    if seconds <= 0:
        raise ValueError("the counts have slots of no time")
    keys = [tuple(map(str, key)) for key in raw["keys"]]
    if any(len(key) != LENGTHS.get(key[0] if key else "") for key in keys):
        raise ValueError("the counts have a series of another kind")
    if len(keys) > MAX_KEYS or _characters(keys) > MAX_NAMES:
        raise ValueError("the counts have too many series")
    slots = {}
    for slot in raw["slots"][-SLOTS:]:
        values = [_finite(value) for value in slot["values"]]
        if len(values) != len(keys) or not isinstance(slot["number"], int) or min(values, default=0.0) < 0:
            raise ValueError("the counts have a slot of another size")
        slots[slot["number"]] = {key: value for key, value in zip(keys, values, strict=True) if value}
    return Ring(seconds, slots)


def _reference(raw: Any) -> Reference:
    features = {}
    for name, one in raw["features"].items():
        told = one["magnitude"]
        magnitude = (_finite(told[0]), _finite(told[1])) if told is not None else None
        features[str(name)] = FeatureReference(_shares(one["shares"]), _optional(one["importance"]), magnitude)
    return Reference(features, _shares(raw["prediction"]), _optional(raw["rows"]), _optional(raw["trained"]))


def _shares(raw: Any) -> dict[str, float]:
    shares = {str(name): _finite(share) for name, share in raw.items()}
    if not all(0 <= share <= 1 for share in shares.values()):
        raise ValueError("the counts have a share that is none")
    return shares


def _optional(raw: Any) -> float | None:
    return None if raw is None else _finite(raw)


def _finite(raw: Any) -> float:
    """Return a number. Raises ValueError for what is none."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not abs(raw) <= MOST:  # NaN is not either
        raise ValueError("the counts have something else for a number, or one that is too great")
    return float(raw)


def _number(value: float) -> float | int:
    """Return the value as short JSON: whole numbers without a point, sums with nine digits."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else float(f"{value:.9g}")
