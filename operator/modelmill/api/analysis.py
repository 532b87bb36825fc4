"""spec.rollout.analysis of an InferenceService: what a new version is measured by."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from modelmill.api.base import Decimal, Part, rules

ERROR_RATIO: Final = "ErrorRatio"
PREDICTION_PSI: Final = "PredictionPSI"
ACCURACY: Final = "Accuracy"
MEAN_ABSOLUTE_ERROR: Final = "MeanAbsoluteError"
DISAGREEMENT: Final = "Disagreement"
Metric = Literal[
    "ErrorRatio",
    "LatencyP50Seconds",
    "LatencyP95Seconds",
    "LatencyP99Seconds",
    "PredictionPSI",
    "Accuracy",
    "MeanAbsoluteError",
    "Disagreement",
]


QUERY_FIELDS: Final = ("namespace", "service", "version", "revision", "stableVersion", "stableRevision", "window")
_KNOWN_FIELDS = f"self.query.matches('^([^$]|[$][^(]|[$][(]({'|'.join(QUERY_FIELDS)})[)])*[$]?$')"


class PrometheusQuery(Part):
    """A query whose one number is checked."""

    model_config = Part.model_config | {
        "json_schema_extra": rules((_KNOWN_FIELDS, f"in $( ) a query may have {', '.join(QUERY_FIELDS)}"))
    }
    query: str = Field(
        min_length=1,
        max_length=2048,
        description="PromQL that gives one number. $(namespace), $(service), $(version), $(revision), $(stableVersion), "
        "$(stableRevision) and $(window) (intervalSeconds, e.g. 30s) are filled in; pods are called "
        "$(service)-$(revision)-....",
    )


class Check(Part):
    """One bound on a measurement of the new version."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "[has(self.maximum), has(self.minimum), has(self.maxRatioToStable), has(self.minRatioToStable)]"
                ".exists(given, given)",
                "a check needs maximum, minimum, maxRatioToStable or minRatioToStable",
            ),
            (
                "has(self.metric) != has(self.prometheus)",
                "a check has either metric or prometheus",
            ),
            (
                "!has(self.prometheus)"
                " || (!has(self.maxRatioToStable) && !has(self.minRatioToStable) && !has(self.minSamples))",
                "maxRatioToStable, minRatioToStable and minSamples are for metrics: a query of prometheus compares by itself",
            ),
            (
                "!has(self.metric) || self.metric == 'Accuracy' || (!has(self.minimum) && !has(self.minRatioToStable))",
                "minimum and minRatioToStable are bounds of Accuracy and prometheus: give maximum or maxRatioToStable",
            ),
            (
                "!has(self.metric) || self.metric != 'Accuracy' || (!has(self.maximum) && !has(self.maxRatioToStable))",
                "Accuracy is the better the higher it is: give minimum or minRatioToStable",
            ),
            (
                "!has(self.metric) || self.metric != 'PredictionPSI' || !has(self.maxRatioToStable)",
                "PredictionPSI compares with the stable version already: give maximum",
            ),
            (
                "!has(self.metric) || self.metric != 'Disagreement' || !has(self.maxRatioToStable)",
                "Disagreement is with the stable version already: give maximum",
            ),
        )
    }
    metric: Metric | None = Field(
        default=None,
        description="ErrorRatio: 5xx answers by all answers. LatencyP50Seconds, LatencyP95Seconds, LatencyP99Seconds: 50th, "
        "95th and 99th percentile of the duration. PredictionPSI: population stability index of the predictions against those "
        "of the stable version in the same time. Accuracy, MeanAbsoluteError: of predictions whose labels came by POST "
        "/feedback, of classes and of numbers. Disagreement: answers of a shadow that differ from the live ones by all that "
        "were compared.",
    )
    prometheus: PrometheusQuery | None = Field(
        default=None,
        description="Instead of metric: a query to the Prometheus server that an admin has set for the operator. An empty "
        "result is Insufficient, and a server that does not answer is an Error.",
    )
    maximum: Decimal | None = Field(
        default=None,
        description="Greatest value that passes. One above it fails when chance alone is not likely to make it so.",
    )
    minimum: Decimal | None = Field(
        default=None,
        description="Least value that passes. One below it fails when chance alone is not likely to make it so.",
    )
    max_ratio_to_stable: Decimal | None = Field(
        default=None,
        description="Greatest ratio to the stable version's value in the same time that passes. A greater one fails when "
        "chance alone is not likely to make it so, and passes when chance often does.",
    )
    min_ratio_to_stable: Decimal | None = Field(
        default=None,
        description="Least ratio to the stable version's value in the same time that passes. A smaller one fails when "
        "chance alone is not likely to make it so, and passes when chance often does.",
    )
    min_samples: int | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        description="Fewest requests, predicted rows (PredictionPSI) or labelled rows (Accuracy, MeanAbsoluteError) that are "
        "judged. Left out: minRequests.",
    )
    dry_run: bool = Field(default=False, description="Whether the check is only told: it decides nothing.")


class Analysis(Part):
    """Measurements of the new version while it takes traffic, scraped from its pods.

    The worst check decides a measurement: Fail, Error (its figures cannot be had), Inconclusive (beyond a bound, but chance may
    be the reason), Insufficient (too little was counted) or Pass.
    """

    interval_seconds: int = Field(default=30, ge=1, le=86_400, description="Time between measurements.")
    min_requests: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Fewest requests to the new version that a measurement counts; errors that chance cannot explain fail with "
        "fewer.",
    )
    on_insufficient_data: Literal["Hold", "Pass", "Fail"] = Field(
        default="Hold", description="What a step does that ends with fewer requests: wait, go on, or roll back."
    )
    checks: list[Check] = Field(
        min_length=1,
        max_length=16,
        description="Bounds, all of which must hold.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    failure_limit: int = Field(default=1, ge=0, le=100, description="Failed measurements that are tolerated.")
    inconclusive_limit: int = Field(
        default=9,
        ge=0,
        le=100,
        description="Inconclusive measurements in a row that are tolerated, each over minRequests more requests than the one "
        "before. With more the rollout is paused for a person; its measurements go on.",
    )
    consecutive_error_limit: int = Field(
        default=4, ge=0, le=100, description="Measurements in a row without figures that are tolerated."
    )
    consecutive_success_limit: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Measurements in a row that must pass in a step, where it has to be measured.",
    )
