"""Recordings of what is wrong with the data themselves, by feature: for a person to look at, and nothing to train on."""

from __future__ import annotations

from typing import Final

from modelmill.api.monitoring import DriftMonitoring
from modelmill.contracts import names
from modelmill.contracts import verdict as v
from modelmill.contracts.names import BIN_MISSING, BIN_OTHER
from modelmill.monitoring.rules.psi import FEATURES
from modelmill.monitoring.rules.scope import Rule, Scope

VALUES: Final = "inferenceservice_feature:modelmill_feature_values:increase"
INVALID: Final = "inferenceservice_feature:modelmill_feature_invalid:increase"
MAGNITUDES: Final = "inferenceservice_feature:modelmill_feature_magnitude_rows:increase"
MEAN: Final = "inferenceservice_feature:modelmill_feature_magnitude:mean"
DEVIATION: Final = "inferenceservice_feature:modelmill_feature_magnitude:deviation"
TRAINED_DEVIATION: Final = "inferenceservice_feature:modelmill_feature_reference_magnitude_deviation:max"
SHIFT: Final = "inferenceservice_feature:modelmill_feature_magnitude_shift:abs"
SPREAD: Final = "inferenceservice_feature:modelmill_feature_magnitude_spread:abs"
PROBLEM: Final = "inferenceservice_feature:modelmill_data_quality_problem:value"
"""Series of the problems that there are, with the label problem; the value is what was measured."""
PROBLEMS: Final = "inferenceservice:modelmill_data_quality_problems:count"
"""How many there are; no series while there are none."""


def suppressed(scope: Scope, drift: DriftMonitoring) -> str:
    """Return an expression that has a value while something was wrong within the window: nothing else is judged then."""
    return f"count_over_time({scope.recorded(PROBLEMS)}[{drift.window_seconds}s])"


def recordings(scope: Scope, drift: DriftMonitoring) -> list[Rule]:
    """Return the recordings, after those of `psi.recordings` of the features."""
    enough = f"and on (feature) {scope.recorded(VALUES)} >= {drift.min_rows}"
    problems = {
        "missing": f"{_missing(scope)} {enough}",
        "invalid": _invalid(scope, drift.min_rows),
        "out_of_range": f"{_far(scope, drift.window_seconds)} {enough}",
        "unit": _unit(scope, drift.min_rows),
        "constant": _constant(scope, drift.min_rows),
        "vanished": _vanished(scope, drift.min_rows),
    }
    return [
        *_measured(scope, drift.window_seconds),
        *(scope.record(PROBLEM, expression, problem=problem) for problem, expression in problems.items()),
        scope.record(PROBLEMS, f"count({scope.recorded(PROBLEM)})"),
    ]


def _measured(scope: Scope, window: int) -> list[Rule]:
    def grown(metric: str) -> str:
        return f"sum by (feature) ({scope.increase(metric, window)})"

    def trained(metric: str) -> str:
        return f"max by (feature) ({scope.gauge(metric)})"

    some, mean = f"({scope.recorded(MAGNITUDES)} > 0)", scope.recorded(MEAN)
    squares = f"{grown(names.METRIC_FEATURE_MAGNITUDE_SQUARES)} / on (feature) {some}"
    expressions = {
        VALUES: f"sum by (feature) ({scope.recorded(FEATURES.counts)})",
        INVALID: grown(names.METRIC_FEATURE_INVALID),
        MAGNITUDES: grown(f"{names.METRIC_FEATURE_MAGNITUDE}_count"),
        MEAN: f"{grown(f'{names.METRIC_FEATURE_MAGNITUDE}_sum')} / on (feature) {some}",
        DEVIATION: f"sqrt(clamp_min({squares} - on (feature) {mean} * {mean}, 0))",
        TRAINED_DEVIATION: trained(names.METRIC_FEATURE_REFERENCE_MAGNITUDE_DEVIATION),
        SHIFT: f"abs({mean} - on (feature) {trained(names.METRIC_FEATURE_REFERENCE_MAGNITUDE_MEAN)})",
        SPREAD: f"abs({scope.recorded(DEVIATION)} - {scope.recorded(TRAINED_DEVIATION)})",
    }
    return [scope.record(record, expression) for record, expression in expressions.items()]


def _missing(scope: Scope) -> str:
    live = scope.recorded(FEATURES.counts, bin=BIN_MISSING)
    expected = scope.recorded(FEATURES.reference_ratio, bin=BIN_MISSING)
    values = scope.recorded(VALUES)
    error = f"{v.SIGMAS} * sqrt({expected} * (1 - {expected}) / on (feature) {values})"
    return f"{live} / on (feature) {values} > on (feature) ({expected} + {v.MISSING_MORE} + on (feature) {error})"


def _invalid(scope: Scope, min_rows: int) -> str:
    refused, all_values = scope.recorded(INVALID), f"({scope.recorded(INVALID)} + {scope.recorded(VALUES)})"
    return f"{refused} / {all_values} > {v.INVALID_MOST} and {all_values} >= {min_rows}"


def _far(scope: Scope, window: int) -> str:
    far = scope.increase(names.METRIC_FEATURE_OUT_OF_RANGE, window, distance="far")
    return f"sum by (feature) ({far}) / on (feature) {scope.recorded(VALUES)} > {v.FAR_MOST}"


def _unit(scope: Scope, min_rows: int) -> str:
    """Return the factor between the means of the magnitudes, where it is that of another unit: their spread stays."""
    shift, spread = scope.recorded(SHIFT), scope.recorded(SPREAD)
    deviation, count = scope.recorded(TRAINED_DEVIATION), scope.recorded(MAGNITUDES)
    part, beside = v.SCALE_SPREAD
    great = f"{shift} >= {v.SCALE:.9f} and {spread} <= {part} * {deviation} + {beside}"
    part, beside = v.SMALL_SCALE_SPREAD
    error = f"{v.SMALL_SCALE_ERRORS} * {deviation} / sqrt(2 * {count})"
    small = f"{shift} >= {v.SMALL_SCALE:.9f} and {spread} <= {part} * {deviation} + {beside} + {error}"
    return (
        f"10 ^ ({shift} and ({great} or {small}) and {count} >= {min_rows / 2} "
        f"and {scope.recorded(FEATURES.rows)} >= {min_rows})"
    )


def _constant(scope: Scope, min_rows: int) -> str:
    """Return the share of the bin that holds all values, where training had others and, of numbers, all are the same."""
    rows, magnitudes = scope.recorded(FEATURES.rows), scope.recorded(MAGNITUDES)
    deviation = scope.recorded(TRAINED_DEVIATION)
    held = f"{_live(scope)} >= {v.ONE_BIN}"
    unusual = f"{scope.recorded(FEATURES.expected)} < {v.NOT_CONSTANT}"
    same = (
        f"{scope.recorded(FEATURES.reference_ratio, bin=BIN_OTHER)} "
        f"or on (feature) {magnitudes} < {1 - v.ONE_BIN:.9g} * {rows} and {deviation} "
        f"or on (feature) {scope.recorded(DEVIATION)} <= 0.01 * {deviation}"
    )
    return (
        f"max by (feature) ({held} and on (feature, bin) {unusual}) and on (feature) ({same}) "
        f"and on (feature) {rows} >= {min_rows}"
    )


def _vanished(scope: Scope, min_rows: int) -> str:
    """Return the share of a category that was frequent in training and is nearly gone."""
    gone = f"{_live(scope, BIN_OTHER)} < {v.VANISHED_TO}"
    usual = f"{scope.recorded(FEATURES.expected)} >= {v.VANISHED_OF}"
    categories = scope.recorded(FEATURES.reference_ratio, bin=BIN_OTHER)
    return (
        f"min by (feature) ({gone} and on (feature, bin) {usual}) and on (feature) {categories} "
        f"and on (feature) {scope.recorded(FEATURES.rows)} >= {min_rows}"
    )


def _live(scope: Scope, other_than: str = BIN_MISSING) -> str:
    """Return the share of each bin, of the values that are there. other_than: a bin that is left out."""
    counts = scope.recorded(FEATURES.counts, {"bin": other_than})
    return f"{counts} / on (feature) group_left () ({scope.recorded(FEATURES.rows)} > 0)"
