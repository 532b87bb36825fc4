"""What a real API server answers to an apply with a uid or a resourceVersion, for each kind of level children."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelmill.engine.children import NEVER
from modelmill.engine.client import Client
from modelmill.engine.errors import Conflict, Invalid
from modelmill.engine.login import login
from modelmill.kube.objects import Resource
from modelmill.kube.resources import CONFIG_MAPS, DEPLOYMENTS, POD_DISRUPTION_BUDGETS, SERVICES
from tests.support.api_server import Cluster
from tests.support.children import body, config_map, deployment, service

pytestmark = pytest.mark.integration


def budget(namespace: str) -> dict[str, Any]:
    selector = {"matchLabels": {"app": "cars"}}
    return body(POD_DISRUPTION_BUDGETS, namespace, spec={"minAvailable": 1, "selector": selector})


BODIES = {DEPLOYMENTS: deployment, SERVICES: service, CONFIG_MAPS: config_map, POD_DISRUPTION_BUDGETS: budget}


@pytest.fixture
async def client(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.server.admin))
    made = Client(login())
    yield made
    await made.close()


def with_meta(manifest: dict[str, Any], **meta: str) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], **meta}}


@pytest.mark.parametrize("resource", BODIES, ids=lambda resource: resource.kind)
async def test_an_apply_that_makes_or_changes_one_object_only(
    client: Client, namespace: str, resource: Resource
) -> None:
    wanted = BODIES[resource](namespace)
    made = await client.apply(resource, with_meta(wanted, resourceVersion=NEVER))
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("modelmill", "Apply")
    with pytest.raises(Conflict):
        await client.apply(resource, with_meta(wanted, resourceVersion=NEVER))
    uid = made["metadata"]["uid"]
    again = await client.apply(resource, with_meta(wanted, uid=uid))
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    version = again["metadata"]["resourceVersion"]
    marked = with_meta(wanted, resourceVersion=version, uid=uid)
    marked["metadata"]["annotations"] = {"changed": "yes"}
    changed = await client.apply(resource, marked)
    assert changed["metadata"]["resourceVersion"] != version
    with pytest.raises(Conflict):
        await client.apply(resource, with_meta(wanted, resourceVersion=version, uid=uid))
    with pytest.raises(Invalid, match=r"metadata\.uid"):
        await client.apply(resource, with_meta(wanted, uid="another"))
    await client.delete(resource, namespace, "cars", uid)
    with pytest.raises(Conflict):
        await client.apply(resource, with_meta(wanted, uid=uid))
