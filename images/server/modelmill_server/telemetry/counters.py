"""Counters of one server: requests, durations, answers, and the bins that drift is computed from.

On the path of a request they are plain integers in lists and dictionaries; metric families are made of them at scrape.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import HistogramMetricFamily, InfoMetricFamily, Metric

from modelmill.contracts import names
from modelmill.contracts.artifact import Profile
from modelmill_server.queries.columns import Column, Feature
from modelmill_server.queries.query import Query
from modelmill_server.telemetry.bins import BinCounter
from modelmill_server.telemetry.families import MODEL_LABELS, counter, gauge
from modelmill_server.telemetry.features import WatchedFeatures

HTTP_ERRORS = 400
PHASES = ("compute_input", "queue", "compute_infer", "compute_output")  # as Triton's statistics call them


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
    """All counters of one served model. `observe` belongs to the event loop; the others may be called from any thread.

    labels: name and version of the model. in_progress: returns how many requests are being answered.
    """

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
        self.model = model
        self.labels = (model, version)
        self._info = info
        self._trained = _timestamp(created)
        self._lock = threading.Lock()
        self.in_progress: Callable[[], int] = lambda: 0
        self._codes: Counter[int] = Counter({200: 0})
        self._buckets = [0] * (len(names.DURATION_BUCKETS) + 1)
        self._seconds = 0.0
        self._failed_seconds = 0.0
        self._rows = 0
        self._answers = 0
        self._mirrored = 0
        self._executions = 0
        self._phases = [0.0] * len(PHASES)
        self._last = 0.0
        self._invalid: Counter[tuple[str, str]] = Counter()
        self._features = WatchedFeatures(profile, features, most, self.labels)
        self._prediction_profile = profile.prediction
        self._prediction = None if profile.prediction is None else BinCounter(profile.prediction)

    def observe(self, code: int, seconds: float) -> None:
        """Count one finished request."""
        self._codes[code] += 1
        self._buckets[bisect_left(names.DURATION_BUCKETS, seconds)] += 1
        self._seconds += seconds
        if code >= HTTP_ERRORS:
            self._failed_seconds += seconds

    def count_answer(
        self,
        query: Query,
        predictions: Column | None,
        phases: tuple[float, float, float, float],
        *,
        live: bool = True,
    ) -> None:
        """Count an answer: the values of its rows, and its predictions when those were asked for.

        phases: seconds in each of PHASES. live: False for one to a mirrored request, whose values another version counts.
        """
        with self._lock:
            self._rows += query.rows
            self._answers += 1
            self._executions += not query.joined
            self._last = time.time()
            totals = self._phases
            for place, seconds in enumerate(phases):
                totals[place] += seconds
            if not live:
                self._mirrored += 1
                return
            self._features.add(query.columns)
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

    def families(self) -> Iterable[Metric]:
        """Return the families of all counters, as they are at this moment."""
        with self._lock:
            return [*self._about_model(), *self._about_requests(), *self._about_values(), *self._about_predictions()]

    def _about_model(self) -> Iterable[Metric]:
        info = InfoMetricFamily(
            names.METRIC_MODEL_INFO.removesuffix("_info"), "The model that is served; always 1.", labels=MODEL_LABELS
        )
        info.add_metric(self.labels, self._info)
        yield info
        trained = gauge(names.METRIC_TRAINED_TIMESTAMP, "When the training of the model ended, Unix time.")
        trained.add_metric(self.labels, self._trained)
        yield trained

    def _about_requests(self) -> Iterable[Metric]:
        finished = counter(names.METRIC_REQUESTS, "Finished inference requests by HTTP status code.", "code")
        for code, count in sorted(self._codes.items()):
            finished.add_metric([*self.labels, str(code)], count)
        yield finished
        buckets, total = [], 0
        for bound, count in zip((*map(str, names.DURATION_BUCKETS), "+Inf"), self._buckets, strict=True):
            total += count
            buckets.append((bound, float(total)))
        words = "Time from the head of an inference request to its answer, in seconds."
        duration = HistogramMetricFamily(names.METRIC_REQUEST_DURATION, words, labels=MODEL_LABELS)
        duration.add_metric(self.labels, buckets, self._seconds)
        yield duration
        mirrored = counter(names.METRIC_SHADOW_ANSWERS, "Answers to requests that another version mirrored here.")
        mirrored.add_metric(self.labels, self._mirrored)
        yield mirrored
        running = gauge(names.METRIC_IN_PROGRESS, "Inference requests that are being answered.")
        running.add_metric(self.labels, self.in_progress())
        yield running

    def _about_values(self) -> Iterable[Metric]:
        yield from self._features.families()
        words = "Requests refused for a value of a feature, by reason."
        invalid = counter(names.METRIC_FEATURE_INVALID, words, "feature", "reason")
        for (feature, reason), count in sorted(self._invalid.items()):
            invalid.add_metric([*self.labels, feature, reason], count)
        yield invalid

    def _about_predictions(self) -> Iterable[Metric]:
        if self._prediction is None or self._prediction_profile is None:
            return
        counted = counter(names.METRIC_PREDICTION_BIN, "Predictions by bin of the reference profile.", "bin")
        for name, count in zip(self._prediction.bins, self._prediction.counts, strict=True):
            counted.add_metric([*self.labels, name], count)
        yield counted
        words = "Share of the predictions on the training data in a bin."
        reference = gauge(names.METRIC_PREDICTION_REFERENCE, words, "bin")
        for name, share in self._prediction_profile.bins().items():
            reference.add_metric([*self.labels, name], share)
        yield reference
        edges = gauge(names.METRIC_PREDICTION_EDGE, "Upper bound of a bin of predicted numbers.", "bin")
        for number, edge in enumerate(self._prediction_profile.edges):
            edges.add_metric([*self.labels, str(number)], edge)
        yield edges


def _timestamp(created: str) -> float:
    """Return the Unix time of an RFC 3339 text. Raises ValueError."""
    return datetime.fromisoformat(created).timestamp()
