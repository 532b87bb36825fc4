"""Settings of the server, as variables of its environment."""

from __future__ import annotations

from typing import Final

from modelmill.api.runtime import Runtime
from modelmill.contracts import names
from modelmill.contracts.shutdown import ending_seconds
from modelmill.serving.builders.inputs import Inputs
from modelmill.serving.builders.peers import peers_name
from modelmill.serving.builders.shadow import mirror_environment
from modelmill.workloads.store_access import verbatim

DRAIN_SECONDS: Final = 5
"""The pod leaves the endpoints when it is told to stop; other nodes need a moment to hear of it."""
SPARE_SECONDS: Final = 5
BATCHING: Final = {"Auto": "auto", "Always": "on", "Never": "off"}


def settings_of(inputs: Inputs) -> dict[str, str]:
    """Return the variables of the server, those of spec.runtime.env first.

    Those of the first releases are always there. Of the others only what is not as usual is: a variable more would be another
    template.
    """
    runtime, usual = inputs.runtime, more_settings(Runtime())
    more = {name: value for name, value in more_settings(runtime).items() if value != usual[name]}
    limits = runtime.limits
    return {
        **{one.name: verbatim(one.value) for one in runtime.env},
        names.ENV_MODEL_NAME: inputs.model,
        names.ENV_MODEL_VERSION: inputs.version,
        names.ENV_ARTIFACT_DIGEST: inputs.artifact_digest,
        names.ENV_MAX_REQUEST_BYTES: str(limits.max_request_bytes),
        names.ENV_MAX_ROWS: str(limits.max_rows),
        names.ENV_MAX_CONCURRENT: str(limits.max_concurrent_requests),
        names.ENV_WARMUP_REQUESTS: str(runtime.warmup_requests),
        names.ENV_DRIFT_FEATURES: str(inputs.drift_features),
        **_payload_log(inputs),
        **({names.ENV_FEEDBACK_PEERS: peers_name(inputs.service)} if inputs.feedback is not None else {}),
        **(mirror_environment(inputs.service) if inputs.mirrors else {}),
        **more,
    }


def more_settings(runtime: Runtime) -> dict[str, str]:
    """Return the variables that a server of the defaults does not have, as its own defaults are the same."""
    timeouts = runtime.timeouts
    return {
        names.ENV_MAX_CONNECTIONS: str(runtime.limits.max_connections),
        names.ENV_LOAD_SECONDS: str(timeouts.load_seconds),
        names.ENV_ROW_SECONDS: str(timeouts.row_seconds),
        names.ENV_REQUEST_SECONDS: str(timeouts.request_seconds),
        names.ENV_BODY_SECONDS: str(timeouts.body_seconds),
        names.ENV_IDLE_SECONDS: str(timeouts.idle_seconds),
        names.ENV_DRAIN_SECONDS: str(timeouts.drain_seconds),
        names.ENV_GRPC_PORT: str(names.GRPC_PORT if runtime.grpc.enabled else 0),
        names.ENV_BATCHING: BATCHING[runtime.batching],
        names.ENV_SKOPS_TRUSTED: ",".join(runtime.trusted_types),
        names.ENV_ALLOW_PYTHON: "1" if runtime.allow_python else "0",
    }


def _payload_log(inputs: Inputs) -> dict[str, str]:
    log = inputs.payload_log
    if log is None:
        return {}
    return {names.ENV_PAYLOAD_LOG: verbatim(log.uri), names.ENV_PAYLOAD_SAMPLE_RATIO: log.sample_ratio}


def grace_seconds(runtime: Runtime) -> int:
    """Return the pod's time to end in: the pause before SIGTERM, what the server takes after it, and something to spare."""
    timeouts = runtime.timeouts
    return DRAIN_SECONDS + ending_seconds(timeouts.drain_seconds, timeouts.request_seconds) + SPARE_SECONDS
