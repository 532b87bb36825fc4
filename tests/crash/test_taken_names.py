"""A stranger's object has the name of a child on which nothing depends: what is decided is in the status all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from modelmill.api.resources import INFERENCE_SERVICES, MODEL_VERSIONS, TRAINING_JOBS
from modelmill.contracts.counts import COUNTS_KEY, decode
from modelmill.kube.objects import Resource
from modelmill.kube.resources import (
    CONFIG_MAPS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    PROMETHEUS_RULES,
    SERVICES,
)
from tests.crash.faults import Write
from tests.crash.oracles import play
from tests.crash.scenarios import (
    Scenario,
    asked_for,
    by_persons_words,
    canary_taken_back,
    inference_service,
    publishes,
    scored,
    serves,
    serving_pods,
    training_job,
)
from tests.crash.taken import BODIES, THEIRS, Strangers, told
from tests.crash.world import World
from tests.support import objects as o

BOUNDS = {"minReplicas": 2, "maxReplicas": 6, "targetCPUUtilizationPercentage": 80}


async def autoscaled_canary_taken_back(world: World) -> None:
    world.surroundings.errors.add("cars-2")
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service(autoscaling=BOUNDS, replicas=4))
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    asked_for(world, "second")
    await world.until(lambda: world.status(INFERENCE_SERVICES, "cars").get("failedRevision"), "it is taken back")
    await world.until(lambda: world.status(INFERENCE_SERVICES, "cars")["phase"] == "RolledBack", "it serves alone")
    assert len(serving_pods(world)) == 4


@pytest.mark.parametrize(
    ("scenario", "resource", "name"),
    [
        (canary_taken_back, POD_DISRUPTION_BUDGETS, "cars"),
        (canary_taken_back, PROMETHEUS_RULES, "cars-modelmill-rules"),
        (by_persons_words, SERVICES, "cars-preview"),
        (autoscaled_canary_taken_back, HORIZONTAL_POD_AUTOSCALERS, "cars-.*"),
    ],
    ids=lambda one: one.kind if isinstance(one, Resource) else getattr(one, "__name__", None),
)
def test_what_is_taken_back_is_recorded_though_a_name_is_taken(
    scenario: Callable[[World], Awaitable[None]], resource: Resource, name: str
) -> None:
    strangers = Strangers([(resource.kind, name)])
    said: list[str] = []

    def look(world: World) -> None:
        said.append(told(world, INFERENCE_SERVICES))

    outcome = play(Scenario("taken", scenario, publishes, 720), strangers.strike, at_rest=look)
    # A new operator asks again for what is refused.
    again = f"left undone until a restart: apply {resource.kind} "
    assert [one for one in outcome.problems if not one.startswith(again)] == []
    assert strangers.taken
    status = outcome.end["InferenceService ml/cars"]["status"]
    assert status["phase"] == "RolledBack"
    conditions = {one["type"]: one for one in status["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("True", "RolledBack")
    refused = conditions["ChildRefused"]
    assert (refused["status"], refused["reason"]) == ("True", "NameConflict")
    words = (
        f"{kind} ml/{one} belongs to somebody else and is left as it is; delete it" for kind, one in strangers.taken
    )
    assert any(sentence in said[0] for sentence in words)
    about = {PROMETHEUS_RULES: "MonitoringReady", HORIZONTAL_POD_AUTOSCALERS: "ScalingActive"}.get(resource)
    if about is not None:
        assert (conditions[about]["status"], conditions[about]["reason"]) == ("False", "NameConflict")


async def autoscaled_by_nobody(world: World) -> None:
    steps = [{"weight": 25}, {"pauseSeconds": 10}, {"weight": 50}, {"pauseSeconds": 10}]
    rollout = {"strategy": "Canary", "steps": steps}
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service(autoscaling=BOUNDS, replicas=4, rollout=rollout))
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    asked_for(world, "second")
    await world.until(lambda: serves(world, "cars-2"), "the second version serves")
    assert len(serving_pods(world)) == 4


def test_a_rollout_has_its_pods_though_no_autoscaler_can_be_made() -> None:
    strangers = Strangers([(HORIZONTAL_POD_AUTOSCALERS.kind, "cars-.*")])
    outcome = play(Scenario("no autoscaler", autoscaled_by_nobody, publishes, 200), strangers.strike)
    assert len(strangers.taken) == 2
    again = f"left undone until a restart: apply {HORIZONTAL_POD_AUTOSCALERS.kind} "
    assert [one for one in outcome.problems if not one.startswith(again)] == []


async def shadow_without_its_service(world: World) -> None:
    rollout = {"strategy": "Shadow", "shadow": {"seconds": 40}}
    world.api.create(SERVICES, {"metadata": {"name": "cars-preview", "namespace": "ml"}, **BODIES[SERVICES]})
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service(rollout=rollout))
    await world.until(lambda: serves(world, "cars-1"), "the first version serves")
    asked_for(world, "second")
    await world.until(lambda: world.status(INFERENCE_SERVICES, "cars").get("canary"), "the second version comes")
    for _ in range(300):
        await world.second()
        assert not world.api.find(CONFIG_MAPS, "cars-shadow"), "people's requests would go to a stranger"
    assert world.status(INFERENCE_SERVICES, "cars")["stable"]["version"] == "cars-1"
    world.api.delete(SERVICES, "ml", "cars-preview")
    await world.until(lambda: serves(world, "cars-2"), "it is compared, and serves")


def test_nothing_is_mirrored_to_a_strangers_service() -> None:
    outcome = play(Scenario("shadow without", shadow_without_its_service, publishes, 2000))
    assert outcome.problems == []
    assert "cars-2" in str(outcome.end["InferenceService ml/cars"]["status"]["stable"])


COUNTS = "cars-modelmill-counts"


async def counted_without_its_config_map(world: World) -> None:
    """What was counted changes every few seconds; nobody looks at the name for half an hour."""
    monitoring = {"engine": "Embedded", "drift": {"windowSeconds": 60}}
    world.surroundings.values.told = True
    world.api.create(CONFIG_MAPS, {"metadata": {"name": COUNTS, "namespace": "ml"}, **BODIES[CONFIG_MAPS]})
    world.api.create(TRAINING_JOBS, training_job())
    world.api.create(INFERENCE_SERVICES, inference_service(monitoring=monitoring))
    await world.until(lambda: told(world, INFERENCE_SERVICES), "it is told")
    for _ in range(1800):
        await world.second()
        assert "ConfigMap ml/cars-modelmill-counts belongs to somebody else" in told(world, INFERENCE_SERVICES)
    assert world.api.get(CONFIG_MAPS, "ml", COUNTS)["data"] == {"theirs": "text"}
    world.api.delete(CONFIG_MAPS, "ml", COUNTS)
    await world.until(lambda: world.api.find(CONFIG_MAPS, COUNTS), "what was counted is kept")
    assert decode(world.api.get(CONFIG_MAPS, "ml", COUNTS)["data"][COUNTS_KEY]).rings
    await world.until(lambda: not told(world, INFERENCE_SERVICES), "nothing is told any more")


def test_counts_whose_name_is_taken_are_tried_less_and_less_often_however_they_change() -> None:
    tries = []

    def strike(world: World, write: Write) -> None:
        if write.name == COUNTS and not tries[8:]:
            tries.append(world.clock())

    outcome = play(Scenario("counts of a stranger", counted_without_its_config_map, publishes, 3600), strike)
    assert outcome.problems == []
    waits = [(later - one).total_seconds() for one, later in pairwise(tries)]
    assert len(waits) == 8
    assert all(wait >= 2**failures / 2 for failures, wait in enumerate(waits)), waits


async def search_with_a_taken_name(world: World) -> None:
    world.api.create(TRAINING_JOBS, training_job(tuning=o.tuning(parallelTrials=2, maxTrials=4)))

    def trials() -> dict[str, int]:
        return (world.status(TRAINING_JOBS, "cars").get("currentRun") or {}).get("trials") or {}

    await world.until(lambda: trials().get("succeeded") == 3, "the other trials")
    assert trials()["running"] == 1
    assert "Job ml/" in told(world, TRAINING_JOBS)
    (taken,) = (job for job in world.api.of(JOBS) if job["metadata"]["labels"] == THEIRS)
    world.api.delete(JOBS, "ml", taken["metadata"]["name"])
    await world.until(lambda: world.api.find(MODEL_VERSIONS, "cars-1"), "a version")


def test_a_trial_whose_name_is_taken_waits_and_the_others_go_on() -> None:
    strangers = Strangers([(JOBS.kind, r".*-t1")])
    outcome = play(Scenario("taken trial", search_with_a_taken_name, scored, 600), strangers.strike)
    assert outcome.problems == []
    status = outcome.end["TrainingJob ml/cars"]["status"]
    assert status["lastRun"]["trials"]["succeeded"] == 4
    assert "ChildRefused" not in {one["type"] for one in status["conditions"]}


async def two_services_of_one_name(world: World) -> None:
    """The preview of one has the name of the other, which is there first."""
    world.api.create(MODEL_VERSIONS, o.model_version("cars-1"))
    world.api.create(INFERENCE_SERVICES, inference_service("cars-preview"))
    await world.until(lambda: world.status(INFERENCE_SERVICES, "cars-preview").get("phase") == "Stable", "one serves")
    world.api.create(INFERENCE_SERVICES, inference_service(rollout={"strategy": "BlueGreen"}))
    await world.until(lambda: serves(world, "cars-1"), "the other one serves, too")
    for _ in range(400):
        await world.second()
    assert "Service ml/cars-preview belongs to somebody else (InferenceService cars-preview)" in told(
        world, INFERENCE_SERVICES
    )
    world.api.delete(INFERENCE_SERVICES, "ml", "cars-preview")
    for _ in range(3):
        await world.second()
    assert _is_of(world, "cars"), "the back-off is at minutes"
    for _ in range(5):
        await world.second()
    assert not told(world, INFERENCE_SERVICES)


def _is_of(world: World, owner: str) -> bool:
    found = world.api.find(SERVICES, "cars-preview")
    return found is not None and found["metadata"]["ownerReferences"][0]["name"] == owner


def test_the_end_of_a_conflict_is_noticed_by_the_watch() -> None:
    outcome = play(Scenario("two of one name", two_services_of_one_name, publishes, 600))
    assert outcome.problems == []
