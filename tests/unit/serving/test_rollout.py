"""InferenceService: rollouts that go well, played against the simulated cluster."""

from __future__ import annotations

import pytest

from modelmill.kube.conditions import find
from modelmill.serving.capacity import candidate_pods
from tests.support import objects as o
from tests.support.made_aside import applied
from tests.unit.serving.simulated import ANALYSIS, KINDS, World, condition, revision_of, seconds_between


def test_first_version_is_deployed_at_once_and_serves_when_all_pods_are_ready() -> None:
    world = World()
    world.reconcile()
    assert world.status["phase"] == "Deploying"
    assert condition(world, "Ready")[:2] == ("False", "PodsNotReady")
    world.run(2)
    assert world.status["phase"] == "Stable"
    assert world.status["history"][0]["version"] == "cars-1"
    assert world.events == ["Deploying", "Serving"]
    assert condition(world, "Available")[2] == "cars-1 at http://cars.ml.svc"


def test_nothing_approved_is_said_and_nothing_is_made() -> None:
    world = World(versions=())
    made = world.reconcile()
    assert applied(made) == []
    assert condition(world, "Ready")[1] == "NoApprovedVersion"
    assert "modelmill.dev/model=cars" in condition(world, "Ready")[2]
    assert condition(world, "Stalled")[0] == "False"
    assert "url" not in world.status


def test_planning_twice_changes_nothing() -> None:
    world = World().serving()
    before, writes = world.status, dict(world.writes)
    made = world.reconcile()
    assert made.status == before
    assert made.delete == []
    assert made.requeue_after is None
    world.restart_operator()
    world.run(700)
    assert world.writes == writes


def test_canary_goes_step_by_step_and_keeps_its_pods() -> None:
    world = World().serving()
    world.add("cars-2")
    world.reconcile()
    canary = world.status["canary"]
    assert (canary["version"], canary["weight"], canary["replicas"]) == ("cars-2", 25, 1)
    assert world.status["stable"]["replicas"] == 4
    assert "modelmill.dev/revision" not in world.service["spec"]["selector"]
    world.settle()
    assert world.status["stable"]["replicas"] == 3
    assert world.status["weight"] == "25/25"
    names = {pod["metadata"]["name"] for pod in world.pods if revision_of(pod) == canary["revision"]}
    world.run(40)
    assert world.status["phase"] == "Stable"
    assert world.status["stable"]["version"] == "cars-2"
    assert names <= {pod["metadata"]["name"] for pod in world.pods}
    assert [entry["outcome"] for entry in world.status["history"]] == ["Serving", "Replaced"]
    assert {revision_of(d) for d in world.deployments.values()} == {world.status["stable"]["revision"]}
    assert world.events[2:] == ["RolloutStarted", "WeightSet", "WeightSet", "Promoted"]
    assert world.lost == 0


def test_a_rollout_takes_its_pauses_and_few_writes() -> None:
    world = World().serving()
    world.add("cars-2")
    world.writes.clear()
    world.run(60)
    first, second = world.status["history"]
    assert 20 <= seconds_between(second["startTime"], first["startTime"]) <= 30
    assert second["endTime"] == first["startTime"]
    assert world.writes["status"] <= 12
    assert world.writes["Service"] == 2


def test_pause_without_analysis_ends_by_its_timer() -> None:
    world = World(steps=[{"weight": 25}, {"pauseSeconds": 500}], analysis=None).serving()
    world.add("cars-2")
    world.run(400)
    assert world.status["canary"]["step"] == 1
    assert "pauses until" in condition(world, "Reconciling")[2]
    world.run(120)
    assert world.status["stable"]["version"] == "cars-2"


def test_each_weight_needs_a_measurement_of_its_own() -> None:
    world = World(steps=[{"weight": 25}, {"weight": 50}]).serving()
    world.add("cars-2")
    world.run(1)
    while world.status["canary"]["weight"] != 50:
        world.run(1)
    world.rate = 0
    for codes in world.traffic.codes.values():
        codes.clear()
    assert len(world.status["canary"]["analysis"]) == 1
    world.run(300)
    assert world.status["canary"]["weight"] == 50
    world.rate = 40
    world.run(20)
    assert world.status["stable"]["version"] == "cars-2"


def test_leading_pause_needs_no_measurement() -> None:
    world = World(steps=[{"pauseSeconds": 5}, {"weight": 50}]).serving()
    world.add("cars-2")
    world.settle()
    assert (world.status["canary"]["weight"], world.status["canary"]["replicas"]) == (0, 0)
    world.run(30)
    assert world.status["stable"]["version"] == "cars-2"


def test_change_half_way_restarts_against_the_stable_version() -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(3)
    second = world.status["canary"]["revision"]
    world.add("cars-3")
    world.reconcile()
    assert world.status["phase"] == "RollingBack"
    assert world.status["canary"]["weight"] == 0
    world.run(3)
    assert (world.status["canary"]["version"], world.status["canary"]["step"]) == ("cars-3", 1)
    assert f"cars-{second}" not in world.deployments
    world.run(60)
    assert world.status["stable"]["version"] == "cars-3"
    told = [(entry["version"], entry["outcome"]) for entry in world.status["history"]]
    assert told == [("cars-3", "Serving"), ("cars-2", "Superseded"), ("cars-1", "Replaced")]
    assert world.status["history"][1]["message"] == "cars-3 is to serve"


def test_rejecting_the_new_version_goes_back_without_calling_it_failed() -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(3)
    world.reject("cars-2")
    world.run(3)
    assert world.status["phase"] == "Stable"
    assert world.status["stable"]["version"] == "cars-1"
    assert "failedRevision" not in world.status
    assert len(world.deployments) == 1
    assert world.status["history"][0]["message"] == "cars-2 was rejected; cars-1 is to serve"
    assert world.events[-1] == "Superseded"
    assert world.events.count("Superseded") == 1
    assert world.messages[-1] == "cars-2 is taken away, cars-1 serves: cars-2 was rejected; cars-1 is to serve"


def test_deleting_the_new_version_says_so() -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(3)
    world.versions[-1]["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    world.reconcile()
    world.run(3)
    assert world.status["history"][0]["message"] == "cars-2 is being deleted; cars-1 is to serve"
    assert world.events.count("Superseded") == 1


def test_rejecting_the_new_version_and_the_old_one_says_both() -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(3)
    world.reject("cars-1")
    world.reject("cars-2")
    world.run(3)
    assert world.status["stable"]["version"] == "cars-1"
    told = world.status["history"][0]["message"]
    assert told.startswith("cars-2 was rejected; no ModelVersion labelled modelmill.dev/model=cars is approved")


def test_rejecting_the_pinned_new_version_says_so_once() -> None:
    world = World().serving()
    world.add("cars-2")
    world.parent["spec"]["model"] = {"name": "cars", "version": "cars-2"}
    world.run(3)
    world.reject("cars-2")
    world.run(3)
    assert world.status["history"][0]["message"] == "cars-2 is rejected; approve it or name another version"


def test_candidate_that_fails_is_taken_back_and_not_called_superseded() -> None:
    world = World().serving()
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(60)
    assert world.events.count("RolledBack") == 1
    assert "Superseded" not in world.events


def test_rejecting_the_version_that_serves_rolls_to_the_one_before() -> None:
    world = World(versions=("cars-1", "cars-2")).serving()
    assert world.status["stable"]["version"] == "cars-2"
    world.reject("cars-2")
    world.run(1)
    assert world.status["canary"]["version"] == "cars-1"
    world.run(60)
    assert world.status["stable"]["version"] == "cars-1"
    world.reject("cars-1")
    world.run(5)
    status, reason, message = condition(world, "Ready")
    assert (status, reason) == ("True", "NoApprovedVersion")
    assert "cars-1 serves with 4 of 4 pods ready and goes on serving" in message


def test_direct_replaces_all_at_once_without_less_capacity() -> None:
    world = World(strategy="Direct", steps=None, analysis=None).serving()
    world.add("cars-2")
    world.reconcile()
    assert world.status["canary"]["replicas"] == 4
    assert world.status["stable"]["replicas"] == 4
    world.run(3)
    assert world.status["stable"]["version"] == "cars-2"
    assert world.lost == 0


def test_steps_that_become_fewer_half_way_do_not_promote_too_few_pods() -> None:
    world = World(steps=[{"weight": 25}, {"pauseSeconds": 500}, {"weight": 50}, {"pauseSeconds": 500}], analysis=None)
    world.serving().add("cars-2")
    world.run(600)
    assert world.status["canary"]["step"] == 3
    world.parent["spec"]["rollout"]["steps"] = [{"weight": 25}]
    world.reconcile()
    assert world.status["canary"]["replicas"] == 4
    assert world.status["stable"]["version"] == "cars-1"
    world.run(3)
    assert world.status["stable"] == world.status["stable"] | {"version": "cars-2", "ready": 4}


@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
def test_scaling_half_way(replicas: int) -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(5)
    world.parent["spec"]["replicas"] = replicas
    world.reconcile()
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
    assert world.status["readyReplicas"] == f"{replicas}/{replicas}"
    assert len(world.budgets) == (replicas > 1)
    assert world.lost == 0


def test_pinned_version_that_is_not_there_stalls_and_keeps_serving() -> None:
    world = World().serving()
    world.parent["spec"]["model"] = {"name": "cars", "version": "cars-9"}
    world.reconcile()
    assert condition(world, "Stalled")[:2] == ("True", "VersionNotFound")
    assert condition(world, "Ready")[0] == "True"
    assert world.status["stable"]["ready"] == 4
    world.add("cars-9")
    world.run(60)
    assert world.status["stable"]["version"] == "cars-9"


def test_first_version_that_is_only_partly_ready_is_not_dropped_for_the_next() -> None:
    world = World()
    world.room = 3
    world.run(5)
    assert (world.status["phase"], world.status["stable"]["ready"]) == ("Deploying", 3)
    assert "0/1 nodes are available" in condition(world, "Ready")[2]
    world.add("cars-2")
    world.reconcile()
    assert world.status["stable"]["version"] == "cars-1"
    world.room = 9
    world.run(90)
    assert world.status["stable"]["version"] == "cars-2"
    assert world.lost == 0


def test_first_version_that_cannot_start_is_replaced_at_once() -> None:
    world = World()
    world.broken = {"cars-1"}
    world.run(3)
    assert condition(world, "Stalled")[1] == "GoldenMismatch"
    world.add("cars-2")
    world.run(3)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("Stable", "cars-2")
    assert len(world.deployments) == 1


def test_first_deployment_past_its_deadline_is_stalled() -> None:
    world = World()
    world.slow = {"cars-1"}
    world.run(2)
    (deployment,) = world.deployments.values()
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    deployment["status"]["conditions"].append(late)
    world.reconcile()
    assert condition(world, "Stalled")[:2] == ("True", "ProgressDeadlineExceeded")


def test_other_concerns_keep_their_fields() -> None:
    world = World()
    world.parent["spec"]["monitoring"] = {"engine": "Prometheus"}
    world.serving()
    assert world.children[KINDS["PrometheusRule"]]
    world.parent["status"] |= {"alerts": [o.alert()]}
    made = world.reconcile()
    assert made.status is not None
    assert made.status["alerts"] == [o.alert()]
    assert made.status["monitoring"]["state"] == "Alert"
    assert find(made.status, "DriftDetected") is not None
    del world.parent["spec"]["monitoring"]
    world.reconcile()
    world.run(30)
    assert not world.children[KINDS["PrometheusRule"]]
    assert find(world.status, "DriftDetected") is None
    assert world.status["monitoring"] == {"state": "NotConfigured"}


def test_measured_interval_begins_after_the_restart_of_the_operator() -> None:
    world = World(analysis={**ANALYSIS, "minRequests": 5}).serving()
    world.add("cars-2")
    world.run(13)
    step = world.status["canary"]["step"]
    world.restart_operator()
    world.reconcile()
    assert world.status["canary"]["step"] == step
    world.run(40)
    assert world.status["stable"]["version"] == "cars-2"


@pytest.mark.parametrize(
    ("replicas", "weight", "pods"),
    [(4, 25, 1), (4, 50, 2), (4, 1, 1), (10, 33, 3), (10, 99, 10), (1, 50, 1), (2, 100, 2), (3, 0, 0)],
)
def test_canary_pods_for_a_weight(replicas: int, weight: int, pods: int) -> None:
    assert candidate_pods(replicas, weight) == pods
