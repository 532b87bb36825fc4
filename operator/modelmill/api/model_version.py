"""ModelVersion: one immutable result of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelmill.api.base import Alias, DeletionPolicy, Digest, ModelName, Part, Store, Text, Timestamp, Uri, Word, rules
from modelmill.api.recipe import Recipe

MAX_NAME = 63
NAME_TOO_LONG = f"may have at most {MAX_NAME} characters: it is the value of a label of the pods that serve it"


class ArtifactRef(Part):
    """The bytes of the version, content-addressed."""

    uri: Uri = Field(description="Folder of the artifact in the store.")
    digest: Digest = Field(description="Digest of its manifest.json, which holds the digest of every file.")


class Lineage(Part):
    """Where the version comes from."""

    training_job: Word = Field(description="TrainingJob that made it.")
    run: int = Field(ge=1, description="Number of the run.")
    run_uid: Word = Field(description="Identity of the run: uid of its TrainingJob and number.")
    reason: Word = Field(description="What started the run: Spec, Manual, Alert, Data or Schedule.")
    data_digest: Digest = Field(description="Digest of the data that it was trained on.")
    data_rows: int = Field(ge=0, description="Rows that it was trained on.")
    holdout_rows: int = Field(ge=0, description="Rows that it was measured on.")
    data_window: Text | None = Field(
        default=None, description="Which part of the data these rows are, by data.window. Left out: all of it."
    )
    prepared_digest: Digest | None = Field(
        default=None, description="Digest of the rows that spec.prepare made of the data. Left out: the data were rows."
    )
    script_digest: Digest | None = Field(
        default=None, description="Digest of the script of spec.train.script that it was trained with. Left out: none."
    )
    data_snapshot: Literal["Copy", "Digest"] | None = Field(
        default=None,
        description="Copy: the store has these data, and they can be brought back. Digest, or left out: only their digest is "
        "known.",
    )


class Comparison(Part):
    """The champion of the time, measured on the same hold-out."""

    version: Word = Field(description="Name of the champion.")
    metrics: dict[str, Word] = Field(
        default_factory=dict, description="Its metrics.", json_schema_extra={"maxProperties": 64}
    )
    challenger: dict[str, Word] = Field(
        default_factory=dict,
        description="Metrics of this version on the rows that the champion was measured on. Left out: those are the whole "
        "hold-out.",
        json_schema_extra={"maxProperties": 64},
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
                " && has(self.recipe) == has(oldSelf.recipe) && (!has(self.recipe) || self.recipe == oldSelf.recipe)"
                " && has(self.champion) == has(oldSelf.champion)"
                " && (!has(self.champion) || self.champion == oldSelf.champion)"
                " && has(self.gates) == has(oldSelf.gates) && (!has(self.gates) || self.gates == oldSelf.gates)"
                " && has(self.failedGates) == has(oldSelf.failedGates)"
                " && (!has(self.failedGates) || self.failedGates == oldSelf.failedGates)"
                " && self.bytes == oldSelf.bytes",
                "a ModelVersion is immutable but for approval, aliases and deletionPolicy: train or create another version",
            ),
            (
                "!has(self.aliases) || self.aliases.all(a, !a.startsWith(self.model + '-') || !a.matches('-[0-9]+$'))",
                "an alias must not look like a version of the model, MODEL-NUMBER: take a word, e.g. champion",
            ),
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
    failed_gates: list[Text] = Field(
        default_factory=list,
        max_length=16,
        description="Those that failed; the version was made as Rejected for them.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    champion: Comparison | None = Field(default=None, description="The champion of the time on the same hold-out.")
    lineage: Lineage | None = Field(default=None, description="Where the version comes from.")
    recipe: Recipe | None = Field(
        default=None,
        description="How it was made. Left out: it was made by hand, or by a release that did not record it.",
    )
    approval: Literal["Pending", "Approved", "Rejected"] = Field(
        default="Pending", description="Whether services that follow the model may serve it. May be edited."
    )
    aliases: list[Alias] = Field(
        default_factory=list,
        max_length=8,
        description="Names that this version is to have among those of its model, e.g. champion; services with "
        "spec.model.alias serve it by them. The newest claim has an alias: status.claims. May be edited.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    deletion_policy: DeletionPolicy = Field(
        default="Retain",
        description="What becomes of the artifact when this version is deleted. Retain: it stays in the store. Delete: a Job "
        "in the namespace removes it with the keys of store, unless another version has the same artifact. May be edited.",
    )
