"""What the operator must be allowed to do, as RBAC rules: made from the table, compared with the chart by the tests.

Which verb is needed for what: list and watch for every kind in the cache; get where a refused write makes the executor look
at the object; create and patch for server-side apply, which the API server authorizes as either; update of the status; patch
for the finalizer; update of `KIND/finalizers` to own children where the admission plugin OwnerReferencesPermissionEnforcement
is on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from modelmill.engine.interface import Watch
from modelmill.engine.table import Controller
from modelmill.kube.objects import Resource
from modelmill.kube.resources import EVENTS, LEASES

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")

Rule = dict[str, Any]
"""A PolicyRule of rbac.authorization.k8s.io/v1."""


def namespace_rules(controllers: Sequence[Controller], watches: Sequence[Watch]) -> list[Rule]:
    """Return the rules for the namespaces that the operator watches, or for all of them: one for each resource."""
    verbs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for resource, suffix, verb in _needs(controllers, watches):
        verbs[resource.group, resource.plural + suffix].add(verb)
    return [
        {"apiGroups": [group], "resources": [plural], "verbs": [verb for verb in VERBS if verb in wanted]}
        for (group, plural), wanted in verbs.items()
    ]


def lease_rules(lease: str) -> list[Rule]:
    """Return the rules for the operator's own namespace: the election. A name cannot restrict create."""
    return [_rule(LEASES, "create"), {**_rule(LEASES, "get", "update"), "resourceNames": [lease]}]


def _rule(resource: Resource, *verbs: str) -> Rule:
    return {"apiGroups": [resource.group], "resources": [resource.plural], "verbs": list(verbs)}


def _needs(controllers: Sequence[Controller], watches: Sequence[Watch]) -> Iterator[tuple[Resource, str, str]]:
    for watch in watches:
        yield watch.resource, "", "list"
        yield watch.resource, "", "watch"
    for controller in controllers:
        yield controller.resource, "", "get"
        yield controller.resource, "/status", "update"
        if controller.finalizer:
            yield controller.resource, "", "patch"
        if controller.children:
            yield controller.resource, "/finalizers", "update"
        for child in controller.children:
            verbs = ["get", "create"] + ["patch"] * child.applied + ["delete"] * child.removed
            yield from ((child.resource, "", verb) for verb in verbs)
    yield EVENTS, "", "create"
