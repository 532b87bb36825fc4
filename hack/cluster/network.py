"""The node's bridge, and the removal of everything that the cluster left in the network."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from debian import program
from progress import Failed, output
from settings import NODE_ADDRESS, NODE_BRIDGE, POD_BRIDGE

# Chains of kube-proxy, kubelet and the CNI plugins.
OWNED_CHAIN = re.compile(r"\b(KUBE|CNI)-[A-Za-z0-9-]+\b")
TABLES = ("filter", "nat", "mangle")


def ensure_node_address() -> None:
    """Make the bridge that carries the node's address, and let the kernel forward packets."""
    if not Path(f"/sys/class/net/{NODE_BRIDGE}").exists():
        _ip("link", "add", NODE_BRIDGE, "type", "bridge")
    if NODE_ADDRESS not in _ip("-4", "addr", "show", "dev", NODE_BRIDGE):
        _ip("addr", "add", f"{NODE_ADDRESS}/32", "dev", NODE_BRIDGE)
    _ip("link", "set", NODE_BRIDGE, "up")
    filtered = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not filtered.exists():
        # Without it, answers between pods on the bridge would bypass the address translation of Services.
        _tool("modprobe", "br_netfilter")
    for switch in (Path("/proc/sys/net/ipv4/ip_forward"), filtered):
        if switch.exists() and switch.read_text().strip() != "1":
            switch.write_text("1")


def remove_bridges() -> None:
    """Remove the two bridges of the cluster, when they exist."""
    for bridge in (POD_BRIDGE, NODE_BRIDGE):
        if Path(f"/sys/class/net/{bridge}").exists():
            _ip("link", "delete", bridge)


def remove_chains() -> None:
    """Remove the iptables chains of Kubernetes and CNI and every rule that names one; leave all others as they are."""
    for family in ("iptables", "ip6tables"):
        for table in TABLES:
            saved = _tool(f"{family}-save", "-t", table)
            if saved is None or not OWNED_CHAIN.search(saved):
                continue
            commands = list(_removal(saved))
            text = "\n".join([f"*{table}", *commands, "COMMIT", ""])
            restore = [_path(f"{family}-restore"), "--noflush"]
            output(restore, stdin=text)


def _removal(saved: str) -> list[str]:
    """What iptables-restore must be told, from what iptables-save said."""
    rules, flushes, deletions = [], [], []
    for line in saved.splitlines():
        if line.startswith(":") and OWNED_CHAIN.match(line[1:]):
            chain = line[1:].split()[0]
            flushes.append(f"-F {chain}")
            deletions.append(f"-X {chain}")
        elif line.startswith("-A ") and OWNED_CHAIN.search(line) and not OWNED_CHAIN.match(line[3:]):
            rules.append(line.replace("-A ", "-D ", 1))
    return rules + flushes + deletions


def _path(name: str) -> str:
    found = program(name)
    if found is None:
        raise Failed(f"{name} is missing")
    return found


def _ip(*arguments: str) -> str:
    return output([_path("ip"), *arguments])


def _tool(name: str, *arguments: str) -> str | None:
    """Output of a tool that may be missing or of no use here (IPv6 tables, modules of a kernel without any)."""
    found = program(name)
    if found is None:
        return None
    ended = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    return ended.stdout if ended.returncode == 0 else None
