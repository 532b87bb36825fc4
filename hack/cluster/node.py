"""The one node: containerd, kubelet, kube-proxy, and CoreDNS beside them on the host."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from pathlib import Path

from apiclient import ApiClient, apply
from binaries import binary, path_with_binaries
from certificates import component_kubeconfig
from controlplane import ControlPlane
from debian import program
from network import ensure_node_address
from processes import Processes
from progress import Failed, tail
from settings import (
    API_SERVICE_ADDRESS,
    CNI_BIN,
    DNS_ADDRESS,
    HERE,
    NODE_ADDRESS,
    PAUSE_IMAGE,
    POD_BRIDGE,
    POD_NETWORK,
    Layout,
    write_changed,
)

TEMPLATES = HERE / "templates"


class Node:
    """The node of one cluster; `start` may be called again at any time."""

    def __init__(self, layout: Layout, processes: Processes, plane: ControlPlane) -> None:
        self.layout = layout
        self.processes = processes
        self.plane = plane

    def start_runtime(self) -> None:
        """Network address and containerd."""
        ensure_node_address()
        self._write_cni()
        home = self.layout.folder("containerd")
        values = {
            "HOME": str(home),
            "PAUSE_IMAGE": PAUSE_IMAGE,
            "CNI_BIN": CNI_BIN,
            "CNI_CONFIG": str(self.layout.folder("config", "cni")),
        }
        config = fill(TEMPLATES / "containerd.toml", values, self.layout.config / "containerd.toml")
        found = program("containerd")
        if found is None:
            raise Failed("containerd is missing")
        self.processes.ensure(
            "containerd", [found, "--config", str(config)], files=[config], env={"PATH": path_with_binaries()}
        )
        self.processes.wait(
            "containerd", lambda: ctr(self.layout, "version") is not None, seconds=60, what="answer from containerd"
        )

    def start_dns(self, client: ApiClient) -> None:
        """CoreDNS on the node's address, and the Service that leads to it."""
        kubeconfig = component_kubeconfig(self.layout, self.plane.authority, self.plane.where.url, "system:coredns")
        config = fill(
            TEMPLATES / "Corefile",
            {"KUBECONFIG": str(kubeconfig), "ADDRESS": NODE_ADDRESS},
            self.layout.config / "Corefile",
        )
        if client.get("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns") is None:
            manifest = fill(
                TEMPLATES / "dns.yaml",
                {"ADDRESS": NODE_ADDRESS, "DNS_ADDRESS": DNS_ADDRESS},
                self.layout.config / "dns.yaml",
            )
            apply(self.layout.kubeconfig, manifest.read_text())
        self.processes.ensure("coredns", [binary("coredns"), "-conf", str(config)], files=[config])
        self.processes.wait("coredns", dns_answers, seconds=30, what="answer from the cluster's DNS")

    def start_kubelet(self, client: ApiClient) -> None:
        """The kubelet and kube-proxy; returns when the node is ready."""
        self._start_proxy()
        authority, where = self.plane.authority, self.plane.where
        user = f"system:node:{self.layout.name}"
        kubeconfig = component_kubeconfig(self.layout, authority, where.url, user, "system:nodes")
        certificate, key = authority.issue(
            "kubelet-server", user, groups=["system:nodes"], hosts=[f"IP:{NODE_ADDRESS}"]
        )
        resolver = write_changed(self.layout.config / "resolv.conf", "")
        values = {
            "ROOT": str(self.layout.root),
            "CA": str(authority.certificate),
            "CERTIFICATE": str(certificate),
            "KEY": str(key),
            "ADDRESS": NODE_ADDRESS,
            "DNS_ADDRESS": DNS_ADDRESS,
            "RESOLVER": str(resolver),
            "SOCKET": str(self.layout.containerd_socket),
        }
        config = fill(TEMPLATES / "kubelet.yaml", values, self.layout.config / "kubelet.yaml")
        argv = [
            binary("kubelet"),
            f"--config={config}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self.layout.folder('kubelet')}",
            f"--hostname-override={self.layout.name}",
            f"--node-ip={NODE_ADDRESS}",
        ]
        started = self.processes.ensure("kubelet", argv, files=[config], env={"PATH": path_with_binaries()})
        if started:
            # The node object of an earlier life says Ready until its lease runs out: look at the new heartbeat.
            self.processes.wait("kubelet", lambda: self._beats(client), seconds=90, what="heartbeat of the node")
        self.processes.wait("kubelet", lambda: client.node_ready(self.layout.name), seconds=90, what="ready node")

    def _beats(self, client: ApiClient) -> bool:
        node = client.get(f"/api/v1/nodes/{self.layout.name}") or {}
        beats = [c["lastHeartbeatTime"] for c in node.get("status", {}).get("conditions", []) if c["type"] == "Ready"]
        launched = Path(f"/proc/{self.processes.records['kubelet'].pid}").stat().st_ctime
        return bool(beats) and beats[0] >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(launched))

    def _start_proxy(self) -> None:
        kubeconfig = component_kubeconfig(self.layout, self.plane.authority, self.plane.where.url, "system:kube-proxy")
        config = fill(
            TEMPLATES / "kube-proxy.yaml",
            {"KUBECONFIG": str(kubeconfig), "POD_NETWORK": POD_NETWORK, "NAME": self.layout.name},
            self.layout.config / "kube-proxy.yaml",
        )
        argv = [binary("kube-proxy"), f"--config={config}"]
        self.processes.ensure("kube-proxy", argv, files=[config], env={"PATH": path_with_binaries()})

    def _write_cni(self) -> None:
        ipam = {
            "type": "host-local",
            "dataDir": str(self.layout.folder("cni")),
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {
            "type": "bridge",
            "bridge": POD_BRIDGE,
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": ipam,
        }
        chain = {
            "cniVersion": "1.0.0",
            "name": f"modelmill-{self.layout.name}",
            "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
        }
        write_changed(self.layout.config / "cni" / "10-modelmill.conflist", json.dumps(chain, indent=1))


def dns_answers() -> bool:
    """Whether the cluster's DNS finds the API server's Service."""
    name = b"".join(bytes([len(part)]) + part.encode() for part in ["kubernetes", "default", "svc", "cluster", "local"])
    header = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        query.settimeout(1)
        query.connect((NODE_ADDRESS, 53))
        try:
            query.send(header + name + b"\0" + struct.pack(">2H", 1, 1))
            answer = query.recv(512)
        except OSError:
            return False
    return answer.endswith(socket.inet_aton(API_SERVICE_ADDRESS))


def fill(template: Path, values: dict[str, str], target: Path) -> Path:
    """Write a template with `@NAME@` replaced by values."""
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return write_changed(target, text)


def ctr(layout: Layout, *arguments: str, log: Path | None = None) -> str | None:
    """Run containerd's client in the namespace of Kubernetes; None when it fails (then the log says why)."""
    argv = [program("ctr") or "ctr", "--address", str(layout.containerd_socket), "--namespace", "k8s.io", *arguments]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ended.returncode == 0:
        return ended.stdout
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(ended.stderr or ended.stdout)
    return None


def import_image(layout: Layout, archive: Path) -> None:
    """Load an OCI archive into the node."""
    log = layout.logs / "import.log"
    if ctr(layout, "images", "import", "--snapshotter", "overlayfs", str(archive), log=log) is None:
        raise Failed(f"cannot load {archive}:\n{tail(log)}")


def node_images(layout: Layout) -> set[str]:
    """The names of the images that the node has."""
    return set((ctr(layout, "images", "list", "--quiet") or "").split())
