"""spec.rollout.analysis of an InferenceService: what a new version is measured by."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from modelmill.api.base import Decimal, Part, rules

ERROR_RATIO: Final = "ErrorRatio"
P50: Final = "LatencyP50Seconds"
P95: Final = "LatencyP95Seconds"
P99: Final = "LatencyP99Seconds"


class Check(Part):
    """One bound on a measurement of the new version."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.maximum) || has(self.maxRatioToStable)", "a check needs maximum or maxRatioToStable")
        )
    }
    metric: Literal["ErrorRatio", "LatencyP50Seconds", "LatencyP95Seconds", "LatencyP99Seconds"] = Field(
        description="ErrorRatio: 5xx answers by all answers. LatencyP50Seconds, LatencyP95Seconds, LatencyP99Seconds: 50th, "
        "95th and 99th percentile of the duration."
    )
    maximum: Decimal | None = Field(
        default=None,
        description="Greatest value that passes. One above it fails when chance alone is not likely to make it so.",
    )
    max_ratio_to_stable: Decimal | None = Field(
        default=None,
        description="Greatest ratio to the stable version's value in the same time that passes. A greater one fails when "
        "chance alone is not likely to make it so, and passes when chance often does.",
    )


class Analysis(Part):
    """Measurements of the new version while it takes traffic, scraped from its pods.

    The worst check decides a measurement: Fail, Inconclusive (beyond a bound, but chance may be the reason), Insufficient (too
    little was counted) or Pass.
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
    consecutive_success_limit: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Measurements in a row that must pass in a step, where it has to be measured.",
    )
