"""spec.runtime of an InferenceService: how its server runs."""

from __future__ import annotations

from typing import Literal

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
    max_connections: int = Field(
        default=8192,
        ge=16,
        le=1_000_000,
        description="Most HTTP connections at once, as far as the process may open files.",
    )


class ServerTimeouts(Part):
    """Longest times of one server pod, in seconds. Its time to end in follows from drainSeconds and requestSeconds."""

    request_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="A call of the model, its wait for a thread included; after it comes a 504.",
    )
    body_seconds: int = Field(
        default=30, ge=1, le=3600, description="Arrival of a request's body; after it comes a 408."
    )
    idle_seconds: int = Field(
        default=65,
        ge=1,
        le=3600,
        description="Arrival of the head of a connection's next request, idle time included. Longer than clients and proxies "
        "keep idle connections.",
    )
    drain_seconds: int = Field(
        default=15, ge=0, le=600, description="Time after SIGTERM in which requests are still taken, at most."
    )
    fetch_seconds: int = Field(
        default=300, ge=10, le=86_400, description="Fetch of the artifact, and a second more for each 256 KiB of it."
    )
    load_seconds: int = Field(
        default=100, ge=1, le=3600, description="Loading the model, replaying all golden rows, and warming up, each."
    )
    row_seconds: int = Field(default=5, ge=1, le=600, description="Each golden row.")


class Grpc(Part):
    """Open Inference Protocol V2 over gRPC, beside HTTP."""

    enabled: bool = Field(
        default=False,
        description="Whether the server speaks it. The Service then has the port 8081, of the name grpc. It is not encrypted.",
    )


class Runtime(Part):
    """How the server runs."""

    resources: Resources = Field(default_factory=Resources, description="Resources of the server container.")
    limits: ServerLimits = Field(default_factory=ServerLimits, description="Limits of one server pod.")
    timeouts: ServerTimeouts = Field(default_factory=ServerTimeouts, description="Longest times of one server pod.")
    warmup_requests: int = Field(
        default=20, ge=0, le=1000, description="Predictions made before a pod is ready, beside the golden rows."
    )
    grpc: Grpc = Field(default_factory=Grpc, description="gRPC, beside HTTP.")
    batching: Literal["Auto", "Always", "Never"] = Field(
        default="Auto",
        description="Whether requests that wait are answered by one call of the model. Auto: where the warm-up measures a "
        "gain.",
    )
