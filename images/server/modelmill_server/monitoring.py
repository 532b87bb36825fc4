"""Counters of one server in Prometheus' text form: requests, durations, and the bins that drift is computed from.

Counting is a few list increments per row; the text is made when it is asked for. Source of the form: Prometheus, text-based
exposition format 0.0.4.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from modelmill.contracts import names
from modelmill.contracts.artifact import CATEGORICAL, FeatureProfile, Profile
from modelmill_server.columns import VECTOR_ROWS, Column, Feature
from modelmill_server.query import Query

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HTTP_ERRORS = 400
PHASES = ("compute_input", "queue", "compute_infer", "compute_output")  # as Triton's statistics call them


class BinCounter:
    """Counts values of one feature, or of the prediction, by the bins of its profile."""

    def __init__(self, profile: FeatureProfile) -> None:
        self.bins = tuple(profile.bins())
        self.counts = [0] * len(self.bins)
        self._edges = profile.edges
        self._edge_array = np.array(profile.edges, np.float64)
        self._categorical = profile.kind == CATEGORICAL
        self._place = {name: index for index, name in enumerate(self.bins)}
        self._missing = self._place[names.BIN_MISSING]
        self._other = self._place.get(names.BIN_OTHER, 0)
        self._known = dict(zip(profile.categories, range(len(profile.categories)), strict=True))

    def add(self, values: Column) -> None:
        """Count every value; None and NaN are missing."""
        counts = self.counts
        if self._categorical:
            if isinstance(values, np.ndarray):
                values = values.tolist()
            for value, times in Counter(values).items() if len(values) > 1 else ((values[0], 1),):
                if value is None or value != value:
                    counts[self._missing] += times
                else:
                    counts[self._known.get(str(value), self._other)] += times
        elif len(values) < VECTOR_ROWS:
            edges = self._edges
            for value in values:
                if value is None or value != value:
                    counts[self._missing] += 1
                else:
                    counts[bisect_right(edges, value)] += 1
        else:
            array = np.array(values, np.float64)
            missing = np.isnan(array)
            lost = int(missing.sum())
            if lost:
                counts[self._missing] += lost
                array = array[~missing]
            found = np.bincount(np.searchsorted(self._edge_array, array, side="right"))
            for index, times in enumerate(found.tolist()):
                counts[index] += times


@dataclass(frozen=True, slots=True)
class Statistics:
    """What was done since the start.

    rows, answers: predictions and the requests that asked for them. executions: calls of the model, fewer where requests were
    joined. phase_nanoseconds: by name, of answers. last_milliseconds: Unix time of the last one, or 0.
    """

    rows: int
    answers: int
    executions: int
    phase_nanoseconds: dict[str, int]
    successes: int
    failures: int
    success_nanoseconds: int
    failure_nanoseconds: int
    last_milliseconds: int


class Monitor:
    """All counters of one served model. `observe` belongs to the event loop; the others may be called from any thread."""

    def __init__(
        self,
        *,
        model: str,
        version: str,
        info: dict[str, str],
        created: str,
        profile: Profile,
        features: tuple[Feature, ...],
        most: int,
    ) -> None:
        self.model_label = f'model_name="{escaped(model)}"'
        self._base = self.labels = f'{self.model_label},model_version="{escaped(version)}"'
        self._info = "".join(f',{name}="{escaped(value)}"' for name, value in info.items())
        self._trained = _timestamp(created)
        self._lock = threading.Lock()
        self.in_progress = 0
        self._codes: Counter[int] = Counter({200: 0})
        self._buckets = [0] * (len(names.DURATION_BUCKETS) + 1)
        self._seconds = 0.0
        self._failed_seconds = 0.0
        self._rows = 0
        self._answers = 0
        self._executions = 0
        self._phases = [0.0] * len(PHASES)
        self._last = 0.0
        self.extras: list[Callable[[], Iterable[str]]] = []
        self._invalid: Counter[tuple[str, str]] = Counter()
        profiled = [feature for feature in features if feature.name in profile.features]
        profiled.sort(key=lambda feature: -profile.features[feature.name].importance)
        self._profile = profile
        self._features = [
            (feature.name, feature.index, BinCounter(profile.features[feature.name])) for feature in profiled[:most]
        ]
        self._prediction = None if profile.prediction is None else BinCounter(profile.prediction)

    def observe(self, code: int, seconds: float) -> None:
        """Count one finished request."""
        self._codes[code] += 1
        self._buckets[bisect_left(names.DURATION_BUCKETS, seconds)] += 1
        self._seconds += seconds
        if code >= HTTP_ERRORS:
            self._failed_seconds += seconds

    def count_answer(self, query: Query, predictions: Column | None, phases: tuple[float, float, float, float]) -> None:
        """Count an answer: the values of its rows, and its predictions when those were asked for.

        phases: seconds in each of PHASES.
        """
        with self._lock:
            self._rows += query.rows
            self._answers += 1
            self._executions += not query.joined
            self._last = time.time()
            totals = self._phases
            for place, seconds in enumerate(phases):
                totals[place] += seconds
            columns = query.columns
            for _, index, counter in self._features:
                counter.add(columns[index])
            if predictions is not None and self._prediction is not None:
                self._prediction.add(predictions)

    def count_invalid(self, feature: str, reason: str) -> None:
        """Count one request that was refused for a value of `feature`, a name of the signature."""
        with self._lock:
            self._invalid[feature, reason] += 1

    def statistics(self) -> Statistics:
        """Return the sums since the start."""
        good = sum(count for code, count in self._codes.items() if code < HTTP_ERRORS)
        failed = self._failed_seconds
        return Statistics(
            rows=self._rows,
            answers=self._answers,
            executions=self._executions,
            phase_nanoseconds={name: int(spent * 1e9) for name, spent in zip(PHASES, self._phases, strict=True)},
            successes=good,
            failures=sum(self._codes.values()) - good,
            success_nanoseconds=int((self._seconds - failed) * 1e9),
            failure_nanoseconds=int(failed * 1e9),
            last_milliseconds=int(self._last * 1e3),
        )

    def render(self) -> str:
        """Return all metrics as text."""
        lines: list[str] = []
        with self._lock:
            lines += self._about_model()
            lines += self._about_requests()
            lines += self._about_values()
            lines += self._about_predictions()
        for more in self.extras:
            lines += more()
        return "\n".join(lines) + "\n"

    def _about_model(self) -> Iterable[str]:
        yield from _head(names.METRIC_MODEL_INFO, "gauge", "The model that is served; always 1.")
        yield f"{names.METRIC_MODEL_INFO}{{{self._base}{self._info}}} 1"
        yield from _head(names.METRIC_TRAINED_TIMESTAMP, "gauge", "When the training of the model ended, Unix time.")
        yield f"{names.METRIC_TRAINED_TIMESTAMP}{{{self._base}}} {self._trained!r}"

    def _about_requests(self) -> Iterable[str]:
        yield from _head(names.METRIC_REQUESTS, "counter", "Finished inference requests by HTTP status code.")
        for code, count in sorted(self._codes.items()):
            yield f'{names.METRIC_REQUESTS}{{{self._base},code="{code}"}} {count}'
        name = names.METRIC_REQUEST_DURATION
        yield from _head(name, "histogram", "Time from the head of an inference request to its answer, in seconds.")
        total = 0
        for bound, count in zip((*map(str, names.DURATION_BUCKETS), "+Inf"), self._buckets, strict=True):
            total += count
            yield f'{name}_bucket{{{self._base},le="{bound}"}} {total}'
        yield f"{name}_sum{{{self._base}}} {self._seconds!r}"
        yield f"{name}_count{{{self._base}}} {total}"
        yield from _head(names.METRIC_IN_PROGRESS, "gauge", "Inference requests that are being answered.")
        yield f"{names.METRIC_IN_PROGRESS}{{{self._base}}} {self.in_progress}"

    def _about_values(self) -> Iterable[str]:
        yield from _head(names.METRIC_FEATURE_BIN, "counter", "Values of a feature by bin of the reference profile.")
        for feature, _, counter in self._features:
            label = f'{self._base},feature="{escaped(feature)}"'
            for name, count in zip(counter.bins, counter.counts, strict=True):
                yield f'{names.METRIC_FEATURE_BIN}{{{label},bin="{escaped(name)}"}} {count}'
        yield from _head(names.METRIC_FEATURE_REFERENCE, "gauge", "Share of a feature's training values in a bin.")
        for feature, _, _ in self._features:
            label = f'{self._base},feature="{escaped(feature)}"'
            for name, share in self._profile.features[feature].bins().items():
                yield f'{names.METRIC_FEATURE_REFERENCE}{{{label},bin="{escaped(name)}"}} {float(share)!r}'
        yield from _head(
            names.METRIC_FEATURE_INVALID, "counter", "Requests refused for a value of a feature, by reason."
        )
        for (feature, reason), count in sorted(self._invalid.items()):
            label = f'{self._base},feature="{escaped(feature)}",reason="{reason}"'
            yield f"{names.METRIC_FEATURE_INVALID}{{{label}}} {count}"

    def _about_predictions(self) -> Iterable[str]:
        if self._prediction is None or self._profile.prediction is None:
            return
        yield from _head(names.METRIC_PREDICTION_BIN, "counter", "Predictions by bin of the reference profile.")
        for name, count in zip(self._prediction.bins, self._prediction.counts, strict=True):
            yield f'{names.METRIC_PREDICTION_BIN}{{{self._base},bin="{escaped(name)}"}} {count}'
        yield from _head(
            names.METRIC_PREDICTION_REFERENCE, "gauge", "Share of the predictions on the training data in a bin."
        )
        for name, share in self._profile.prediction.bins().items():
            yield f'{names.METRIC_PREDICTION_REFERENCE}{{{self._base},bin="{escaped(name)}"}} {float(share)!r}'


def escaped(value: str) -> str:
    """Return `value` as it stands between the quotes of a label."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _head(name: str, kind: str, text: str) -> Iterable[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _timestamp(created: str) -> float:
    """Return the Unix time of an RFC 3339 text. Raises ValueError."""
    return datetime.fromisoformat(created).timestamp()
