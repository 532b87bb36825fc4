"""The light cluster: etcd and kube-apiserver on loopback ports, for tests and benchmarks that need no pods to run."""

from __future__ import annotations

import shutil

from apiclient import ApiClient
from binaries import API_SERVER, build
from controlplane import ControlPlane, endpoint
from debian import LIGHT, install
from processes import Processes
from progress import Failed, locked, say, step
from settings import Layout

ADDRESS = "127.0.0.1"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager")


def up(name: str, *, port: int, controller_manager: bool) -> Layout:
    """Start the light cluster of this name, or leave a running one as it is."""
    install(LIGHT)
    build(*API_SERVER)
    layout = Layout(name)
    with locked(layout.lock):
        if (layout.root / "kubelet").exists():
            raise Failed(f"a full cluster has the name {name}; choose another with --name")
        processes = _processes(layout)
        wanted = COMPONENTS if controller_manager else COMPONENTS[:2]
        if all(map(processes.alive, wanted)) and ApiClient(layout.kubeconfig).ready():
            say(f"API server {name} runs at {ApiClient(layout.kubeconfig).server}")
            return layout
        with step(f"starting API server {name}"):
            where = endpoint(layout, processes, ADDRESS, port, nodes=False)
            ControlPlane(layout, processes, where).start(controllers=controller_manager, scheduler=False)
    return layout


def down(name: str) -> None:
    """End the light cluster of this name and remove its files."""
    layout = Layout(name)
    with locked(layout.lock):
        if (layout.root / "kubelet").exists():
            raise Failed(f"{name} is a full cluster; end it with `down --name {name}`")
        processes = _processes(layout)
        for component in reversed(COMPONENTS):
            processes.stop(component)
        shutil.rmtree(layout.root, ignore_errors=True)
        layout.lock.unlink(missing_ok=True)


def status(name: str) -> dict[str, object]:
    """What runs, and where its files are."""
    layout = Layout(name)
    processes = _processes(layout)
    running = [component for component in COMPONENTS if processes.alive(component)]
    healthy = {"etcd", "kube-apiserver"} <= set(running) and ApiClient(layout.kubeconfig).ready()
    return {
        "name": name,
        "healthy": healthy,
        "components": running,
        "kubeconfig": str(layout.kubeconfig),
        "audit_log": str(layout.audit_log),
        "logs": str(layout.logs),
        "server": ApiClient(layout.kubeconfig).server if layout.kubeconfig.exists() else None,
    }


def _processes(layout: Layout) -> Processes:
    return Processes(layout.root / "processes.json", layout.logs)
