"""What a model's life needs around it and a real cluster has of its own: S3, Prometheus, Alertmanager."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import b64decode
from pathlib import Path
from typing import Any

from apiclient import apply, kubectl
from progress import Failed, step
from settings import HERE

NAMESPACE = "modelmill-test"
MANIFESTS = HERE / "services"
DEPLOYMENTS = ("s3", "prometheus", "alertmanager")
PORTS = {"s3": 7070, "prometheus": 9090, "alertmanager": 9093}
READY_SECONDS = 90


def services_up(kubeconfig: Path, images: dict[str, str]) -> None:
    """Apply the manifests and wait until the Deployments are ready. Keys that exist stay as they are."""
    with step("starting S3, Prometheus and Alertmanager"):
        apply(kubeconfig, (MANIFESTS / "namespace.yaml").read_text())
        _ensure_secrets(kubeconfig)
        for name in DEPLOYMENTS:
            apply(kubeconfig, _manifest(name, images))
        for name in DEPLOYMENTS:
            wait_ready(kubeconfig, NAMESPACE, name)


def services_down(kubeconfig: Path) -> None:
    """Remove the namespace and what is outside of it; the data of the S3 store goes too."""
    with step("removing S3, Prometheus and Alertmanager"):
        for kind in ("clusterrolebinding", "clusterrole"):
            kubectl(kubeconfig, "delete", kind, "modelmill-test-prometheus", "--ignore-not-found")
        kubectl(kubeconfig, "delete", "namespace", NAMESPACE, "--ignore-not-found")


def endpoints(kubeconfig: Path) -> dict[str, object]:
    """Addresses and keys of the services; empty where they are not."""
    got = json.loads(kubectl(kubeconfig, "get", "services,secrets", "--namespace", NAMESPACE, "--output", "json"))
    items = {(item["kind"], item["metadata"]["name"]): item for item in got["items"]}
    if not all(("Service", name) in items for name in DEPLOYMENTS):
        return {}

    def url(name: str) -> str:
        return f"http://{items['Service', name]['spec']['clusterIP']}:{PORTS[name]}"

    keys, token = _decoded(items["Secret", "s3-root"]), _decoded(items["Secret", "alert-token"])
    return {
        "s3": {
            "endpoint": url("s3"),
            "endpoint_in_cluster": f"http://s3.{NAMESPACE}.svc:{PORTS['s3']}",
            "access_key": keys["AWS_ACCESS_KEY_ID"],
            "secret_key": keys["AWS_SECRET_ACCESS_KEY"],
        },
        "prometheus": url("prometheus"),
        "alertmanager": url("alertmanager"),
        "alert_token": token["token"],
        "services_namespace": NAMESPACE,
    }


def _decoded(secret: dict[str, Any]) -> dict[str, str]:
    return {key: b64decode(value).decode() for key, value in secret["data"].items()}


def _ensure_secrets(kubeconfig: Path) -> None:
    existing = kubectl(kubeconfig, "get", "secrets", "--namespace", NAMESPACE, "--output", "name").split()
    wanted = {
        "s3-root": {"AWS_ACCESS_KEY_ID": "modelmill", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20)},
        "alert-token": {"token": secrets.token_hex(20)},
    }
    for name, data in wanted.items():
        if f"secret/{name}" not in existing:
            metadata = {"name": name, "namespace": NAMESPACE}
            apply(
                kubeconfig, json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
            )


def _manifest(name: str, images: dict[str, str]) -> str:
    text = (MANIFESTS / f"{name}.yaml").read_text()
    # A changed configuration changes the pod template, and so the pod is made anew.
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    values = {"S3_IMAGE": images["s3"], "MONITORING_IMAGE": images["monitoring"], "DIGEST": digest}
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def wait_ready(kubeconfig: Path, namespace: str, name: str) -> None:
    """Wait until a Deployment is ready. Raises Failed with what its pods say."""
    where = ("--namespace", namespace)
    try:
        kubectl(kubeconfig, "rollout", "status", f"deployment/{name}", *where, f"--timeout={READY_SECONDS}s")
    except Failed as error:
        pods = ("--selector", f"app.kubernetes.io/name={name}")
        described = kubectl(kubeconfig, "describe", "pods", *where, *pods)
        logs = kubectl(kubeconfig, "logs", *where, *pods, "--all-containers", "--tail=20", "--ignore-errors")
        raise Failed(f"{name} is not ready: {error}\n{described[-3000:]}\n{logs}") from error
