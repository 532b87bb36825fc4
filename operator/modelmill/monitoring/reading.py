"""What a pod tells of the values, predictions and labels that it counted: read from its page, which is hostile until read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from modelmill.contracts import counts as c
from modelmill.contracts import names
from modelmill.contracts.counts import Counts, FeatureReference, Key, Reference
from modelmill.measuring.exposition import MAX_COUNT, MAX_SUM, NeededLines, count_of, series

MAX_LINES: Final = 8192
"""A server that watches 100 features with 20 categories each tells 5,000."""
MAX_FEATURES: Final = 100
MAX_NAMES: Final = 600_000
"""Characters of all series of a page that is read."""

_COUNTERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    names.METRIC_FEATURE_BIN: (c.BIN, ("feature", "bin")),
    names.METRIC_FEATURE_INVALID: (c.INVALID, ("feature",)),
    names.METRIC_FEATURE_OUT_OF_RANGE: (c.OUT_OF_RANGE, ("feature", "distance")),
    names.METRIC_PREDICTION_BIN: (c.PREDICTION, ("bin",)),
    names.METRIC_REQUESTS: (c.CODE, ("code",)),
}
"""Metric: the word of its key, and the labels that follow. Series that differ in other labels are added."""
_MAGNITUDES: Final = {
    f"{names.METRIC_FEATURE_MAGNITUDE}_count": "count",
    f"{names.METRIC_FEATURE_MAGNITUDE}_sum": "sum",
    names.METRIC_FEATURE_MAGNITUDE_SQUARES: "squares",
}
_LABELS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    names.METRIC_FEEDBACK: (c.LABEL, ("result",)),
    names.METRIC_FEEDBACK_CELL: (c.CELL, ("predicted", "actual")),
    names.METRIC_FEEDBACK_CONFIDENCE: (c.CONFIDENCE, ("bin", "result")),
}
_LABEL_SUMS: Final[Mapping[str, Key]] = {
    f"{names.METRIC_ABSOLUTE_ERROR}_sum": (c.ERROR, "absolute"),
    f"{names.METRIC_SQUARED_ERROR}_sum": (c.ERROR, "squared"),
    f"{names.METRIC_FEEDBACK_DELAY}_sum": (c.DELAY, "sum"),
    f"{names.METRIC_FEEDBACK_DELAY}_count": (c.DELAY, "count"),
}
_GAUGES: Final = (
    names.METRIC_REFERENCE_ROWS,
    names.METRIC_TRAINED_TIMESTAMP,
    names.METRIC_FEATURE_REFERENCE,
    names.METRIC_PREDICTION_REFERENCE,
    names.METRIC_FEATURE_IMPORTANCE,
    names.METRIC_FEATURE_REFERENCE_MAGNITUDE_MEAN,
    names.METRIC_FEATURE_REFERENCE_MAGNITUDE_DEVIATION,
)
_NEEDED: Final = tuple(f"{name}{{".encode() for name in (*_COUNTERS, *_MAGNITUDES, *_LABELS, *_LABEL_SUMS, *_GAUGES))
MAX_SERIES: Final = 49_152
"""Whose places are remembered, of all pods: those of a hundred services. Long ones, of pages that are odd, are not."""
MAX_REMEMBERED: Final = 256
_COUNT, _LABEL, _GAUGE = "count", "label", "gauge"
_ESCAPE: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Reading:
    """One pod at one moment. counts: since its start. labels: the same of labels that came, by the version that predicted."""

    counts: Counts
    labels: Mapping[str, Counts]
    reference: Reference


def needed_lines() -> NeededLines:
    """Return what keeps the lines that are read. A line that is too long, of a class with a long name, is left out."""
    return NeededLines((), _NEEDED, MAX_LINES)


def read(text: str) -> Reading:
    """Return what the needed lines tell. Raises ValueError for a malformed line or a value that there cannot be."""
    counts: dict[Key, float] = {}
    labels: dict[str, dict[Key, float]] = {}
    gauges: dict[str, dict[Key, float]] = {}
    budget = MAX_NAMES
    for line in filter(None, text.split("\n")):
        # A server tells the same series each time: only their values are new.
        head, _, told = line.rpartition("} ")
        place = _remembered(head) if len(head) <= MAX_REMEMBERED else _place(head)
        value = float(told.partition(" ")[0])
        budget -= len(head)
        if budget < 0:
            break
        if place.kind == _GAUGE:
            gauges.setdefault(place.name, {})[place.key] = _gauge(place.name, value)
        elif place.kind == _LABEL:
            _add(labels.setdefault(place.name, {}), place.key, count_of(value, place.most))
        else:
            _add(counts, place.key, count_of(value, place.most))
    counts[c.PREDICTIONS,] = sum(value for key, value in counts.items() if key[0] == c.PREDICTION)
    return Reading(counts, labels, _reference(gauges))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the value of a series belongs. name: of a gauge, or the version of a label. most: the greatest value."""

    kind: str
    key: Key
    name: str = ""
    most: float = MAX_COUNT


def _place(head: str) -> _Place:
    """Return where the value of a series belongs. head: its line up to the brace. Raises ValueError for a malformed one."""
    name, told, _ = series(f"{head}}} 0")
    told = {label: _ESCAPE.sub(_unescaped, text) for label, text in told.items()}
    if name in _COUNTERS:
        word, by = _COUNTERS[name]
        return _Place(_COUNT, (word, *(told.get(label, "") for label in by)))
    if name in _MAGNITUDES:
        return _Place(_COUNT, (c.MAGNITUDE, told.get("feature", ""), _MAGNITUDES[name]), most=1e3 * MAX_COUNT)
    version = told.get("model_version", "")
    if name in _LABELS:
        word, by = _LABELS[name]
        return _Place(_LABEL, (word, *(told.get(label, "") for label in by)), version)
    if name in _LABEL_SUMS:
        return _Place(_LABEL, _LABEL_SUMS[name], version, MAX_SUM)
    return _Place(_GAUGE, (told.get("feature", ""), told.get("bin", "")), name)


_remembered = lru_cache(MAX_SERIES)(_place)


def _reference(gauges: Mapping[str, Mapping[Key, float]]) -> Reference:
    shares: dict[str, dict[str, float]] = {}
    room = c.MAX_NAMES
    for (feature, bin_), share in gauges.get(names.METRIC_FEATURE_REFERENCE, {}).items():
        room -= len(bin_) + (len(feature) if feature not in shares else 0)
        if room > 0 and (feature in shares or len(shares) < MAX_FEATURES):
            shares.setdefault(feature, {})[bin_] = share
    importance = gauges.get(names.METRIC_FEATURE_IMPORTANCE, {})
    mean = gauges.get(names.METRIC_FEATURE_REFERENCE_MAGNITUDE_MEAN, {})
    deviation = gauges.get(names.METRIC_FEATURE_REFERENCE_MAGNITUDE_DEVIATION, {})
    features = {}
    for feature, known in shares.items():
        at = (feature, "")
        magnitude = (mean[at], deviation[at]) if at in mean and at in deviation else None
        features[feature] = FeatureReference(known, importance.get(at), magnitude)
    prediction = {bin_: share for (_, bin_), share in gauges.get(names.METRIC_PREDICTION_REFERENCE, {}).items()}
    return Reference(
        features, prediction, _only(gauges, names.METRIC_REFERENCE_ROWS), _only(gauges, names.METRIC_TRAINED_TIMESTAMP)
    )


def _only(gauges: Mapping[str, Mapping[Key, float]], name: str) -> float | None:
    return next(iter(gauges.get(name, {}).values()), None)


def _gauge(name: str, value: float) -> float:
    """Return the value of a gauge. Raises ValueError for one that it cannot have."""
    shares = (names.METRIC_FEATURE_REFERENCE, names.METRIC_PREDICTION_REFERENCE, names.METRIC_FEATURE_IMPORTANCE)
    if not math.isfinite(value) or not 0 <= value <= (1 if name in shares else MAX_COUNT):
        raise ValueError(f"{name} is {value}")
    return value


def _add(counts: dict[Key, float], key: Key, value: float) -> None:
    counts[key] = counts.get(key, 0.0) + value


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
