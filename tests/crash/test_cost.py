"""What many objects that look at one another cost: reconciliations and writes, counted in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

from modelmill.api.monitoring import DRIFT
from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.engine import metrics
from tests.crash.scenarios import publishes
from tests.crash.world import World
from tests.support import objects as o
from tests.support.virtual_time import run

MANY = 100
REFUSED = "requeue"


def reconciled() -> Counter[str]:
    """Return how many reconciliations there were, by controller; REFUSED are those whose write was refused as out of date."""
    found: Counter[str] = Counter()
    for sample in (one for family in metrics.RECONCILES.collect() for one in family.samples):
        if sample.name.endswith("_total"):
            found[sample.labels["controller"]] += int(sample.value)
            found[REFUSED] += int(sample.value) if sample.labels["result"] == "requeue" else 0
    return found


def test_services_of_one_version_that_retrain_by_one_job_cost_as_much_as_each_for_itself() -> None:
    async def play() -> tuple[Counter[str], World]:
        world = World(lambda _: None, publishes)
        world.api.create(TRAINING_JOBS, o.training_job(runPolicy={"suspend": True}))
        world.api.create(MODEL_VERSIONS, o.model_version("cars-1"))
        await asyncio.sleep(1)
        before = reconciled()
        for number in range(MANY):
            service = o.inference_service(
                monitoring={"engine": "Prometheus", "retrain": {"trainingJob": "cars", "alerts": [DRIFT]}}
            )
            service["metadata"]["name"] = f"service-{number}"
            world.api.create(INFERENCE_SERVICES, service)
            await asyncio.sleep(0.05)
        await asyncio.sleep(5)
        world.operator.kill()
        return reconciled() - before, world

    found, world = run(play())
    version = world.status(MODEL_VERSIONS, "cars-1")
    assert f"and {MANY - 8} more" in next(one["message"] for one in version["conditions"] if one["type"] == "Deletable")
    # A service is planned as it comes and from its first status; each tells the version once, and the job that it is there.
    assert found["inferenceservice"] <= 3 * MANY
    assert found["modelversion"] <= 3 * MANY
    assert found["trainingjob"] <= 3 * MANY
    assert found[REFUSED] == 0
    written = Counter(one.kind for one in world.log)
    once = ("InferenceService", "Deployment", "Service", "PrometheusRule", "PodMonitor")
    assert {kind: written[kind] for kind in once} == dict.fromkeys(once, MANY)
