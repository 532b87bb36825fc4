"""Metric families as prometheus-client has them, made at scrape from plain integers, in the form that is asked for.

Sources of the forms: Prometheus, text-based exposition format 0.0.4; OpenMetrics 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from prometheus_client import exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics

MODEL_LABELS: Final = ("model_name", "model_version")
OPENMETRICS: Final = "application/openmetrics-text"
OPENMETRICS_VERSIONS: Final = ("1.0.0", "")  # of the Accept header; those before 1.0.0 are not spoken
_open_metrics = partial(openmetrics.generate_latest, version="1.0.0")


class Exposition:
    """What `GET /metrics` answers: a collector as prometheus-client knows it. sources: each yields families at every scrape."""

    def __init__(self) -> None:
        self.sources: Sequence[Callable[[], Iterable[Metric]]] = ()

    def collect(self) -> Iterable[Metric]:
        """Yield every family."""
        for source in self.sources:
            yield from source()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics and their content type.

        accept: the request's Accept header, whatever it holds; OpenMetrics where it names that, else Prometheus' text form.
        """
        if any(_is_open_metrics(accepted) for accepted in accept.split(",")):
            return _open_metrics(self), openmetrics.CONTENT_TYPE_LATEST
        return exposition.generate_latest(self), exposition.CONTENT_TYPE_PLAIN_0_0_4


def _is_open_metrics(accepted: str) -> bool:
    kind, *parameters = (part.strip() for part in accepted.split(";"))
    version = next((text.partition("=")[2] for text in parameters if text.startswith("version=")), "")
    return kind == OPENMETRICS and version in OPENMETRICS_VERSIONS


def counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    """Return an empty family. name: with its `_total`. labels: beside those of the model."""
    return CounterMetricFamily(name.removesuffix("_total"), text, labels=(*MODEL_LABELS, *labels))


def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    """Return an empty family. labels: beside those of the model."""
    return GaugeMetricFamily(name, text, labels=(*MODEL_LABELS, *labels))
