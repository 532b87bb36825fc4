"""spec.rollout.analysis of an InferenceService: what a new version is measured by."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelmill.api.base import Decimal, Part, rules


class Check(Part):
    """One bound on a measurement of the new version."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.maximum) || has(self.maxRatioToStable)", "a check needs maximum or maxRatioToStable"),
            (
                "self.metric != 'Disagreement' || !has(self.maxRatioToStable)",
                "Disagreement is with the stable version already: it takes maximum, not maxRatioToStable",
            ),
        )
    }
    metric: Literal["ErrorRatio", "LatencyP95Seconds", "Disagreement"] = Field(
        description="ErrorRatio: 5xx answers by all answers. LatencyP95Seconds: 95th percentile of the duration. "
        "Disagreement: answers of a shadow that differ from the live ones, by all that were compared."
    )
    maximum: Decimal | None = Field(default=None, description="Greatest value that passes.")
    max_ratio_to_stable: Decimal | None = Field(
        default=None, description="Greatest ratio to the stable version's value in the same time that passes."
    )


class Analysis(Part):
    """Measurements of the new version while it takes traffic, scraped from its pods."""

    interval_seconds: int = Field(default=30, ge=1, le=86_400, description="Time between measurements.")
    min_requests: int = Field(
        default=100, ge=1, le=1_000_000, description="Fewest requests to the new version that a measurement counts."
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
