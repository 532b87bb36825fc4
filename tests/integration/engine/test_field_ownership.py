"""What a real API server notes about fields when somebody else changes them, and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelmill.engine.client import FIELD_MANAGER, Client
from modelmill.engine.login import login
from modelmill.engine.ownership import lost_fields
from modelmill.kube.objects import Resource
from modelmill.kube.resources import CONFIG_MAPS, DEPLOYMENTS, SERVICES
from tests.support.api_server import Cluster
from tests.support.children import config_map, deployment, service

pytestmark = pytest.mark.integration


BODIES = {DEPLOYMENTS: deployment, SERVICES: service, CONFIG_MAPS: config_map}
SERVER = {"name": "server"}
IN_POD = ("spec", "template", "spec")


def within(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    return dict(value)


CHANGES: dict[str, tuple[Resource, dict[str, Any]]] = {
    "a number": (DEPLOYMENTS, {"spec": {"replicas": 7}}),
    "a default that we state": (DEPLOYMENTS, within(IN_POD, {"terminationGracePeriodSeconds": 5})),
    "an image": (DEPLOYMENTS, within(IN_POD, {"containers": [{**SERVER, "image": "evil:1"}]})),
    "a variable": (DEPLOYMENTS, within(IN_POD, {"containers": [{**SERVER, "env": [{"name": "A", "value": "2"}]}]})),
    "an empty variable": (
        DEPLOYMENTS,
        within(IN_POD, {"containers": [{**SERVER, "env": [{"name": "B", "value": "x"}]}]}),
    ),
    "arguments": (DEPLOYMENTS, within(IN_POD, {"containers": [{**SERVER, "args": ["--port", "9"]}]})),
    "a limit": (DEPLOYMENTS, within(IN_POD, {"containers": [{**SERVER, "resources": {"limits": {"cpu": "2"}}}]})),
    "a label": (DEPLOYMENTS, {"metadata": {"labels": {"app": "other"}}}),
    "a label removed": (CONFIG_MAPS, {"metadata": {"labels": {"app": None}}}),
    "a selector with a key more": (SERVICES, {"spec": {"selector": {"extra": "x"}}}),
    "a port": (SERVICES, {"spec": {"ports": [{"port": 80, "targetPort": 9}]}}),
    "data": (CONFIG_MAPS, {"data": {"rules.yaml": "groups: [x]"}}),
    "data removed": (CONFIG_MAPS, {"data": {"rules.yaml": None}}),
}

OTHERS: dict[str, tuple[Resource, dict[str, Any]]] = {
    "another label": (DEPLOYMENTS, {"metadata": {"labels": {"team": "blue"}}}),
    "another annotation": (SERVICES, {"metadata": {"annotations": {"b": "2"}}}),
    "a field that we do not state": (DEPLOYMENTS, {"spec": {"progressDeadlineSeconds": 9}}),
    "another variable": (
        DEPLOYMENTS,
        within(IN_POD, {"containers": [{**SERVER, "env": [{"name": "C", "value": "3"}]}]}),
    ),
    "another key": (CONFIG_MAPS, {"data": {"more.yaml": "x"}}),
    "the same value": (DEPLOYMENTS, {"spec": {"replicas": 2}}),
}


async def lost_after(cluster: Cluster, namespace: str, resource: Resource, change: dict[str, Any]) -> set[str]:
    """Apply the object, let somebody else change it, apply it again; return what was lost in between."""
    wanted = BODIES[resource](namespace)
    client = Client(login())
    try:
        applied = await client.apply(resource, wanted)
        assert lost_fields(applied, wanted, FIELD_MANAGER) == frozenset()
        kind = resource.plural
        cluster.kubectl("patch", kind, "cars", "-n", namespace, "--type=strategic", "-p", json.dumps(change))
        lost = lost_fields(await client.get(resource, namespace, "cars"), wanted, FIELD_MANAGER)
        again = await client.apply(resource, wanted)
        assert lost_fields(again, wanted, FIELD_MANAGER) == frozenset()
        return {".".join(path) for path in lost}
    finally:
        await client.close()


@pytest.fixture(autouse=True)
def _as_administrator(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.server.admin))


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_of_what_we_applied_is_noticed(cluster: Cluster, namespace: str, name: str) -> None:
    assert await lost_after(cluster, namespace, *CHANGES[name])


@pytest.mark.parametrize("name", OTHERS)
async def test_what_is_not_ours_is_left_alone(cluster: Cluster, namespace: str, name: str) -> None:
    assert await lost_after(cluster, namespace, *OTHERS[name]) == set()


async def test_the_status_is_of_others(cluster: Cluster, namespace: str) -> None:
    client = Client(login())
    try:
        wanted = deployment(namespace)
        await client.apply(DEPLOYMENTS, wanted)
        patch = ("patch", "deployment", "cars", "-n", namespace, "--subresource=status", "--type=merge", "-p")
        cluster.kubectl(*patch, json.dumps({"status": {"observedGeneration": 1, "replicas": 2}}))
        assert not lost_fields(await client.get(DEPLOYMENTS, namespace, "cars"), wanted, FIELD_MANAGER)
    finally:
        await client.close()
