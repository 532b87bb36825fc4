"""Status of a ModelVersion: who serves it, and the texts of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from modelmill.api.base import Alias, Condition, Digest, StatusPart, Timestamp, Word
from modelmill.api.imports import Imported

Stage = Literal["Pending", "Approved", "Rejected", "Deploying", "Serving", "Deleting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasClaim(StatusPart):
    """An alias of the spec: since when it is claimed, and which version has it."""

    alias: Annotated[Alias, Field(description="The alias.")]
    since: Annotated[Timestamp, Field(description="When the claim was first seen. The newest claim has the alias.")]
    version: Annotated[Word, Field(description="ModelVersion that has the alias.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersionStatus(StatusPart):
    """What is true now."""

    observed_generation: Annotated[int | None, Field(ge=0, description="Generation that this status is about.")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            description="Ready, Verified, Approved, GateOverridden, AliasesHeld, Deletable, ArtifactRemoved.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    stage: Annotated[
        Stage,
        Field(
            description="For scripts: spec.approval; unless it is Rejected, Deploying while a service wants pods of it and "
            "none is ready, and Serving when one is; Deleting while something holds it."
        ),
    ] = "Pending"
    served_by: Annotated[
        tuple[Annotated[str, Field(max_length=128)], ...],
        Field(
            max_length=64,
            description="InferenceServices of the namespace that serve or deploy it, with their share of traffic.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    claims: Annotated[
        tuple[AliasClaim, ...],
        Field(
            max_length=8,
            description="The aliases of the spec, since when they are claimed, and which version has each.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["alias"]},
        ),
    ] = ()
    aliases: Annotated[
        Annotated[str, Field(max_length=400)] | None,
        Field(description="The aliases that this version has, for the ALIASES column."),
    ] = None
    metric: Annotated[Word | None, Field(description="Primary metric, for the METRIC column.")] = None
    delta: Annotated[Word | None, Field(description="Difference to the champion, for the DELTA column.")] = None
    serving: Annotated[Word | None, Field(description="Greatest share of traffic, for the SERVING column.")] = None
    gates: Annotated[
        Literal["Passed", "Failed", "Overridden"] | None,
        Field(description="What its gates said; Overridden when it was approved although some failed."),
    ] = None
    source: Annotated[
        Word | None, Field(description="Run that made it, or where it was imported from, for the SOURCE column.")
    ] = None
    imported: Annotated[
        Imported | None, Field(description="What the import of spec.source published; it is never imported again then.")
    ] = None
    format: Annotated[Word | None, Field(description="Format that is served, for the FORMAT column.")] = None
    digest: Annotated[Digest | None, Field(description="Digest of the artifact, for the DIGEST column.")] = None
    bytes: Annotated[int | None, Field(ge=0, description="Size of the artifact, for the SIZE column.")] = None
    report: Annotated[
        Annotated[str, Field(max_length=1100)] | None,
        Field(description="Where the report of its run is in the store, for the REPORT column."),
    ] = None


def columns() -> list[dict[str, Any]]:
    """Return the printer columns of `kubectl get`; priority 1 = only with -o wide."""
    ready = ".status.conditions[?(@.type=='Ready')]"
    return [
        {"name": "Ready", "type": "string", "jsonPath": f"{ready}.status"},
        {"name": "Stage", "type": "string", "jsonPath": ".status.stage"},
        {"name": "Gates", "type": "string", "jsonPath": ".status.gates"},
        {"name": "Format", "type": "string", "jsonPath": ".status.format"},
        {"name": "Metric", "type": "string", "jsonPath": ".status.metric"},
        {"name": "Delta", "type": "string", "jsonPath": ".status.delta"},
        {"name": "Serving", "type": "string", "jsonPath": ".status.serving"},
        {"name": "Aliases", "type": "string", "jsonPath": ".status.aliases"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Model", "type": "string", "jsonPath": ".spec.model", "priority": 1},
        {"name": "Digest", "type": "string", "jsonPath": ".status.digest", "priority": 1},
        {"name": "Size", "type": "integer", "jsonPath": ".status.bytes", "priority": 1},
        {"name": "Data", "type": "string", "jsonPath": ".spec.lineage.dataSnapshot", "priority": 1},
        {"name": "Source", "type": "string", "jsonPath": ".status.source", "priority": 1},
        {"name": "Report", "type": "string", "jsonPath": ".status.report", "priority": 1},
        {"name": "Message", "type": "string", "jsonPath": f"{ready}.message", "priority": 1},
    ]
