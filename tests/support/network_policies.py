"""A reader of NetworkPolicies: may this pod reach that one? By the words of the API reference, NetworkPolicySpec.

It proves what the policies say. That a network does what they say is the network's part.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Peer:
    """One end: a pod with its labels and namespace, or, without a namespace, an address outside of the cluster."""

    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


def admitted(policies: Iterable[Policy], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Tell whether the source's egress and the target's ingress both let a connection through."""
    policies = list(policies)
    leaves = _side(policies, "Egress", source, target, port, protocol)
    return leaves and _side(policies, "Ingress", target, source, port, protocol)


def _side(policies: Sequence[Policy], kind: str, own: Peer, other: Peer, port: int, protocol: str) -> bool:
    """A pod that no policy of this kind selects is open; one that is selected is open to what any rule of them names."""
    selecting = [one for one in policies if own.namespace and _selects(one, own) and kind in one["spec"]["policyTypes"]]
    key, side = ("to", "egress") if kind == "Egress" else ("from", "ingress")
    rules = [(policy, rule) for policy in selecting for rule in policy["spec"].get(side) or ()]
    return not selecting or any(
        _peer(policy, rule.get(key) or (), other) and _port(rule.get("ports") or (), port, protocol)
        for policy, rule in rules
    )


def _selects(policy: Policy, pod: Peer) -> bool:
    same = policy["metadata"]["namespace"] == pod.namespace
    return same and _matches(policy["spec"]["podSelector"], pod.labels)


def _port(ports: Sequence[Mapping[str, Any]], port: int, protocol: str) -> bool:
    return not ports or any(one.get("protocol", "TCP") == protocol and one["port"] == port for one in ports)


def _peer(policy: Policy, peers: Sequence[Mapping[str, Any]], other: Peer) -> bool:
    return not peers or any(_one(policy, peer, other) for peer in peers)


def _one(policy: Policy, peer: Mapping[str, Any], other: Peer) -> bool:
    if "ipBlock" in peer:
        # As networks do that apply blocks to what is outside of the cluster only: the stricter of the two readings.
        address = ipaddress.ip_address(other.address)
        block = peer["ipBlock"]
        outside = not other.namespace and address in ipaddress.ip_network(block["cidr"])
        return outside and not any(address in ipaddress.ip_network(one) for one in block.get("except") or ())
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        labels = {"kubernetes.io/metadata.name": other.namespace, **other.namespace_labels}
        if not _matches(peer["namespaceSelector"], labels):
            return False
    elif policy["metadata"]["namespace"] != other.namespace:
        return False
    return _matches(peer.get("podSelector") or {}, other.labels)


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or ()
    assert all(one["operator"] == "In" for one in expressions), "the reader knows no other operator"
    return wanted.items() <= labels.items() and all(labels.get(one["key"]) in one["values"] for one in expressions)
