"""A kind that is not installed stops its own objects only; installed, it works without a restart."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from hack.bench.light import ROOT, LightServer
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.kube.objects import Resource
from modelmill.kube.resources import DEPLOYMENTS, JOBS
from tests.crash.memory_api import Object
from tests.crash.scenarios import inference_service, training_job
from tests.integration.engine.faults.conftest import NewWorld
from tests.integration.engine.faults.live_world import LiveWorld
from tests.support import objects as o

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif("MODELMILL_TIER1_PLANS" not in os.environ, reason="played by `make proof`"),
]

KINDS = (TRAINING_JOBS, MODEL_VERSIONS, INFERENCE_SERVICES)


class Kinds:
    """Takes kinds away from the API server, with their objects, and gives them back."""

    def __init__(self, server: LightServer) -> None:
        self._server = server

    def take(self, kind: Resource) -> None:
        """Delete the kind. Versions that serve are held by their finalizer, which whoever does this has to take away."""
        name = f"{kind.plural}.{kind.group}"
        self._server.kubectl("delete", "crd", name, "--wait=false")
        for one in self._there(name):
            if one["metadata"].get("finalizers"):
                place = ("-n", one["metadata"]["namespace"], one["metadata"]["name"])
                self._server.kubectl("patch", name, *place, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        self._server.kubectl("wait", "--for=delete", f"crd/{name}", "--timeout=60s")

    def _there(self, name: str) -> list[Object]:
        """Return what is left of a kind that is being deleted."""
        try:
            return list(json.loads(self._server.kubectl("get", name, "-A", "-o", "json"))["items"])
        except subprocess.CalledProcessError as error:
            if "the server doesn't have a resource type" in error.stderr or "NotFound" in error.stderr:
                return []
            raise

    def give(self, kind: Resource) -> None:
        body = (ROOT / "crds" / f"{kind.plural}.{kind.group}.yaml").read_text()
        self._server.kubectl("apply", "--server-side", "-f", "-", text=json.dumps(yaml.safe_load(body)))
        self._server.kubectl("wait", "--for=condition=Established", f"crd/{kind.plural}.{kind.group}", "--timeout=60s")


@pytest.fixture
def kinds(light_server: LightServer) -> Iterator[Kinds]:
    made = Kinds(light_server)
    yield made
    for kind in KINDS:
        made.give(kind)


@pytest.mark.parametrize("missing", KINDS, ids=lambda kind: kind.plural)
async def test_a_missing_kind_stops_its_own_objects_only(new_world: NewWorld, kinds: Kinds, missing: Resource) -> None:
    kinds.take(missing)
    world = new_world()
    await works(world, missing, "one")
    first = world.operator
    kinds.give(missing)
    await works(world, None, "two")
    kinds.take(missing)
    await works(world, missing, "three")
    kinds.give(missing)
    await works(world, None, "four")
    assert world.failures == []
    assert world.operator is first


async def works(world: LiveWorld, missing: Resource | None, name: str) -> None:
    """Make objects of the kinds that are there, and wait for what becomes of them."""
    if missing != TRAINING_JOBS:
        world.api.create(TRAINING_JOBS, training_job(f"{name}-job", model=f"{name}-trained"))
    if missing != MODEL_VERSIONS:
        version = o.model_version(f"{name}-1")
        labels = {"modelmill.dev/model": name}
        spec = {**version["spec"], "model": name}
        world.api.create(MODEL_VERSIONS, {**version, "metadata": {"name": f"{name}-1", "labels": labels}, "spec": spec})
    if missing != INFERENCE_SERVICES:
        world.api.create(INFERENCE_SERVICES, inference_service(name, model={"name": name, "follow": "Approved"}))
    if missing != TRAINING_JOBS:
        await world.until(lambda: any(of(one, f"{name}-job") for one in world.api.of(JOBS)), f"a Job of {name}")
    if missing not in (TRAINING_JOBS, MODEL_VERSIONS):
        await world.until(
            lambda: world.status(TRAINING_JOBS, f"{name}-job").get("lastRun"), f"the end of the run of {name}"
        )
    if missing not in (INFERENCE_SERVICES, MODEL_VERSIONS):
        await world.until(lambda: any(of(one, name) for one in world.api.of(DEPLOYMENTS)), f"a Deployment of {name}")
    if missing not in (MODEL_VERSIONS, INFERENCE_SERVICES):
        await world.until(lambda: world.status(INFERENCE_SERVICES, name).get("phase") == "Stable", f"{name} serves")
    if missing == INFERENCE_SERVICES:
        await world.until(lambda: world.status(MODEL_VERSIONS, f"{name}-1").get("stage"), f"the stage of {name}-1")
    if missing == MODEL_VERSIONS:
        await world.until(lambda: world.status(INFERENCE_SERVICES, name).get("conditions"), f"a condition of {name}")


def of(child: dict[str, object], owner: str) -> bool:
    meta = child["metadata"]
    assert isinstance(meta, dict)
    return any(reference["name"] == owner for reference in meta.get("ownerReferences") or ())
