"""spec.runtime of an InferenceService: how its server runs."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from modelmill.api.base import Part, rules
from modelmill.api.placement import ServerPlacement
from modelmill.api.pods import EnvVar, ImageName, Resources, variables

OWN_VARIABLES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL_S3")
"""What spec.payloadLog says."""
PERMITTED_VARIABLES: Final = (
    "AWS_CA_BUNDLE", "AWS_EC2_METADATA_DISABLED", "GRPC_TRACE", "GRPC_VERBOSITY", "HTTPS_PROXY", "HTTP_PROXY",
    "MALLOC_ARENA_MAX", "NO_PROXY", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TZ",
)  # fmt: skip
"""What may be said to the operator's server beside its settings.

Others name code: LD_PRELOAD, PYTHONPATH and OPENSSL_CONF would have a file of the model executed, AWS_CONFIG_FILE a program
that such a file names.
"""


def _one_of(names: tuple[str, ...]) -> str:
    return "e.name in [{}]".format(", ".join(f"'{name}'" for name in names))


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

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                f"!has(self.env) || has(self.image) || self.env.all(e, {_one_of(PERMITTED_VARIABLES)})",
                f"without an image of your own env takes {', '.join(PERMITTED_VARIABLES)}",
            )
        )
    }
    image: ImageName | None = Field(
        default=None,
        description="Server of your own, in place of the operator's: it serves the artifact in the folder of "
        "MODELMILL_MODEL_FOLDER on port 8080, with the paths of the probes /v2/health/ready and /v2/health/live, and finishes "
        "its requests on SIGTERM. What it does not do as the operator's server does is not known of it: golden rows, drift, "
        "figures of a rollout.",
    )
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
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=64,
        description="Environment of the server beside its settings, which the fields of this resource say.",
        json_schema_extra=variables(
            (
                f"!self.exists(e, {_one_of(OWN_VARIABLES)})",
                f"{', '.join(OWN_VARIABLES)} are said by payloadLog",
            )
        ),
    )
    trusted_types: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$", max_length=256)]] = Field(
        default_factory=list,
        max_length=64,
        description="Types that a skops file may hold beside the usual ones, by their full names. To trust a type is to say "
        "that building one from a file does no harm. An administrator must permit it for the namespace.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    allow_python: bool = Field(
        default=False,
        description="Whether versions of the format python may be executed, with all that the server's container may do. An "
        "administrator must permit it for the namespace.",
    )
    pod_template: ServerPlacement = Field(
        default_factory=ServerPlacement, description="Where the pods run, and as whom."
    )
