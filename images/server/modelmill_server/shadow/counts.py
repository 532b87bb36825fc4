"""What is counted of mirrored requests, for each revision that was a shadow."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric

from modelmill.contracts import names
from modelmill.contracts import shadow as contract
from modelmill_server.shadow.agreement import REASONS
from modelmill_server.telemetry.families import MODEL_LABELS, counter

QUEUE_FULL, TOO_LARGE = "queue_full", "too_large"
DROPS: Final = (QUEUE_FULL, TOO_LARGE)
KEPT_REVISIONS = 4  # a server that lives for long must not have ever more series


class Counts:
    """Counters of one shadow. Belong to the event loop. Plain numbers; families are made of them at scrape."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.compared = 0
        self.disagreed: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.buckets = [0] * (len(names.DURATION_BUCKETS) + 1)
        self.seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer, and how long it took."""
        self.results[f"{status // 100}xx"] += 1
        self.buckets[bisect_left(names.DURATION_BUCKETS, seconds)] += 1
        self.seconds += seconds


def families(labels: tuple[str, str], counts: dict[tuple[str, str], Counts]) -> Iterable[Metric]:
    """Yield the families. labels: of the model that mirrors; counts: by version and revision of the shadow."""
    requests = counter(
        contract.METRIC_REQUESTS, "Requests sent to a shadow, by what came of them.", *contract.LABELS, "result"
    )
    compared = counter(
        contract.METRIC_COMPARED, "Answers of a shadow that were compared with the live ones.", *contract.LABELS
    )
    words = "Compared answers of a shadow that differ by more than the tolerance."
    disagreed = counter(contract.METRIC_DISAGREED, words, *contract.LABELS, "reason")
    dropped = counter(contract.METRIC_DROPPED, "Sampled requests that were not mirrored.", *contract.LABELS, "reason")
    duration = HistogramMetricFamily(
        contract.METRIC_DURATION,
        "Time from sending a request to a shadow to having its answer, in seconds.",
        labels=(*MODEL_LABELS, *contract.LABELS),
    )
    for shadow, one in counts.items():
        known = [*labels, *shadow]
        for result in contract.RESULTS:
            requests.add_metric([*known, result], one.results[result])
        compared.add_metric(known, one.compared)
        for reason in REASONS:
            disagreed.add_metric([*known, reason], one.disagreed[reason])
        for reason in DROPS:
            dropped.add_metric([*known, reason], one.dropped[reason])
        buckets, total = [], 0
        for bound, count in zip((*map(str, names.DURATION_BUCKETS), "+Inf"), one.buckets, strict=True):
            total += count
            buckets.append((bound, float(total)))
        duration.add_metric(known, buckets, one.seconds)
    return requests, compared, disagreed, dropped, duration
