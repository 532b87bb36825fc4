"""ModelVersion: one immutable result of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from modelmill.api.base import Condition, Digest, ModelName, Part, Store, Text, Timestamp, Uri, Word, rules


class ArtifactRef(Part):
    """The bytes of the version, content-addressed."""

    uri: Uri = Field(description="Folder of the artifact in the store.")
    digest: Digest = Field(description="Digest of its manifest.json, which holds the digest of every file.")


class Lineage(Part):
    """Where the version comes from."""

    training_job: Word = Field(description="TrainingJob that made it.")
    run: int = Field(ge=1, description="Number of the run.")
    run_uid: Word = Field(description="Identity of the run: uid of its TrainingJob and number.")
    reason: Word = Field(description="What started the run: Spec, Manual or Alert.")
    data_digest: Digest = Field(description="Digest of the data that it was trained on.")
    data_rows: int = Field(ge=0, description="Rows that it was trained on.")
    holdout_rows: int = Field(ge=0, description="Rows that it was measured on.")


class Comparison(Part):
    """The champion of the time, measured on the same hold-out."""

    version: Word = Field(description="Name of the champion.")
    metrics: dict[str, Word] = Field(
        default_factory=dict, description="Its metrics.", json_schema_extra={"maxProperties": 64}
    )


class Primary(Part):
    """The metric that versions of this model are compared by."""

    metric: Word = Field(description="Name of the metric.")
    direction: Literal["Maximize", "Minimize"] = Field(description="Which way is better.")


class ModelVersionSpec(Part):
    """Immutable facts of one version, and whether it may serve."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "self.model == oldSelf.model && self.artifact == oldSelf.artifact && self.store == oldSelf.store"
                " && self.format == oldSelf.format && self.trained == oldSelf.trained"
                " && self.metrics == oldSelf.metrics && self.primary == oldSelf.primary"
                " && has(self.lineage) == has(oldSelf.lineage)"
                " && (!has(self.lineage) || self.lineage == oldSelf.lineage)"
                " && has(self.champion) == has(oldSelf.champion)"
                " && (!has(self.champion) || self.champion == oldSelf.champion)"
                " && self.bytes == oldSelf.bytes",
                "a ModelVersion is immutable but for approval: train or create another version",
            )
        )
    }
    model: ModelName = Field(description="Model that this is a version of.")
    artifact: ArtifactRef = Field(description="The bytes of the version.")
    store: Store = Field(description="How to reach the artifact.")
    format: Literal["onnx", "skops", "xgboost", "lightgbm", "python"] = Field(description="Format that is served.")
    bytes: int = Field(ge=0, description="Size of all files of the artifact.")
    trained: Timestamp = Field(description="When its run ended.")
    primary: Primary = Field(description="The metric that versions are compared by.")
    metrics: dict[str, Word] = Field(
        description="Measured on the hold-out of its run.", json_schema_extra={"maxProperties": 64}
    )
    gates: list[Text] = Field(
        default_factory=list,
        max_length=16,
        description="What the gates said.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    champion: Comparison | None = Field(default=None, description="The champion of the time on the same hold-out.")
    lineage: Lineage | None = Field(default=None, description="Where the version comes from.")
    approval: Literal["Pending", "Approved", "Rejected"] = Field(
        default="Pending", description="Whether services that follow the model may serve it. The one field to edit."
    )


class ModelVersionStatus(Part):
    """What is true now."""

    observed_generation: int | None = Field(default=None, ge=0, description="Generation that this status is about.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=8,
        description="Ready, Approved, Deletable.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    stage: Literal["Pending", "Approved", "Rejected", "Serving"] = Field(default="Pending", description="For scripts.")
    served_by: list[Annotated[str, Field(max_length=128)]] = Field(
        default_factory=list,
        max_length=64,
        description="InferenceServices of the namespace that serve it now, with their share of traffic.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    metric: Word | None = Field(default=None, description="Primary metric, for the METRIC column.")
    delta: Word | None = Field(default=None, description="Difference to the champion, for the DELTA column.")
    serving: Word | None = Field(default=None, description="Greatest share of traffic, for the SERVING column.")
    source: Word | None = Field(default=None, description="Run that made it, for the SOURCE column.")


def columns() -> list[dict[str, Any]]:
    """Return the printer columns of `kubectl get`; priority 1 = only with -o wide."""
    ready = ".status.conditions[?(@.type=='Ready')]"
    return [
        {"name": "Ready", "type": "string", "jsonPath": f"{ready}.status"},
        {"name": "Stage", "type": "string", "jsonPath": ".status.stage"},
        {"name": "Format", "type": "string", "jsonPath": ".spec.format"},
        {"name": "Metric", "type": "string", "jsonPath": ".status.metric"},
        {"name": "Delta", "type": "string", "jsonPath": ".status.delta"},
        {"name": "Serving", "type": "string", "jsonPath": ".status.serving"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Model", "type": "string", "jsonPath": ".spec.model", "priority": 1},
        {"name": "Digest", "type": "string", "jsonPath": ".spec.artifact.digest", "priority": 1},
        {"name": "Size", "type": "integer", "jsonPath": ".spec.bytes", "priority": 1},
        {"name": "Source", "type": "string", "jsonPath": ".status.source", "priority": 1},
        {"name": "Message", "type": "string", "jsonPath": f"{ready}.message", "priority": 1},
    ]
