"""The full cluster: a control plane and one node on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from apiclient import ApiClient
from binaries import KUBERNETES_TOOLS, build
from controlplane import ControlPlane, endpoint
from debian import FULL, install
from gateway import gateway_endpoint
from imagebuild import pause_image, recorded_images
from imageload import load_into_node
from leftovers import remove_leftovers, stop_pods
from network import ensure_node_address
from node import Node
from processes import Processes, start_time
from progress import Failed, locked, say, step, tail
from services import endpoints
from settings import API_PORT, NODE_ADDRESS, Layout, is_root, state_root

COMPONENTS = (
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "coredns",
    "kube-proxy",
    "kubelet",
)


def up(name: str) -> Layout:
    """Bring the cluster up, or mend what is missing of it; returns when the node is ready."""
    layout = Layout(name)
    if healthy(layout):
        say(f"cluster {name} is up")
        return layout
    if not is_root():
        raise Failed("a bare cluster needs root; CLUSTER=current uses the cluster of your kubeconfig instead")
    install(FULL)
    build(*KUBERNETES_TOOLS, "coredns")
    with locked(state_root() / "node.lock"):
        _refuse_strangers(layout)
        try:
            _start(layout)
        except Failed as error:
            raise Failed(f"{error}\nIf this stays so, `python3 hack/cluster down` and `up` begin anew.") from error
    return layout


def _start(layout: Layout) -> None:
    layout.root.mkdir(parents=True, exist_ok=True)
    processes = _processes(layout)
    pause = pause_image()
    with step(f"starting cluster {layout.name}", processes.log("kubelet")):
        ensure_node_address()
        where = endpoint(layout, processes, NODE_ADDRESS, API_PORT, nodes=True)
        plane = ControlPlane(layout, processes, where)
        node = Node(layout, processes, plane)
        node.start_runtime()
        load_into_node(layout, pause)
        client = plane.start(controllers=True, scheduler=True)
        node.start_dns(client)
        node.start_kubelet(client)
        for component in COMPONENTS:
            if not processes.alive(component):
                log = processes.log(component)
                raise Failed(f"{component} ended right after its start; the end of {log}:\n{tail(log)}")


def down(name: str) -> None:
    """End the cluster and remove everything it made, its files included. Built binaries and images stay in the cache."""
    layout = Layout(name)
    if not layout.root.exists():
        say(f"there is no cluster {name}")
        return
    if not (layout.root / "containerd").exists():
        raise Failed(f"{name} is a light cluster; end it with `apiserver down --name {name}`")
    with locked(state_root() / "node.lock"), step(f"ending cluster {name}"):
        processes = _processes(layout)
        for component in ("metrics-server", *reversed(COMPONENTS[1:])):
            processes.stop(component)
        stop_pods(layout, processes)
        processes.stop("containerd")
        remove_leftovers(layout)
        shutil.rmtree(layout.root)


def healthy(layout: Layout) -> bool:
    """Whether every process runs and the node is ready."""
    processes = _processes(layout)
    if not all(map(processes.alive, COMPONENTS)):
        return False
    client = ApiClient(layout.kubeconfig)
    return client.ready() and client.node_ready(layout.name)


def status(name: str) -> dict[str, object]:
    """What runs, where its files are, and where its services answer."""
    layout = Layout(name)
    processes = _processes(layout)
    up = healthy(layout)
    return {
        "name": name,
        "healthy": up,
        "components": [component for component in COMPONENTS if processes.alive(component)],
        "kubeconfig": str(layout.kubeconfig),
        "audit_log": str(layout.audit_log),
        "logs": str(layout.logs),
        "images": recorded_images(),
        **(endpoints(layout.kubeconfig) | gateway_endpoint(layout.kubeconfig) if up else {}),
    }


def _processes(layout: Layout) -> Processes:
    return Processes(layout.root / "processes.json", layout.logs)


def _refuse_strangers(layout: Layout) -> None:
    """There is one node address and one set of iptables chains on a machine, so there can be one node."""
    for other in state_root().glob("*/processes.json"):
        name = other.parent.name
        if name != layout.name and _processes(Layout(name)).alive("kubelet"):
            raise Failed(f"cluster {name} runs already; end it with `down --name {name}` first")
    record = _processes(layout).records.get("kubelet")
    for process in Path("/proc").glob("[0-9]*/comm"):
        try:
            if process.read_text().strip() != "kubelet":
                continue
        except OSError:
            continue
        pid = int(process.parent.name)
        if start_time(pid) is not None and (record is None or pid != record.pid):
            raise Failed(f"another kubelet (process {pid}) runs on this machine; use its cluster with CLUSTER=current")
