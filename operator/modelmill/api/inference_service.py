"""InferenceService: serves one version well, and changes version safely."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelmill.api.autoscaling import Autoscaling
from modelmill.api.base import Alias, ModelName, Name, Part, rules
from modelmill.api.batch import MOST, Batch
from modelmill.api.monitoring import Monitoring
from modelmill.api.payloads import Feedback, PayloadLog
from modelmill.api.rollout import Rollout
from modelmill.api.runtime import Runtime


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


class InferenceServiceSpec(Part):
    """A model served over HTTP."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "!has(self.autoscaling) || !has(oldSelf.autoscaling) || self.replicas == oldSelf.replicas"
                " || self.replicas == 0 || oldSelf.replicas == 0",
                "spec.autoscaling decides how many pods there are: change its minReplicas and maxReplicas, or set replicas "
                "to 0 to stop the service",
            )
        )
    }
    model: ModelRef = Field(description="Which version to serve.")
    replicas: int = Field(
        default=2,
        ge=0,
        le=1000,
        description="Server pods; with autoscaling those to begin with. 0: none; everything else is kept, and no rollout "
        "begins.",
    )
    autoscaling: Autoscaling | None = Field(
        default=None, description="The number of pods follows their load. Left out: there are as many as replicas says."
    )
    suspend: bool = Field(
        default=False, description="Keep everything but the pods, as with replicas 0, without losing their number."
    )
    runtime: Runtime = Field(default_factory=Runtime, description="How the server runs.")
    rollout: Rollout = Field(default_factory=Rollout, description="How a new version replaces the one that serves.")
    monitoring: Monitoring | None = Field(default=None, description="What is watched while the model serves.")
    payload_log: PayloadLog | None = Field(
        default=None, description="Where requests and answers are logged. Left out: nowhere."
    )
    feedback: Feedback | None = Field(
        default=None,
        description="Key of the ids of answers. Left out: each version has a key of its own, and scores its own ids only.",
    )
    batch: list[Batch] = Field(
        default_factory=list,
        max_length=MOST,
        description="Prefixes that are scored with the version that serves.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
