"""ModelVersion: one immutable result of training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from modelmill.api.base import Alias, DeletionPolicy, Digest, ModelName, Part, Store, Text, Timestamp, Uri, Word, rules
from modelmill.api.imports import Source
from modelmill.api.recipe import Recipe

MAX_NAME = 63
NAME_TOO_LONG = f"may have at most {MAX_NAME} characters: it is the value of a label of the pods that serve it"


FACTS = (
    "artifact", "source", "format", "bytes", "trained", "primary", "metrics", "lineage", "recipe", "champion", "gates",
    "failedGates",
)  # fmt: skip
"""Fields that a version has from the beginning or never."""


def _frozen(*fields: str) -> str:
    """Return the CEL rule that these fields neither change nor come nor go."""
    return " && ".join(
        f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
        for name in fields
    )


class ArtifactRef(Part):
    """The bytes of the version, content-addressed."""

    uri: Uri = Field(description="Folder of the artifact in the store.")
    digest: Digest = Field(description="Digest of its manifest.json, which holds the digest of every file.")


class WarmStart(Part):
    """What a run with train.warmStart began from: one of the fields."""

    version: Word | None = Field(default=None, description="Version whose model was trained on.")
    reason: Text | None = Field(default=None, description="Why it was trained anew.")


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
    warm_start: WarmStart | None = Field(
        default=None, description="What the training began from, with train.warmStart. Left out: it began anew."
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
                "self.model == oldSelf.model && self.store == oldSelf.store && " + _frozen(*FACTS),
                "a ModelVersion is immutable but for approval, aliases and deletionPolicy: train or create another version",
            ),
            (
                "has(self.artifact) != has(self.source)",
                "give one of artifact, whose bytes are published already, and source, a model that is imported",
            ),
            (
                "!has(self.artifact) || (has(self.format) && has(self.bytes) && has(self.trained) && has(self.primary)"
                " && has(self.metrics))",
                "beside artifact the fields format, bytes, trained, primary and metrics are needed",
            ),
            (
                "!has(self.source) || !(has(self.format) || has(self.bytes) || has(self.trained) || has(self.lineage)"
                " || has(self.recipe))",
                "beside source leave out format, bytes, trained, lineage and recipe, which its import finds or no run made",
            ),
            (
                "!has(self.aliases) || self.aliases.all(a, !a.startsWith(self.model + '-') || !a.matches('-[0-9]+$'))",
                "an alias must not look like a version of the model, MODEL-NUMBER: take a word, e.g. champion",
            ),
        )
    }
    model: ModelName = Field(description="Model that this is a version of.")
    artifact: ArtifactRef | None = Field(default=None, description="The bytes of the version, published already.")
    source: Source | None = Field(
        default=None,
        description="A model of another program, instead of artifact: a Job in the namespace reads it, checks it and publishes "
        "it to store; status.imported says as what.",
    )
    store: Store = Field(description="How to reach the artifact; where a source is published.")
    format: Literal["onnx", "skops", "xgboost", "lightgbm", "python"] | None = Field(
        default=None, description="Format that is served. Needed beside artifact."
    )
    bytes: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Size of all files of the artifact. Needed beside it."
    )
    trained: Timestamp | None = Field(default=None, description="When its run ended. Needed beside artifact.")
    primary: Primary | None = Field(
        default=None, description="The metric that versions are compared by. Needed beside artifact."
    )
    metrics: dict[str, Word] = Field(
        default_factory=dict,
        description="Measured on the hold-out of its run; of a source, what is known of it. Needed beside artifact.",
        json_schema_extra={"maxProperties": 64},
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
