"""spec.rollout of an InferenceService: how a new version replaces the one that serves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelmill.api.analysis import Analysis
from modelmill.api.base import Part, rules
from modelmill.api.traffic import Traffic


class Step(Part):
    """One step of a rollout: a weight or a pause."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.weight) != has(self.pauseSeconds)", "a step has either weight or pauseSeconds")
        )
    }
    weight: int | None = Field(default=None, ge=1, le=100, description="Share of traffic for the new version, percent.")
    pause_seconds: int | None = Field(default=None, ge=1, le=604_800, description="Time to stay and measure.")


class Rollout(Part):
    """How a new version replaces the one that serves. What is left out is decided for you: status.effective tells it."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "self.strategy != 'Direct' || ((!has(self.steps) || self.steps.size() == 0) && !has(self.analysis))",
                "strategy Direct takes neither steps nor analysis: remove them, or use Canary",
            ),
            (
                "self.strategy == 'Direct' || !has(self.analysis)"
                " || !has(self.steps) || self.steps.size() == 0"
                " || self.steps.exists(step, has(step.weight) && step.weight < 100)",
                "analysis needs a step with a weight below 100: that is when it measures",
            ),
            (
                "!has(self.steps) || self.steps.filter(step, has(step.weight)).map(step, step.weight).isSorted()",
                "the weights of the steps must not become smaller",
            ),
        )
    }
    strategy: Literal["Canary", "Direct"] = Field(
        default="Canary",
        description="Canary: step by step, measured. Direct: all at once when the new pods are ready.",
    )
    steps: list[Step] = Field(
        default_factory=list,
        max_length=32,
        description="Weights and pauses, in order; a last step of weight 100 is implied. Left out: weights 10 and 50 with a "
        "pause of 60 s each, and an analysis if none is given. Weights are met by replica "
        "counts, so that the actual weight is a multiple of 1/replicas; status.canary.actualWeight tells it. With an analysis "
        "a step below 100 ends only with a measurement that passes: in its pause, or in one interval when no pause follows.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    analysis: Analysis | None = Field(
        default=None,
        description="Measurements. Left out where steps are given: only readiness is waited for. Left out with the steps: "
        "at most 1 % of errors, and a 95th percentile of the duration of at most 3 times that of the stable version.",
    )
    traffic: Traffic = Field(default_factory=Traffic, description="How a version gets its share of the requests.")
    progress_deadline_seconds: int = Field(
        default=600, ge=10, le=86_400, description="Longest time that new pods may take to become ready."
    )
