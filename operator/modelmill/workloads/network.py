"""NetworkPolicies of the pods that the operator starts: what they may be reached on, and what they may reach.

A policy admits and never forbids, so that what else a pod needs is given by another policy that a person adds. Ports are those
of pods: most networks apply policies behind the address translation of Services (Kubernetes documentation, Network Policies).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from modelmill.api.base import Store
from modelmill.kube.labels import MANAGED_BY, MANAGED_BY_LABEL

ANYWHERE: Final[Sequence[Mapping[str, Any]]] = (
    {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]},
    {"cidr": "::/0", "except": ["fe80::/10", "fd00:ec2::254/128"]},
)
"""Every address but those of the link, behind which clouds have the credentials of their machines, and that of Amazon's.

Source: Amazon EC2 user guide, Access instance metadata for an EC2 instance.
"""
HTTPS: Final = 443
HTTP: Final = 80
DNS: Final = ({"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53})


@dataclass(frozen=True, slots=True)
class Network:
    """What an administrator says of the stores.

    store_ports: ports beside those of the endpoints, e.g. where a Service has another one than its pods.
    store_cidrs: where stores are; empty for anywhere.
    """

    store_ports: Sequence[int] = ()
    store_cidrs: Sequence[str] = ()


def build_network_policy(
    meta: Mapping[str, str],
    selector: Mapping[str, str],
    reached_on: Sequence[int],
    stores: Iterable[Store],
    network: Network,
    more: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the policy. meta: name and namespace. reached_on: ports that anybody may reach; no other is.

    The pods find names, and reach their stores. more: rules for what else they reach.
    """
    egress: list[dict[str, Any]] = [
        {"ports": [dict(one) for one in DNS]},
        *_to_stores(list(stores), network),
        *map(dict, more),
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {**meta, "labels": dict(selector)},
        "spec": {
            "podSelector": {"matchLabels": {**selector, MANAGED_BY_LABEL: MANAGED_BY}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": _ports(reached_on)}] if reached_on else [],
            "egress": egress,
        },
    }


def _to_stores(stores: Sequence[Store], network: Network) -> list[dict[str, Any]]:
    """Return the rules for the stores: those with keys of a Secret, and those whose keys a cloud gives to the pod."""
    with_keys = {port for store in stores if store.secret_ref is not None for port in _store_ports(store)}
    with_identity = {port for store in stores if store.secret_ref is None for port in _store_ports(store)}
    rules: list[dict[str, Any]] = []
    if with_keys:
        cidrs = [{"cidr": cidr} for cidr in network.store_cidrs] or [dict(one) for one in ANYWHERE]
        # Some networks apply blocks of addresses to what is outside of the cluster only.
        to = [{"namespaceSelector": {}}, *({"ipBlock": block} for block in cidrs)]
        rules.append({"to": to, "ports": _ports({*with_keys, *network.store_ports})})
    if with_identity:
        # The cloud exchanges the pod's identity at addresses of the link or at its public endpoints.
        rules.append({"ports": _ports({*with_identity, *network.store_ports, HTTP, HTTPS})})
    return rules


def _store_ports(store: Store) -> list[int]:
    if not store.uri.lower().startswith("s3://"):
        return []
    if store.endpoint is None:
        return [HTTPS]
    try:
        port = urlsplit(store.endpoint).port
    except ValueError:
        # The pod says what is wrong with its endpoint.
        return []
    return [port or (HTTPS if store.endpoint.lower().startswith("https:") else HTTP)]


def _ports(ports: Iterable[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in sorted(set(ports))]
