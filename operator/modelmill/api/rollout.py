"""spec.rollout of an InferenceService: how a new version replaces the one that serves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelmill.api.analysis import Analysis
from modelmill.api.base import Part, rules
from modelmill.api.shadow import Shadow
from modelmill.api.traffic import HeaderRoute, Traffic


class Step(Part):
    """One step of a rollout: a weight, a time to stay, a person's word to wait for, pods without traffic, or a header."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "[has(self.weight), has(self.pauseSeconds), has(self.pause), has(self.setCanaryReplicas),"
                " has(self.headerRoute)]"
                ".filter(given, given).size() == 1",
                "a step has exactly one of weight, pauseSeconds, pause, setCanaryReplicas and headerRoute",
            )
        )
    }
    weight: int | None = Field(default=None, ge=1, le=100, description="Share of traffic for the new version, percent.")
    pause_seconds: int | None = Field(default=None, ge=1, le=604_800, description="Time to stay and measure.")
    pause: Literal["Manual"] | None = Field(
        default=None,
        description="Manual: stay and measure until a person sets the annotation modelmill.dev/resume to a new text.",
    )
    set_canary_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Pods of the new version that are made before it gets traffic, behind the Service NAME-preview.",
    )
    header_route: HeaderRoute | None = Field(
        default=None,
        description="Requests with this header go to the new version, whatever its weight, until the rollout is over.",
    )


class BlueGreen(Part):
    """The new version stands whole beside the old one, and all traffic is switched at once."""

    auto_promotion: bool = Field(
        default=True,
        description="Whether traffic is switched without a person. With false the annotation modelmill.dev/resume is needed.",
    )
    pre_promotion_seconds: int = Field(
        default=0,
        ge=0,
        le=604_800,
        description="Time before the switch in which requests to the Service NAME-preview are measured.",
    )
    post_promotion_seconds: int = Field(
        default=60,
        ge=0,
        le=604_800,
        description="Time after the switch in which the new version is measured, and the old one stands by.",
    )


class RollbackWindow(Part):
    """How far back the way is short."""

    revisions: int = Field(
        ge=1, le=20, description="A revision among so many that served last is promoted without steps and measurements."
    )


class Rollout(Part):
    """How a new version replaces the one that serves. What is left out is decided for you: status.effective tells it."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "self.strategy != 'Direct' || ((!has(self.steps) || self.steps.size() == 0) && !has(self.analysis))",
                "strategy Direct takes neither steps nor analysis: remove them, or use Canary",
            ),
            (
                "self.strategy != 'Canary' || !has(self.analysis)"
                " || !has(self.steps) || self.steps.size() == 0"
                " || self.steps.exists(step, has(step.weight) && step.weight < 100)",
                "analysis needs a step with a weight below 100: that is when it measures",
            ),
            (
                "self.strategy != 'BlueGreen' || !has(self.steps) || self.steps.size() == 0",
                "strategy BlueGreen takes no steps: remove them, or use Canary",
            ),
            (
                "self.strategy == 'BlueGreen' || !has(self.blueGreen)",
                "blueGreen is for strategy BlueGreen: remove it, or set strategy",
            ),
            (
                "self.strategy != 'Shadow' || !has(self.steps) || self.steps.size() == 0",
                "strategy Shadow takes no steps: remove them, or use Canary",
            ),
            (
                "self.strategy == 'Shadow' || !has(self.analysis)"
                " || !self.analysis.checks.exists(check, has(check.metric) && check.metric == 'Disagreement')",
                "check Disagreement needs strategy Shadow, which compares answers: remove it, or set strategy",
            ),
            (
                "self.strategy != 'Shadow' || !has(self.analysis) || self.analysis.checks.all(check,"
                " !has(check.metric) || !(check.metric in ['PredictionPSI', 'Accuracy', 'MeanAbsoluteError']))",
                "strategy Shadow is measured by ErrorRatio, latencies and Disagreement: remove checks of what clients make of "
                "the answers",
            ),
            (
                "self.strategy == 'Shadow' || !has(self.shadow)",
                "shadow is for strategy Shadow: remove it, or set strategy",
            ),
            (
                "!has(self.blueGreen) || !has(self.analysis)"
                " || self.blueGreen.prePromotionSeconds > 0 || self.blueGreen.postPromotionSeconds > 0",
                "analysis needs prePromotionSeconds or postPromotionSeconds above 0: that is when it measures",
            ),
            (
                "!has(self.steps) || self.steps.size() == 0 || self.steps.filter(step, has(step.setCanaryReplicas)).size() == 0"
                " || self.steps.filter(step, has(step.setCanaryReplicas)).size() == 1 && has(self.steps[0].setCanaryReplicas)",
                "setCanaryReplicas is the first step, once: with a weight the number of pods is what makes it",
            ),
            (
                "!has(self.steps) || !self.steps.exists(step, has(step.headerRoute))"
                " || has(self.traffic) && has(self.traffic.parentRefs)",
                "headerRoute needs traffic.parentRefs: a route is made for them; in a route of yours only weights are changed",
            ),
            (
                "!has(self.steps) || self.steps.filter(step, has(step.weight)).map(step, step.weight).isSorted()",
                "the weights of the steps must not become smaller",
            ),
        )
    }
    strategy: Literal["Canary", "BlueGreen", "Shadow", "Direct"] = Field(
        default="Canary",
        description="Canary: step by step, measured. BlueGreen: whole beside the old one, then all traffic at once, measured "
        "before and after. Shadow: a sample of the requests is answered by the new version too, compared and thrown away, "
        "before all traffic is switched. Direct: all at once when the new pods are ready.",
    )
    steps: list[Step] = Field(
        default_factory=list,
        max_length=32,
        description="Weights and pauses, in order; a last step of weight 100 is implied. Left out: weights 10 and 50 with a "
        "pause of 60 s each, and an analysis if none is given. Weights are made as "
        "traffic says; status.canary.actualWeight tells what is given. With an analysis "
        "a step below 100 ends only with a measurement that passes: in its pause, or in one interval when no pause follows.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    analysis: Analysis | None = Field(
        default=None,
        description="Measurements. Left out where steps are given: only readiness is waited for. Left out with the steps: "
        "at most 1 % of errors, and a 95th percentile of the duration of at most 3 times that of the stable version.",
    )
    blue_green: BlueGreen | None = Field(default=None, description="Settings of strategy BlueGreen.")
    shadow: Shadow | None = Field(default=None, description="Settings of strategy Shadow.")
    rollback_window: RollbackWindow | None = Field(
        default=None,
        description="A version that served before is promoted at once when it comes again. Left out: it takes all steps, "
        "unless the annotation modelmill.dev/rollback asks for it.",
    )
    scale_down_delay_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Time that the pods of the version before are kept after a promotion. Left out: 30 s with strategy "
        "BlueGreen, 0 with the others.",
    )
    traffic: Traffic = Field(default_factory=Traffic, description="How a version gets its share of the requests.")
    progress_deadline_seconds: int = Field(
        default=600,
        ge=10,
        le=86_400,
        description="Longest time that new pods may take to become ready, and gateways to take a weight.",
    )
