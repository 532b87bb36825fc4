"""CPU and memory of pods for autoscalers: metrics-server beside the node, aggregated into the API."""

from __future__ import annotations

from base64 import b64encode

from apiclient import apply, kubectl
from binaries import binary, build
from certificates import Authority, component_kubeconfig
from node import TEMPLATES, fill
from processes import Processes
from progress import Failed, step
from settings import API_PORT, NODE_ADDRESS, Layout

PROGRAM = "metrics-server"
USER = f"system:{PROGRAM}"
PORT = 4443
HOST = f"{PROGRAM}.kube-system.svc"
API = "apiservice/v1beta1.metrics.k8s.io"


def metrics_up(layout: Layout) -> None:
    """Start metrics-server and wait until the API has it. Raises Failed where there is no such cluster."""
    if not layout.kubeconfig.exists():
        raise Failed(f"there is no cluster {layout.name}: bring it up first")
    build(PROGRAM)
    authority, processes = Authority(layout.pki, "ca"), _processes(layout)
    server = f"https://{NODE_ADDRESS}:{API_PORT}"
    kubeconfig = component_kubeconfig(layout, authority, server, USER)
    certificate, key = authority.issue(f"{PROGRAM}-tls", PROGRAM, hosts=[f"DNS:{HOST}"])
    values = {"ADDRESS": NODE_ADDRESS, "CA": b64encode(authority.certificate.read_bytes()).decode()}
    with step(f"starting {PROGRAM}", processes.log(PROGRAM)):
        apply(layout.kubeconfig, fill(TEMPLATES / "metrics.yaml", values, layout.config / "metrics.yaml").read_text())
        argv = [
            binary(PROGRAM),
            *(
                f"--{flag}={kubeconfig}"
                for flag in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
            ),
            f"--bind-address={NODE_ADDRESS}",
            f"--secure-port={PORT}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--kubelet-certificate-authority={authority.certificate}",
            "--kubelet-preferred-address-types=InternalIP",
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ]
        processes.ensure(PROGRAM, argv, files=[kubeconfig])
        kubectl(layout.kubeconfig, "wait", "--for=condition=Available", "--timeout=60s", API)


def metrics_down(layout: Layout) -> None:
    """End metrics-server and take it out of the API."""
    with step(f"removing {PROGRAM}"):
        _processes(layout).stop(PROGRAM)
        kubectl(layout.kubeconfig, "delete", API, "--ignore-not-found")


def _processes(layout: Layout) -> Processes:
    return Processes(layout.root / "processes.json", layout.logs)
