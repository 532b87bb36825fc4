"""spec.payloadLog and spec.feedback of an InferenceService: what is kept of requests, and what their ids are signed with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modelmill.api.base import Decimal, ObjectName, Part, S3Uri, SecretRef, Store, StoreKeys, rules


class PayloadLog(StoreKeys):
    """Where a sample of the answered requests is written, with their answers, and with which credentials."""

    model_config = StoreKeys.model_config | {
        "json_schema_extra": rules(
            (
                "double(self.sampleRatio) > 0.0 && double(self.sampleRatio) <= 1.0",
                "sampleRatio must be above 0 and at most 1; leave payloadLog out to log nothing",
            )
        )
    }
    uri: S3Uri = Field(
        description="Where to: s3://BUCKET/PREFIX. Files are written below MODEL/VERSION/YYYY/MM/DD/HH/."
    )
    sample_ratio: Decimal = Field(
        default="1", description="Share of the answered requests that are logged, above 0 and at most 1."
    )
    secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the credentials, which the container that serves then has: let them write below uri and do "
        "nothing else. Left out: the identity of the pod's service account is used.",
    )

    def store(self) -> Store:
        """Return the store that is written to."""
        return Store(uri=self.uri, endpoint=self.endpoint, region=self.region, secret_ref=self.secret_ref)


class SecretKeyRef(Part):
    """A key of a Secret of the same namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        default="key", description="Key in the Secret."
    )


class Feedback(Part):
    """How labels that come later find their predictions."""

    key_secret_ref: SecretKeyRef = Field(
        description="What the ids of answers are signed with, 16 characters or more: with the same key one version scores the "
        "ids of another. Servers read it when they start."
    )
