"""Ports of the Service, and whether gRPC is one of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelmill.api.inference_service import InferenceServiceSpec
from modelmill.contracts import names
from modelmill.kube.objects import Manifest
from modelmill.serving.builders.pod_template import GRPC


def speaks_grpc(spec: InferenceServiceSpec, deployments: Iterable[Manifest]) -> bool:
    """Tell whether pods of the service speak gRPC, or will: while its last pods that do are there, clients reach them."""
    return spec.runtime.grpc.enabled or any(GRPC in _port_names(one) for one in deployments)


def service_ports(grpc: bool) -> list[dict[str, Any]]:
    """Return the ports of the Service.

    appProtocol: HTTP/2 without TLS (Kubernetes documentation, Service, Application protocol), by which gateways know it.
    """
    http = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": names.HTTP_PORT}
    if not grpc:
        return [http]
    port = names.GRPC_PORT
    h2c = {"name": GRPC, "port": port, "protocol": "TCP", "targetPort": port, "appProtocol": "kubernetes.io/h2c"}
    return [http, h2c]


def _port_names(deployment: Manifest) -> set[str]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return {port.get("name", "") for container in containers for port in container.get("ports") or ()}
