"""The pods of one revision: init `fetch` brings the artifact, `server` serves it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from modelmill.api.runtime import ServerTimeouts
from modelmill.contracts import names
from modelmill.kube import labels
from modelmill.serving.builders import shadow
from modelmill.serving.builders.inputs import Inputs
from modelmill.serving.builders.settings import DRAIN_SECONDS, grace_seconds, settings_of
from modelmill.workloads.containers import Container, Image
from modelmill.workloads.pods import Pod, build_pod
from modelmill.workloads.store_access import verbatim

FETCH: Final = "fetch"
SERVER: Final = "server"
GRPC: Final = "grpc"
"""Name of the port of gRPC."""
FOLDER: Final = "/modelmill/model"
START_SPARE_SECONDS: Final = 30
STEPS_OF_LOADING: Final = 3
"""Loading, golden rows and warm-up: the server itself ends each that takes too long, with words."""


def build_template(inputs: Inputs, image: Image) -> dict[str, Any]:
    """Return the pod template. It does not have its revision, which is its own hash; see `deployment.build_deployment`."""
    placement = inputs.runtime.pod_template
    pod = Pod(
        init=[_fetch(inputs, image)],
        containers=[
            _server(inputs, image) if inputs.runtime.image is None else _own_server(inputs, inputs.runtime.image)
        ],
        template=placement,
        service_account=placement.service_account_name or inputs.store.service_account_name,
        grace_seconds=grace_seconds(inputs.runtime),
        config_maps={shadow.VOLUME: [shadow.config_map_name(inputs.service)]} if inputs.mirrors else {},
        spread_over={labels.SERVICE_LABEL: inputs.service},
        spread=placement.topology_spread_constraints,
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
    seconds, usual = inputs.runtime.timeouts.fetch_seconds, ServerTimeouts().fetch_seconds
    return Container(
        name=FETCH,
        image=image,
        requests={"cpu": "50m", "memory": "128Mi"},
        args=["fetch"],
        env={
            names.ENV_ARTIFACT_URI: verbatim(inputs.artifact_uri),
            names.ENV_ARTIFACT_DIGEST: inputs.artifact_digest,
            names.ENV_MODEL_FOLDER: FOLDER,
            **({names.ENV_FETCH_SECONDS: str(seconds)} if seconds != usual else {}),
        },
        store=inputs.store,
        folders={"model": FOLDER},
    )


def _own_server(inputs: Inputs, image: str) -> Container:
    """Return the server with an image of the user, which is told the folder by a variable: its arguments are its own."""
    built = _server(inputs, Image(image))
    return replace(built, args=(), env={**built.env, names.ENV_MODEL_FOLDER: FOLDER}, read_only_root=False)


def _server(inputs: Inputs, image: Image) -> Container:
    runtime = inputs.runtime
    failures = STEPS_OF_LOADING * runtime.timeouts.load_seconds + START_SPARE_SECONDS
    return Container(
        name=SERVER,
        image=image,
        requests={"cpu": "100m", "memory": "256Mi"},
        resources=runtime.resources,
        args=["serve", FOLDER, "--port", str(names.HTTP_PORT)],
        env=settings_of(inputs),
        secrets={names.ENV_FEEDBACK_KEY: inputs.feedback.key_secret_ref} if inputs.feedback is not None else {},
        store=inputs.payload_log.store() if inputs.payload_log is not None else None,
        folders={"model": FOLDER, **({shadow.VOLUME: shadow.FOLDER} if inputs.mirrors else {})},
        read_only_folders=frozenset({shadow.VOLUME}) if inputs.mirrors else frozenset(),
        server_fields={
            "ports": _ports(runtime.grpc.enabled),
            "startupProbe": _probe("/v2/health/ready", period=1, failures=failures),
            "readinessProbe": _probe("/v2/health/ready", period=2, failures=2),
            "livenessProbe": _probe("/v2/health/live", period=10, failures=6),
            "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        },
    )


def _ports(grpc: bool) -> list[dict[str, Any]]:
    named = {"http": names.HTTP_PORT, **({GRPC: names.GRPC_PORT} if grpc else {})}
    return [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in named.items()]


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
