"""Installs the operator by its Helm chart, with the images that were built for this cluster."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Callable
from pathlib import Path

from hack.demo.kube import Kube

SYSTEM = "modelmill-system"
RELEASE = "modelmill"


def install(kube: Kube, say: Callable[[str], None]) -> None:
    """Install or upgrade the release and wait until the operator is available; programs of one machine do it in turn.

    helm refuses two at a time.
    """
    with (Path(tempfile.gettempdir()) / "modelmill-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(kube, say)


def _install(kube: Kube, say: Callable[[str], None]) -> None:
    images = kube.status["images"]
    token = kube.status["alert_token"]
    secret = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {SYSTEM}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: modelmill-alert-token, namespace: {SYSTEM}}}
stringData: {{token: "{token}"}}
"""
    kube.run("kubectl", "apply", "-f", "-", text=secret)
    kube.run(*helm_command(images, kube.status["prometheus"]))
    kube.run("kubectl", "rollout", "status", "deployment/modelmill-operator", "-n", SYSTEM, "--timeout=120s")
    say(f"helm upgrade --install {RELEASE} charts/modelmill: the operator is available")


def helm_command(images: dict[str, str], prometheus: str) -> list[str]:
    """Return the command that installs the chart with these images. prometheus: URL that analyses may query."""
    values = {
        "images.operator": images["operator"],
        "images.trainer": images["trainer"],
        "images.server": images["server"],
        "alerts.tokenSecretName": "modelmill-alert-token",
        "networkPolicy.enabled": "true",
        # Everything that an administrator may permit: the cluster is there to try it.
        "modelCode.namespaces": "{*}",
        "analysis.prometheus.url": prometheus,
    }
    settings = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    return ["helm", "upgrade", "--install", RELEASE, "charts/modelmill", "-n", SYSTEM, "--create-namespace", *settings]
