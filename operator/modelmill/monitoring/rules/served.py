"""Recordings of what the answers were worth: labels that came later, requests that failed, the age of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modelmill.api.monitoring import QualityMonitoring
from modelmill.contracts import names
from modelmill.contracts.verdict import Holdout
from modelmill.monitoring.evaluating import ERRORS_SECONDS
from modelmill.monitoring.rules.scope import Rule, Scope

LABELS: Final = "inferenceservice:modelmill_feedback_rows:increase"
ERROR: Final = "inferenceservice:modelmill_feedback_error:mean"
VARIANCE: Final = "inferenceservice:modelmill_feedback_error:variance"
REQUESTS: Final = "inferenceservice:modelmill_requests:increase"
FAILED: Final = "inferenceservice:modelmill_requests_failed:ratio"
AGE: Final = "inferenceservice:modelmill_model_age_seconds:max"


@dataclass(frozen=True, slots=True)
class Limit:
    """What the error is compared with. variance: of the limit, as an estimate from the rows of the hold-out."""

    value: float
    variance: float


def limit_of(quality: QualityMonitoring, holdout: Holdout | None) -> Limit | None:
    """Return the limit, None without one. holdout: of the version that serves, None where it is not known."""
    if quality.maximum is not None:
        return Limit(float(quality.maximum), 0.0)
    if holdout is None:
        return None
    scale = holdout.limit / holdout.error if holdout.error > 0 else 0.0
    return Limit(holdout.limit, scale**2 * holdout.variance)


def of_labels(scope: Scope, quality: QualityMonitoring) -> list[Rule]:
    """Return the recordings of labels, right and wrong ones of a classification and errors of a regression.

    Any pod of the service may be told a label, one of another version as well.
    """
    seconds = quality.window_seconds
    right_or_wrong = f"sum({scope.labels(names.METRIC_FEEDBACK, seconds, result='correct|wrong')})"
    wrong = f"sum({scope.labels(names.METRIC_FEEDBACK, seconds, result='wrong')})"
    scored = f"sum({scope.labels(f'{names.METRIC_ABSOLUTE_ERROR}_count', seconds)})"
    errors = f"sum({scope.labels(f'{names.METRIC_ABSOLUTE_ERROR}_sum', seconds)})"
    squares = f"sum({scope.labels(f'{names.METRIC_SQUARED_ERROR}_sum', seconds)})"
    labels, error = f"max({scope.recorded(LABELS)})", f"max({scope.recorded(ERROR)})"
    expressions = {
        LABELS: f"{right_or_wrong} > 0 or {scored} > 0",
        ERROR: f"(({wrong} or 0 * {right_or_wrong}) + 1) / (({right_or_wrong} > 0) + 2) or {errors} / ({scored} > 0)",
        VARIANCE: f"({error} * (1 - {error}) and {right_or_wrong} > 0 "
        f"or clamp_min({squares} / {labels} - {error} * {error}, 0)) / {labels}",
    }
    return [scope.record(record, expression) for record, expression in expressions.items()]


def of_requests(scope: Scope) -> list[Rule]:
    """Return the recordings of the requests, and of the share of them that failed, by Laplace's rule of succession."""
    requests = f"max({scope.recorded(REQUESTS)})"
    failed = f"sum({scope.increase(names.METRIC_REQUESTS, int(ERRORS_SECONDS), code='5..')})"
    return [
        scope.record(REQUESTS, f"sum({scope.increase(names.METRIC_REQUESTS, int(ERRORS_SECONDS))})"),
        scope.record(FAILED, f"(({failed} or 0 * {requests}) + 1) / ({requests} + 2)"),
    ]


def of_age(scope: Scope) -> list[Rule]:
    """Return the recording of the time since the training of the version ended, s."""
    return [scope.record(AGE, f"time() - max({scope.gauge(names.METRIC_TRAINED_TIMESTAMP)})")]
