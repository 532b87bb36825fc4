"""What happens to a cluster under a working operator: permissions, namespace, etcd, release."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from hack.bench.light import NAMESPACE, ROOT, LightServer
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.engine.errors import NotFound
from modelmill.kube.labels import RUN_ANNOTATION, SERVICE_LABEL
from modelmill.kube.resources import JOBS, PODS, REPLICA_SETS
from tests.crash.scenarios import alert, inference_service, serves, training_job
from tests.integration.engine.faults.conftest import NewWorld, without
from tests.integration.engine.faults.live_world import LiveWorld

pytestmark = pytest.mark.integration

LONG = "MODELMILL_TIER1_PLANS" in os.environ
"""Whether waits are as long as issues have them, and all tests are played: beside many plans."""
long = pytest.mark.skipif(not LONG, reason="played by `make proof`")
BINDING = ("clusterrolebinding", "modelmill-operator")
EARLIER = "914c42f"
"""A commit before the control loop was rebuilt, whose objects must live on."""
HALF_WAY = {"strategy": "Canary", "steps": [{"weight": 50}, {"pauseSeconds": 86_400}]}


async def half_way(world: LiveWorld) -> None:
    """Come to a canary that waits, and a run that trains."""
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=HALF_WAY))
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")  # type: ignore[arg-type]
    alert(world)  # type: ignore[arg-type]
    await world.until(lambda: world.status(MODEL_VERSIONS, "cars-2").get("stage") == "Serving", "a canary")
    world.surroundings.endless.add("endless")
    world.api.create(TRAINING_JOBS, training_job("endless", model="endless"))
    await world.until(lambda: world.status(TRAINING_JOBS, "endless").get("currentRun"), "a run")


@long
async def test_permissions_taken_and_given_back(new_world: NewWorld, light_server: LightServer) -> None:
    world = new_world()
    world.api.create(TRAINING_JOBS, training_job())
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the first run ends")
    binding = json.loads(light_server.kubectl("get", *BINDING, "-o", "json"))
    light_server.kubectl("delete", *BINDING)
    first, taken = world.operator, time.monotonic()
    try:
        world.api.create(TRAINING_JOBS, training_job("between", model="between"))
        while time.monotonic() < taken + 60:
            await world.second()
        assert [job for job in world.api.of(JOBS) if job["metadata"]["name"].startswith("between")] == []
    finally:
        kept = {"metadata": {"name": BINDING[1]}, "subjects": binding["subjects"], "roleRef": binding["roleRef"]}
        named = {name: binding[name] for name in ("apiVersion", "kind")}
        light_server.kubectl("apply", "--server-side", "-f", "-", text=json.dumps({**named, **kept}))
    await world.until(lambda: world.status(TRAINING_JOBS, "between").get("lastRun"), "the second run ends")
    assert len(world.api.of(JOBS)) == 2
    assert world.failures == []
    assert world.operator is first


@pytest.mark.parametrize("watched", ["", pytest.param("its own", marks=long)])
async def test_a_namespace_goes_with_all_that_is_in_it(new_world: NewWorld, watched: str) -> None:
    world = new_world(
        settings={"MODELMILL_LEASE_NAMESPACE": NAMESPACE, **({} if watched else {"MODELMILL_NAMESPACES": ""})}
    )
    await half_way(world)
    world.api.ask("DELETE", f"/api/v1/namespaces/{world.api.namespace}")
    await world.until(partial(gone, world), "the end of the namespace", 180)
    first = world.operator
    await world.settle()
    assert world.failures == []
    assert world.operator is first


def gone(world: LiveWorld) -> bool:
    try:
        world.api.ask("GET", f"/api/v1/namespaces/{world.api.namespace}")
    except NotFound:
        return True
    return False


@long
@pytest.mark.parametrize(("component", "seconds"), [("etcd", 1.0), ("kube-apiserver", 30.0)])
async def test_a_component_that_dies_and_comes_back(
    new_world: NewWorld, light_server: LightServer, component: str, seconds: float
) -> None:
    world = new_world()
    await half_way(world)
    before = serving(world)
    jobs = {job["metadata"]["uid"] for job in world.api.of(JOBS)}
    with without(light_server, component):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            await asyncio.sleep(0.5)
            world.revive()
    world.api.create(TRAINING_JOBS, training_job("after", model="after"))
    await world.until(lambda: world.status(TRAINING_JOBS, "after").get("lastRun"), "a run after it")
    await world.settle()
    assert serving(world) == before
    assert {job["metadata"]["uid"] for job in world.api.of(JOBS)} > jobs
    assert len(world.api.of(JOBS)) == len(jobs) + 1
    assert not world.failures or "leadership lost" in world.logged()
    world.failures.clear()


@long
async def test_a_backup_of_etcd_that_is_restored(
    new_world: NewWorld, light_server: LightServer, tmp_path: Path
) -> None:
    """resourceVersions go back: the operator notices, ends, and works on with what there is."""
    world = new_world()
    world.api.create(TRAINING_JOBS, training_job())
    await world.until(lambda: world.status(TRAINING_JOBS, "cars").get("lastRun"), "the first run ends")
    data, backup = light_server.admin.parent / "etcd", tmp_path / "backup"
    with without(light_server, "etcd"):
        shutil.copytree(data, backup)
    for number in range(100):
        asked = {"metadata": {"annotations": {"example.com/number": str(number)}}}
        world.api.patch(TRAINING_JOBS, "ml", "cars", asked)
    await world.settle()
    # The others of the cluster begin anew too, as whoever restores a backup has them do.
    with (
        without(light_server, "kube-controller-manager"),
        without(light_server, "kube-apiserver"),
        without(light_server, "etcd"),
    ):
        shutil.rmtree(data)
        shutil.copytree(backup, data)
    world.api.create(TRAINING_JOBS, training_job("after", model="after"))
    asked = {"metadata": {"annotations": {RUN_ANNOTATION: "again"}}}
    world.api.patch(TRAINING_JOBS, "ml", "cars", asked)
    await world.until(lambda: world.status(TRAINING_JOBS, "after").get("lastRun"), "a run after it")
    await world.until(lambda: world.status(TRAINING_JOBS, "cars")["lastRun"]["number"] == 2, "a run that was asked for")
    await world.settle()
    assert len(world.api.of(JOBS)) == 3
    assert "was set back" in world.logged() or "leadership lost" in world.logged()
    world.failures.clear()


def serving(world: LiveWorld) -> set[str]:
    """Return the pods that serve, or come to."""
    return {pod["metadata"]["uid"] for pod in world.api.of(PODS) if SERVICE_LABEL in pod["metadata"]["labels"]}


@long
async def test_releases_take_over_from_each_other(new_world: NewWorld, tmp_path: Path) -> None:
    """With a canary half-way and a run in progress: nothing that serves is replaced, no run is begun anew."""
    settings = {"MODELMILL_REAL_WAITS": "1", "PYTHONPATH": os.pathsep.join((str(earlier_release(tmp_path)), str(ROOT)))}
    world = new_world(settings=settings)
    await half_way(world)
    await world.settle()
    await take_over(world, {"MODELMILL_REAL_WAITS": "1"})
    await gets_on(world, "cars-2")
    again = {"metadata": {"annotations": {RUN_ANNOTATION: "again"}}, "spec": {"rollout": HALF_WAY}}
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": again.pop("spec")})
    world.api.patch(TRAINING_JOBS, "ml", "cars", again)
    await world.until(lambda: world.status(MODEL_VERSIONS, "cars-3").get("stage") == "Serving", "another canary")
    await world.settle()
    await take_over(world, settings)
    await gets_on(world, "cars-3")
    assert world.failures == []


def earlier_release(folder: Path) -> Path:
    """Return the operator's sources of the commit `EARLIER`, as git has them."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", EARLIER, "operator"], capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"git has no commit {EARLIER}: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "operator"


async def take_over(world: LiveWorld, settings: Mapping[str, str]) -> None:
    """Let another release take over; everything stays as it is."""
    pods, jobs, templates = serving(world), [job["metadata"]["uid"] for job in world.api.of(JOBS)], hashes(world)
    assert world.operator.terminate() == 0
    world.settings = dict(settings)
    world.operator = world.started()
    await world.until(lambda: world.operator.reconciles() > 0, "the other release works")
    await world.settle()
    assert serving(world) == pods
    assert hashes(world) == templates
    assert [job["metadata"]["uid"] for job in world.api.of(JOBS)] == jobs


def hashes(world: LiveWorld) -> set[str]:
    """Return the hashes of the pod templates that are served from."""
    return {one["metadata"]["labels"]["pod-template-hash"] for one in world.api.of(REPLICA_SETS)}


async def gets_on(world: LiveWorld, version: str) -> None:
    """Let the canary go on until its version serves alone."""
    steps = {"strategy": "Canary", "steps": [{"weight": 50}, {"pauseSeconds": 1}]}
    world.api.patch(INFERENCE_SERVICES, "ml", "cars", {"spec": {"rollout": steps}})
    await world.until(lambda: serves(world, version), f"{version} serves")  # type: ignore[arg-type]
