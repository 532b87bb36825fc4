"""What every model of the API shares: camelCase names, tolerant reading, and the field types with their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modelmill.kube.labels import GROUP

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


class StatusPart:
    """Base of the parts of a status: frozen dataclasses, so that mypy checks the `dataclasses.replace` that makes the next."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore"
    )


Decimal = Annotated[
    str,
    Field(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,15})?([eE][-+]?[0-9]{1,2})?$", max_length=40),
]
"""A number as text, since Kubernetes APIs carry no floats (API conventions, Primitive types)."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
Alias = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=44)]
ModelName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=44)]
DeletionPolicy = Literal["Retain", "Delete"]
Uri = Annotated[str, Field(pattern=r"^(s3|file)://[^\s?#]+$", min_length=6, max_length=1024)]
S3Uri = Annotated[str, Field(pattern=r"^s3://[^\s?#]+$", min_length=6, max_length=1024)]
"""Where a pod of ours reads or writes what must be there when it is gone: it has no folder of its own that stays."""
Word = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(max_length=1024)]
Message = Annotated[str, Field(max_length=4096)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, max_length=40)]


ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)]
"""Name of an object of the same namespace (RFC 1123 subdomain)."""


Revision = Annotated[str, Field(pattern=r"^[a-z0-9]+$", max_length=16)]
"""Hash of a pod template: a part of a Deployment's name, and the value of a label."""


JobName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=63)]


Endpoint = Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=512)]
"""URL of an S3-compatible service."""

Region = Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=64)]


class SecretRef(Part):
    """A Secret of the same namespace."""

    name: ObjectName = Field(
        description="Name of the Secret. Its keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )


class StoreKeys(Part):
    """How an S3-compatible store is reached, and with which credentials of a Secret."""

    endpoint: Endpoint | None = Field(
        default=None, description="URL of the S3-compatible service. Left out: Amazon S3."
    )
    region: Region | None = Field(default=None, description="Region of the bucket. Left out: us-east-1.")
    secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the credentials. Left out: the identity of the pod's service account is used.",
    )


class StoreAccess(StoreKeys):
    """How an S3-compatible store is reached, and with which credentials."""

    # Objects from before the pattern may have an empty name, which Kubernetes takes for default.
    service_account_name: Annotated[ObjectName | None, BeforeValidator(lambda name: name or None)] = Field(
        default=None, description="Service account of the pods that use the store. Left out: default."
    )


class Store(StoreAccess):
    """An S3-compatible store, or a mounted folder, with the credentials to use it."""

    uri: Uri = Field(description="Where artifacts are kept: s3://BUCKET/PREFIX.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(StatusPart):
    """One condition, in the form of metav1.Condition."""

    type: Annotated[Annotated[str, Field(max_length=64)], Field(description="Name of the condition in CamelCase.")]
    status: Annotated[
        Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})],
        Field(description="True, False or Unknown."),
    ]
    reason: Annotated[Annotated[str, Field(max_length=64)], Field(description="Why, as one CamelCase word.")]
    message: Annotated[
        Annotated[str, Field(max_length=4096)], Field(description="What happened and what to do, for people.")
    ]
    last_transition_time: Annotated[Timestamp, Field(description="When the status last changed.")]
    observed_generation: Annotated[
        int | None, Field(ge=0, description="Generation of the spec that this is about.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(StatusPart):
    """One firing alert that named this object, as Alertmanager delivered it or the operator found it."""

    id: Annotated[
        Annotated[str, Field(max_length=64)], Field(description="Identity of the episode: fingerprint and start.")
    ]
    name: Annotated[Annotated[str, Field(max_length=128)], Field(description="Name of the alert.")]
    kind: Annotated[
        Annotated[
            str, Field(json_schema_extra={"enum": ["Drift", "Skew", "Quality", "Staleness", "DataQuality", "Errors"]})
        ],
        Field(description="What the alert is about."),
    ]
    starts_at: Annotated[Timestamp, Field(description="When the episode began.")]
    feature: Annotated[Annotated[str, Field(max_length=128)] | None, Field(description="Feature that drifted.")] = None
    version: Annotated[
        Annotated[str, Field(max_length=63)] | None, Field(description="ModelVersion that the alert is about.")
    ] = None
    value: Annotated[Annotated[str, Field(max_length=32)] | None, Field(description="Measured value, as text.")] = None
    message: Annotated[Text | None, Field(description="Summary of the alert.")] = None
    fingerprint: Annotated[
        Annotated[str, Field(max_length=64)] | None,
        Field(description="Of its labels: the same while it fires, whatever start is told of it."),
    ] = None
