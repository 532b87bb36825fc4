"""The pods of one revision: init `fetch` brings the artifact, `server` serves it."""

from __future__ import annotations

from typing import Any, Final

from modelmill.contracts import names
from modelmill.kube import labels
from modelmill.serving.builders.inputs import Inputs
from modelmill.workloads.containers import Container, Image
from modelmill.workloads.pods import Pod, build_pod
from modelmill.workloads.store_access import verbatim

FETCH: Final = "fetch"
SERVER: Final = "server"
FOLDER: Final = "/modelmill/model"
DRAIN_SECONDS = 5
GRACE_SECONDS = 40


def build_template(inputs: Inputs, image: Image) -> dict[str, Any]:
    """Return the pod template. It does not have its revision, which is its own hash; see `deployment.build_deployment`."""
    pod = Pod(
        init=[_fetch(inputs, image)],
        containers=[_server(inputs, image)],
        service_account=inputs.store.service_account_name,
        grace_seconds=GRACE_SECONDS,
        spread_over={labels.SERVICE_LABEL: inputs.service},
    )
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(names.HTTP_PORT),
        "prometheus.io/path": "/metrics",
    }
    pod_labels = {
        labels.SERVICE_LABEL: inputs.service,
        labels.VERSION_LABEL: inputs.version,
        labels.MODEL_LABEL: inputs.model,
        labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
        "app.kubernetes.io/name": "modelmill-server",
        "app.kubernetes.io/instance": inputs.service,
    }
    return {"metadata": {"labels": pod_labels, "annotations": annotations}, "spec": build_pod(pod)}


def _fetch(inputs: Inputs, image: Image) -> Container:
    return Container(
        name=FETCH,
        image=image,
        requests={"cpu": "50m", "memory": "128Mi"},
        args=["fetch"],
        env={
            names.ENV_ARTIFACT_URI: verbatim(inputs.artifact_uri),
            names.ENV_ARTIFACT_DIGEST: inputs.artifact_digest,
            names.ENV_MODEL_FOLDER: FOLDER,
        },
        store=inputs.store,
        folders={"model": FOLDER},
    )


def _server(inputs: Inputs, image: Image) -> Container:
    limits = inputs.runtime.limits
    return Container(
        name=SERVER,
        image=image,
        requests={"cpu": "100m", "memory": "256Mi"},
        resources=inputs.runtime.resources,
        args=["serve", FOLDER, "--port", str(names.HTTP_PORT)],
        env={
            names.ENV_MODEL_NAME: inputs.model,
            names.ENV_MODEL_VERSION: inputs.version,
            names.ENV_ARTIFACT_DIGEST: inputs.artifact_digest,
            names.ENV_MAX_REQUEST_BYTES: str(limits.max_request_bytes),
            names.ENV_MAX_ROWS: str(limits.max_rows),
            names.ENV_MAX_CONCURRENT: str(limits.max_concurrent_requests),
            names.ENV_WARMUP_REQUESTS: str(inputs.runtime.warmup_requests),
            names.ENV_DRIFT_FEATURES: str(inputs.drift_features),
        },
        folders={"model": FOLDER},
        server_fields={
            "ports": [{"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"}],
            # The server itself ends what takes longer, with words: 100 s each for loading, golden rows and warm-up.
            "startupProbe": _probe("/v2/health/ready", period=1, failures=330),
            "readinessProbe": _probe("/v2/health/ready", period=2, failures=2),
            "livenessProbe": _probe("/v2/health/live", period=10, failures=6),
            # The pod leaves the endpoints when it is told to stop; other nodes need a moment to hear of it.
            "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        },
    )


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
