"""spec.runtime of an InferenceService: how its server runs."""

from __future__ import annotations

from pydantic import Field

from modelmill.api.base import Part
from modelmill.api.pods import Resources


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
