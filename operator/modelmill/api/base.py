"""What every model of the API shares: camelCase names, tolerant reading, and the field types with their bounds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "modelmill.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Return `json_schema_extra` with CEL rules from (rule, message) pairs.

    Source: Kubernetes documentation, Extend the Kubernetes API, CustomResourceDefinitions, validation rules.
    """
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


class Part(BaseModel):
    """A part of a custom resource. Unknown fields are ignored: the API server has pruned them or a newer version knows them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


Decimal = Annotated[
    str,
    Field(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,15})?([eE][-+]?[0-9]{1,2})?$", max_length=40),
]
"""A number as text, since Kubernetes APIs carry no floats (API conventions, Primitive types)."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
ModelName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=44)]
Uri = Annotated[str, Field(pattern=r"^(s3|file)://[^\s?#]+$", min_length=6, max_length=1024)]
Word = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(max_length=1024)]
Message = Annotated[str, Field(max_length=4096)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, max_length=40)]


class SecretRef(Part):
    """A Secret of the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Name of the Secret. Its keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )


class Store(Part):
    """An S3-compatible store, or a mounted folder, with the credentials to use it."""

    uri: Uri = Field(description="Where artifacts are kept: s3://BUCKET/PREFIX.")
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=512)] | None = Field(
        default=None, description="URL of the S3-compatible service. Left out: Amazon S3."
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=64)] | None = Field(
        default=None, description="Region of the bucket. Left out: us-east-1."
    )
    secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the credentials. Left out: the identity of the pod's service account is used.",
    )
    service_account_name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Service account of the pods that use the store. Left out: default."
    )


class Condition(Part):
    """One condition, in the form of metav1.Condition."""

    type: Annotated[str, Field(max_length=64)] = Field(description="Name of the condition in CamelCase.")
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})] = Field(
        description="True, False or Unknown."
    )
    reason: Annotated[str, Field(max_length=64)] = Field(description="Why, as one CamelCase word.")
    message: Annotated[str, Field(max_length=4096)] = Field(description="What happened and what to do, for people.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: int | None = Field(
        default=None, ge=0, description="Generation of the spec that this is about."
    )


class Alert(Part):
    """One firing alert that named this object, as Alertmanager delivered it."""

    id: Annotated[str, Field(max_length=64)] = Field(description="Identity of the episode: fingerprint and start.")
    name: Annotated[str, Field(max_length=128)] = Field(description="Name of the alert.")
    kind: Annotated[str, Field(json_schema_extra={"enum": ["Drift", "Quality", "Staleness"]})] = Field(
        description="What the alert is about: Drift, Quality or Staleness."
    )
    starts_at: Timestamp = Field(description="When the episode began.")
    feature: Annotated[str, Field(max_length=128)] | None = Field(default=None, description="Feature that drifted.")
    version: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="ModelVersion that the alert is about."
    )
    value: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="Measured value, as text.")
    message: Text | None = Field(default=None, description="Summary of the alert.")
