"""A real gateway in the cluster: Contour, the Gateway API's kinds from its module, and Envoy, in one pod."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from apiclient import apply, kubectl
from binaries import build, kept_file
from progress import step
from services import wait_ready
from settings import HERE

NAMESPACE = "modelmill-gateway"
CRDS = ("examples/gateway/00-crds.yaml", "examples/contour/01-crds.yaml")
MANIFEST = HERE / "services" / "gateway.yaml"


def gateway_up(kubeconfig: Path, image: str) -> None:
    """Apply kinds and manifests, and wait until the gateway answers."""
    build("contour")
    with step("starting the gateway"):
        for crds in CRDS:
            apply(kubeconfig, kept_file("contour", crds).read_text())
        kubectl(kubeconfig, "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        text = MANIFEST.read_text()
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        apply(kubeconfig, text.replace("@GATEWAY_IMAGE@", image).replace("@DIGEST@", digest))
        wait_ready(kubeconfig, NAMESPACE, "gateway")


def gateway_down(kubeconfig: Path) -> None:
    """Remove the gateway and the kinds of the Gateway API, with every object of them."""
    with step("removing the gateway"):
        kubectl(kubeconfig, "delete", "namespace", NAMESPACE, "--ignore-not-found")
        for kind in ("clusterrolebinding", "clusterrole"):
            kubectl(kubeconfig, "delete", kind, NAMESPACE, "--ignore-not-found")
        for crds in CRDS:
            text = kept_file("contour", crds).read_text()
            kubectl(kubeconfig, "delete", "--ignore-not-found", "--filename", "-", stdin=text)


def gateway_endpoint(kubeconfig: Path) -> dict[str, object]:
    """The gateway's URL, its name and namespace; empty where there is none."""
    got = kubectl(
        kubeconfig, "get", "service", "gateway", "--namespace", NAMESPACE, "--ignore-not-found", "--output", "json"
    )
    if not got:
        return {}
    address = json.loads(got)["spec"]["clusterIP"]
    return {"gateway": {"url": f"http://{address}", "name": "gateway", "namespace": NAMESPACE}}
