"""Empty metric families with the labels that every metric of a model has, to be filled at scrape from plain integers."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

MODEL_LABELS: Final = ("model_name", "model_version")


def counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    """Return an empty family. name: with its `_total`. labels: beside those of the model."""
    return CounterMetricFamily(name.removesuffix("_total"), text, labels=(*MODEL_LABELS, *labels))


def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    """Return an empty family. labels: beside those of the model."""
    return GaugeMetricFamily(name, text, labels=(*MODEL_LABELS, *labels))
