"""The features whose values are counted, and the metric families that tell the counts beside what training saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import Metric, SummaryMetricFamily

from modelmill.contracts import names
from modelmill.contracts.artifact import FeatureProfile, Profile
from modelmill_server.queries.columns import VECTOR_ROWS, Column, Feature
from modelmill_server.telemetry.bins import NumberCounter, add_numbers, counter_of
from modelmill_server.telemetry.families import MODEL_LABELS, counter, gauge


class WatchedFeatures:
    """Counts the values of the most important features, at most `most`. labels: of the model. Not safe for threads."""

    def __init__(self, profile: Profile, features: Sequence[Feature], most: int, labels: tuple[str, str]) -> None:
        profiled = [feature for feature in features if feature.name in profile.features]
        profiled.sort(key=lambda feature: -profile.features[feature.name].importance)
        watched = {feature.name: profile.features[feature.name] for feature in profiled[:most]}
        self._labels = labels
        self._counters = [
            (feature.name, feature.index, counter_of(watched[feature.name])) for feature in profiled[:most]
        ]
        self._numbers = [(name, made) for name, _, made in self._counters if isinstance(made, NumberCounter)]
        self._grouped = [made for _, made in self._numbers]
        self._places = [index for _, index, made in self._counters if isinstance(made, NumberCounter)]
        self._others = [(index, made) for _, index, made in self._counters if not isinstance(made, NumberCounter)]
        self._reference = list(_reference(profile.rows, watched, labels))

    def add(self, columns: Sequence[Column]) -> None:
        """Count the rows of a request. columns: of all features, in the order of the signature."""
        if not self._grouped or len(columns[self._places[0]]) < VECTOR_ROWS:
            for _, index, counted in self._counters:
                counted.add(columns[index])
            return
        for index, counted in self._others:
            counted.add(columns[index])
        add_numbers(self._grouped, [columns[index] for index in self._places])

    def families(self) -> Iterable[Metric]:
        """Return the families of the counts, as they are at this moment, and of the reference."""
        bins = counter(
            names.METRIC_FEATURE_BIN, "Values of a feature by bin of the reference profile.", "feature", "bin"
        )
        for feature, _, counted in self._counters:
            for name, count in zip(counted.bins, counted.counts, strict=True):
                bins.add_metric([*self._labels, feature, name], count)
        yield bins
        yield from self._about_numbers()
        yield from self._reference

    def _about_numbers(self) -> Iterable[Metric]:
        words = "Numbers outside of the range of training; far: by more than its width."
        outside = counter(names.METRIC_FEATURE_OUT_OF_RANGE, words, "feature", "distance")
        words = "log10|x| + 16 from 0 to 32, of numbers other than 0."
        sizes = SummaryMetricFamily(names.METRIC_FEATURE_MAGNITUDE, words, labels=(*MODEL_LABELS, "feature"))
        squares = counter(names.METRIC_FEATURE_MAGNITUDE_SQUARES, "Sum of the squares of the magnitudes.", "feature")
        for feature, counted in self._numbers:
            outside.add_metric([*self._labels, feature, "near"], counted.near)
            outside.add_metric([*self._labels, feature, "far"], counted.far)
            sizes.add_metric([*self._labels, feature], counted.sizes, counted.size_sum)
            squares.add_metric([*self._labels, feature], counted.square_sum)
        yield from (outside, sizes, squares)


def _reference(rows: int, watched: dict[str, FeatureProfile], labels: tuple[str, str]) -> Iterable[Metric]:
    """Return the families of what training saw. Nothing is told of rows that nobody saw."""
    if rows:
        counted = gauge(names.METRIC_REFERENCE_ROWS, "Rows of the training data that the reference shares are of.")
        counted.add_metric(labels, rows)
        yield counted
    shares = gauge(names.METRIC_FEATURE_REFERENCE, "Share of a feature's training values in a bin.", "feature", "bin")
    importance = gauge(names.METRIC_FEATURE_IMPORTANCE, "Share of the counted features' importance.", "feature")
    words = "Mean of the magnitudes in training."
    mean = gauge(names.METRIC_FEATURE_REFERENCE_MAGNITUDE_MEAN, words, "feature")
    words = "Standard deviation of the magnitudes in training."
    deviation = gauge(names.METRIC_FEATURE_REFERENCE_MAGNITUDE_DEVIATION, words, "feature")
    shared = importance_shares([profile.importance for profile in watched.values()])
    for (feature, profile), share in zip(watched.items(), shared, strict=True):
        for name, ratio in profile.bins().items():
            shares.add_metric([*labels, feature, name], ratio)
        importance.add_metric([*labels, feature], share)
        if profile.magnitude_mean is not None and profile.magnitude_deviation is not None:
            mean.add_metric([*labels, feature], profile.magnitude_mean)
            deviation.add_metric([*labels, feature], profile.magnitude_deviation)
    yield from (shares, importance, mean, deviation)


def importance_shares(importance: Sequence[float]) -> list[float]:
    """Return the shares of the sum, those below 0 counted as 0; equal ones where no feature matters."""
    greatest = max(importance, default=0.0)
    # Relative to the greatest, so that the sum of huge ones is finite.
    parts = [max(one, 0.0) / greatest for one in importance] if greatest > 0 else [1.0] * len(importance)
    total = sum(parts)
    return [part / total for part in parts]
