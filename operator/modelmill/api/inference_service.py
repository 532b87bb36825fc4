"""InferenceService: serves one version well, and changes version safely."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelmill.api.base import (
    Alias,
    Decimal,
    ModelName,
    Name,
    Part,
    rules,
)
from modelmill.api.pods import Resources


class ModelRef(Part):
    """Which version to serve: the newest approved one of a model, a pinned one, or the one that has an alias."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "[has(self.follow), has(self.version), has(self.alias)].filter(given, given).size() == 1",
                "set exactly one of follow (Approved), version (pinned) and alias",
            )
        )
    }
    name: ModelName = Field(description="Name of the model; also its name in the URL paths.")
    follow: Literal["Approved"] | None = Field(
        default=None, description="Approved: serve the newest ModelVersion of the model that is approved."
    )
    version: Name | None = Field(default=None, description="ModelVersion to serve, for GitOps.")
    alias: Alias | None = Field(
        default=None,
        description="Alias of the ModelVersion to serve, e.g. champion: when another version of the model gets it, that one "
        "is rolled out.",
    )


class ServerLimits(Part):
    """Limits of one server pod."""

    max_request_bytes: int = Field(default=16_777_216, ge=1024, le=1_073_741_824, description="Largest body, bytes.")
    max_rows: int = Field(default=10_000, ge=1, le=1_000_000, description="Most rows in one request.")
    max_concurrent_requests: int = Field(
        default=256, ge=1, le=10_000, description="Most requests at once; more are answered 503 with Retry-After."
    )


class Runtime(Part):
    """How the server runs."""

    resources: Resources = Field(default_factory=Resources, description="Resources of the server container.")
    limits: ServerLimits = Field(default_factory=ServerLimits, description="Limits of one server pod.")
    warmup_requests: int = Field(
        default=20, ge=0, le=1000, description="Predictions made before a pod is ready, beside the golden rows."
    )


class Step(Part):
    """One step of a rollout: a weight or a pause."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.weight) != has(self.pauseSeconds)", "a step has either weight or pauseSeconds")
        )
    }
    weight: int | None = Field(default=None, ge=1, le=100, description="Share of traffic for the new version, percent.")
    pause_seconds: int | None = Field(default=None, ge=1, le=604_800, description="Time to stay and measure.")


class Check(Part):
    """One bound on a measurement of the new version."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.maximum) || has(self.maxRatioToStable)", "a check needs maximum or maxRatioToStable")
        )
    }
    metric: Literal["ErrorRatio", "LatencyP95Seconds"] = Field(
        description="ErrorRatio: 5xx answers by all answers. LatencyP95Seconds: 95th percentile of the duration."
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
    progress_deadline_seconds: int = Field(
        default=600, ge=10, le=86_400, description="Longest time that new pods may take to become ready."
    )


class DriftMonitoring(Part):
    """When the features count as drifted from the training data."""

    psi_threshold: Decimal = Field(
        default="0.2", description="Population stability index of a feature above which it has drifted."
    )
    window_seconds: int = Field(default=3600, ge=30, le=2_592_000, description="Time that is looked at.")
    min_rows: int = Field(
        default=500, ge=20, le=100_000_000, description="Fewest rows in the window; with fewer nothing is said."
    )
    features: int = Field(default=10, ge=1, le=100, description="How many features are watched, most important first.")
    for_seconds: int = Field(default=60, ge=0, le=86_400, description="How long it must last before the alert fires.")


class RetrainOn(Part):
    """What an alert does."""

    training_job: Name = Field(description="TrainingJob of the namespace to run; it must have triggers.alerts.enabled.")
    alerts: list[Literal["Drift", "Quality", "Staleness"]] = Field(
        min_length=1,
        max_length=3,
        description="Kinds of alerts that start a run.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class Monitoring(Part):
    """What is watched while the model serves. Rules are written to the ConfigMap NAME-modelmill-rules for Prometheus."""

    drift: DriftMonitoring = Field(default_factory=DriftMonitoring, description="When features count as drifted.")
    retrain: RetrainOn | None = Field(default=None, description="What an alert does. Left out: it is only shown.")


class InferenceServiceSpec(Part):
    """A model served over HTTP."""

    model: ModelRef = Field(description="Which version to serve.")
    replicas: int = Field(default=2, ge=1, le=1000, description="Server pods.")
    runtime: Runtime = Field(default_factory=Runtime, description="How the server runs.")
    rollout: Rollout = Field(default_factory=Rollout, description="How a new version replaces the one that serves.")
    monitoring: Monitoring | None = Field(default=None, description="What is watched while the model serves.")
