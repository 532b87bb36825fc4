"""spec.autoscaling of an InferenceService: the number of its pods follows their load."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelmill.api.base import Part, rules


class ScalingPolicy(Part):
    """How many pods may come or go in a time."""

    type: Literal["Pods", "Percent"] = Field(
        description="Whether value is a number of pods or a share of those that there are."
    )
    value: int = Field(ge=1, le=10_000, description="Most pods, or percent of them, in one period.")
    period_seconds: int = Field(ge=1, le=1800, description="Length of a period.")


class ScalingRules(Part):
    """How fast the number of pods may change in one direction. Source: Kubernetes API, autoscaling/v2 HPAScalingRules."""

    stabilization_window_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Time over which the most cautious number counts. Left out: as Kubernetes has it.",
    )
    select_policy: Literal["Max", "Min", "Disabled"] | None = Field(
        default=None, description="Which of the policies counts; Disabled: no change in this direction."
    )
    policies: list[ScalingPolicy] = Field(
        default_factory=list,
        max_length=8,
        description="Policies. Left out: as Kubernetes has them.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class ScalingBehavior(Part):
    """How fast the number of pods changes."""

    scale_up: ScalingRules | None = Field(default=None, description="Upwards.")
    scale_down: ScalingRules | None = Field(default=None, description="Downwards.")


class Autoscaling(Part):
    """A HorizontalPodAutoscaler for each track counts its pods. Of several targets the largest number counts."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("self.minReplicas <= self.maxReplicas", "minReplicas must not be above maxReplicas"),
            (
                "has(self.targetCPUUtilizationPercentage) || has(self.targetRequestsPerSecond)"
                " || has(self.targetConcurrency)",
                "autoscaling needs a target: targetCPUUtilizationPercentage, targetRequestsPerSecond or targetConcurrency",
            ),
        )
    }
    min_replicas: int = Field(default=2, ge=1, le=1000, description="Fewest pods.")
    max_replicas: int = Field(ge=1, le=1000, description="Most pods.")
    target_cpu_utilization_percentage: int | None = Field(
        default=None,
        alias="targetCPUUtilizationPercentage",
        ge=1,
        le=1000,
        description="CPU that the server container should use on average, in percent of its request, which is 100m unless "
        "runtime.resources says otherwise. Needs metrics-server.",
    )
    target_requests_per_second: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Requests per second that a pod should get on average. Needs the custom metric "
        "modelmill_requests_per_second of pods.",
    )
    target_concurrency: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Requests that a pod should be answering at once on average. Needs the custom metric "
        "modelmill_requests_in_progress of pods.",
    )
    behavior: ScalingBehavior | None = Field(default=None, description="How fast the number changes.")

    def within(self, replicas: int) -> int:
        """Return the number that is nearest to `replicas` within the bounds."""
        return max(self.min_replicas, min(self.max_replicas, replicas))
