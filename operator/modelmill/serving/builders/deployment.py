"""The Deployment of one revision: init `fetch` brings the artifact, `server` serves it."""

from __future__ import annotations

from typing import Any

from modelmill.api.base import Store
from modelmill.contracts import names
from modelmill.kube import labels
from modelmill.kube.objects import Manifest
from modelmill.serving.view import View
from modelmill.workloads.security import container_security, pod_security
from modelmill.workloads.store_access import store_environment

FETCH = "fetch"
FOLDER = "/modelmill/model"
DRAIN_SECONDS = 5
GRACE_SECONDS = 40


def deployment_name(view: View, revision: str) -> str:
    """Return the name of the Deployment of a revision."""
    return f"{view.name}-{revision}"


def scaled(deployment: Manifest, replicas: int) -> dict[str, Any]:
    """Return the Deployment as it is in the cluster with other replicas: pods of an older spec are not touched."""
    meta = deployment["metadata"]
    kept = {name: meta[name] for name in ("name", "namespace", "labels")}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": kept,
        "spec": {**deployment["spec"], "replicas": replicas},
    }


def build_deployment(view: View, version: Manifest, revision: str, replicas: int) -> dict[str, Any]:
    """Return the Deployment that serves `version` with the spec of now."""
    pod_labels = {
        labels.SERVICE_LABEL: view.name,
        labels.REVISION_LABEL: revision,
        labels.VERSION_LABEL: version["metadata"]["name"],
        labels.MODEL_LABEL: view.spec.model.name,
        labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
        "app.kubernetes.io/name": "modelmill-server",
        "app.kubernetes.io/instance": view.name,
    }
    selector = {labels.SERVICE_LABEL: view.name, labels.REVISION_LABEL: revision}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment_name(view, revision), "namespace": view.namespace, "labels": pod_labels},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": view.spec.rollout.progress_deadline_seconds,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": pod_labels, "annotations": _scrape_annotations()},
                "spec": _pod(view, version, selector),
            },
        },
    }


def _scrape_annotations() -> dict[str, str]:
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(names.HTTP_PORT),
        "prometheus.io/path": "/metrics",
    }


def _pod(view: View, version: Manifest, selector: dict[str, str]) -> dict[str, Any]:
    store = Store.model_validate(version["spec"]["store"])
    pod: dict[str, Any] = {
        "automountServiceAccountToken": store.service_account_name is not None,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "initContainers": [_fetch(view, version, store)],
        "containers": [_server(view, version)],
        "volumes": [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector},
            }
        ],
    }
    if store.service_account_name is not None:
        pod["serviceAccountName"] = store.service_account_name
    return pod


def _fetch(view: View, version: Manifest, store: Store) -> dict[str, Any]:
    artifact = version["spec"]["artifact"]
    env = [
        {"name": names.ENV_ARTIFACT_URI, "value": artifact["uri"]},
        {"name": names.ENV_ARTIFACT_DIGEST, "value": artifact["digest"]},
        {"name": names.ENV_MODEL_FOLDER, "value": FOLDER},
        *store_environment(store),
    ]
    return _container(view, FETCH, ["fetch"], env, {"requests": {"cpu": "50m", "memory": "128Mi"}})


def _server(view: View, version: Manifest) -> dict[str, Any]:
    limits = view.spec.runtime.limits
    drift = view.spec.monitoring.drift.features if view.spec.monitoring is not None else 0
    values = {
        names.ENV_MODEL_NAME: view.spec.model.name,
        names.ENV_MODEL_VERSION: version["metadata"]["name"],
        names.ENV_ARTIFACT_DIGEST: version["spec"]["artifact"]["digest"],
        names.ENV_MAX_REQUEST_BYTES: str(limits.max_request_bytes),
        names.ENV_MAX_ROWS: str(limits.max_rows),
        names.ENV_MAX_CONCURRENT: str(limits.max_concurrent_requests),
        names.ENV_WARMUP_REQUESTS: str(view.spec.runtime.warmup_requests),
        names.ENV_DRIFT_FEATURES: str(drift),
    }
    env = [{"name": name, "value": value} for name, value in values.items()]
    resources = view.spec.runtime.resources.model_dump(exclude_defaults=True)
    server = _container(
        view,
        "server",
        ["serve", FOLDER, "--port", str(names.HTTP_PORT)],
        env,
        resources or {"requests": {"cpu": "100m", "memory": "256Mi"}},
    )
    return {
        **server,
        "ports": [{"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"}],
        "startupProbe": _probe("/v2/health/ready", period=1, failures=120),
        "readinessProbe": _probe("/v2/health/ready", period=2, failures=2),
        "livenessProbe": _probe("/v2/health/live", period=10, failures=6),
        # The pod leaves the endpoints when it is told to stop; other nodes need a moment to hear of it.
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _container(
    view: View, name: str, args: list[str], env: list[dict[str, Any]], resources: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "image": view.server_image,
        "imagePullPolicy": view.pull_policy,
        "args": args,
        "env": env,
        "resources": resources,
        "volumeMounts": [
            {"name": "model", "mountPath": FOLDER},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in the pod
        ],
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
