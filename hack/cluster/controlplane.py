"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler."""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from apiclient import ApiClient
from binaries import binary
from certificates import Authority, component_kubeconfig, signing_key, write_kubeconfig
from processes import Processes
from settings import API_SERVICE_ADDRESS, POD_NETWORK, SERVICE_NETWORK, Layout, write_changed

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class Endpoint:
    """Where the API server listens.

    With `nodes` there is a kubelet to talk to and pods that reach the API server at this address.
    """

    address: str
    port: int
    etcd_port: int
    etcd_peer_port: int
    nodes: bool

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"


def endpoint(layout: Layout, processes: Processes, address: str, port: int, *, nodes: bool) -> Endpoint:
    """The ports of a cluster: those of its last start when they are still its own or free, else others.

    Args:
        port: the API server's port; 0 means any free one.
    """
    kept = json.loads(layout.ports.read_text()) if layout.ports.exists() else {}

    def pick(name: str, owner: str, on: str) -> int:
        known = kept.get(name)
        return known if known and (processes.alive(owner) or is_free(on, known)) else free_port(on)

    ports = {
        "port": port or pick("port", "kube-apiserver", address),
        "etcd_port": pick("etcd_port", "etcd", "127.0.0.1"),
        "etcd_peer_port": pick("etcd_peer_port", "etcd", "127.0.0.1"),
    }
    if ports != kept:
        layout.root.mkdir(parents=True, exist_ok=True)
        layout.ports.write_text(json.dumps(ports))
    return Endpoint(address, **ports, nodes=nodes)


def is_free(address: str, port: int) -> bool:
    """Whether nothing listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_port(address: str) -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


class ControlPlane:
    """The control plane of one cluster; `start` may be called again at any time."""

    def __init__(self, layout: Layout, processes: Processes, where: Endpoint) -> None:
        self.layout = layout
        self.processes = processes
        self.where = where
        self.authority = Authority(layout.pki, "ca")
        self.front_proxy = Authority(layout.pki, "front-proxy-ca")
        admin = self.authority.issue("admin", "admin", groups=["system:masters"])
        write_kubeconfig(layout.kubeconfig, self.authority, where.url, *admin, context=f"modelmill-{layout.name}")

    def start(self, *, controllers: bool, scheduler: bool) -> ApiClient:
        """Start what does not run yet and wait until the API server is ready."""
        self._start_etcd()
        self._start_apiserver(service_accounts=controllers)
        client = ApiClient(self.layout.kubeconfig)
        self.processes.wait("kube-apiserver", client.ready, seconds=90, what="ready API server")
        if controllers:
            self._start_controller_manager()
        if scheduler:
            kubeconfig = component_kubeconfig(self.layout, self.authority, self.where.url, "system:kube-scheduler")
            argv = [binary("kube-scheduler"), f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"]
            self.processes.ensure("kube-scheduler", argv)
        return client

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.where.etcd_port, self.where.etcd_peer_port))
        argv = [
            binary("etcd"),
            f"--data-dir={self.layout.folder('etcd')}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--quota-backend-bytes=4294967296",
            "--log-level=warn",
        ]
        self.processes.ensure("etcd", argv)

        def healthy() -> bool:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{client}/health", timeout=2) as answer:
                return bool(json.load(answer)["health"] == "true")
            return False

        self.processes.wait("etcd", healthy, seconds=30, what="healthy etcd")

    def _start_apiserver(self, *, service_accounts: bool) -> None:
        policy = write_changed(self.layout.config / "audit-policy.json", json.dumps(AUDIT_POLICY))
        argv = [binary("kube-apiserver"), *self._serving_flags(), *self._identity_flags(), *self._audit_flags(policy)]
        if not service_accounts:
            # Nobody makes the `default` service accounts then, and without them no pod could be created.
            argv.append("--disable-admission-plugins=ServiceAccount")
        self.processes.ensure("kube-apiserver", argv, files=[policy])

    def _serving_flags(self) -> list[str]:
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        addresses = ["127.0.0.1", API_SERVICE_ADDRESS, self.where.address]
        hosts = [*(f"DNS:{name}" for name in ("localhost", *names)), *(f"IP:{a}" for a in dict.fromkeys(addresses))]
        certificate, key = self.authority.issue("apiserver", "kube-apiserver", hosts=hosts)
        reconciler = (
            [f"--advertise-address={self.where.address}"] if self.where.nodes else ["--endpoint-reconciler-type=none"]
        )
        return [
            f"--etcd-servers=http://127.0.0.1:{self.where.etcd_port}",
            f"--bind-address={self.where.address}",
            f"--secure-port={self.where.port}",
            *reconciler,
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--cert-dir={self.layout.pki}",
            "--allow-privileged=true",
            "--max-requests-inflight=3000",
            "--max-mutating-requests-inflight=1500",
            "--profiling=false",
        ]

    def _identity_flags(self) -> list[str]:
        private, public = signing_key(self.layout.pki)
        kubelet_certificate, kubelet_key = self.authority.issue(
            "apiserver-kubelet", "apiserver-kubelet", groups=["system:masters"]
        )
        proxy_certificate, proxy_key = self.front_proxy.issue("front-proxy", "front-proxy")
        return [
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={self.authority.certificate}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={private}",
            f"--service-account-key-file={public}",
            f"--kubelet-client-certificate={kubelet_certificate}",
            f"--kubelet-client-key={kubelet_key}",
            f"--kubelet-certificate-authority={self.authority.certificate}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={self.front_proxy.certificate}",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={proxy_certificate}",
            f"--proxy-client-key-file={proxy_key}",
            "--enable-aggregator-routing=true",
        ]

    def _audit_flags(self, policy: Path) -> list[str]:
        self.layout.audit_log.parent.mkdir(parents=True, exist_ok=True)
        # Blocking, so that a request that was answered is in the file; large, so that a count never meets a rotation.
        return [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.layout.audit_log}",
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=2048",
            "--audit-log-maxbackup=1",
        ]

    def _start_controller_manager(self) -> None:
        private, _ = signing_key(self.layout.pki)
        kubeconfig = component_kubeconfig(self.layout, self.authority, self.where.url, "system:kube-controller-manager")
        argv = [
            binary("kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            f"--service-account-private-key-file={private}",
            f"--root-ca-file={self.authority.certificate}",
            f"--cluster-signing-cert-file={self.authority.certificate}",
            f"--cluster-signing-key-file={self.authority.key}",
            f"--cluster-cidr={POD_NETWORK}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=400",
            "--kube-api-burst=800",
        ]
        self.processes.ensure("kube-controller-manager", argv)
