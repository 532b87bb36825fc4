"""InferenceService: versions that are taken back, played against the simulated cluster."""

from __future__ import annotations

import pytest

from modelmill.kube.conditions import find
from tests.unit.serving.simulated import ANALYSIS, World, condition, revision_of, set_ready


def failed(world: World) -> World:
    """Roll cars-2 out, which answers 500, until it is taken back."""
    world.serving().add("cars-2")
    world.errors = {"cars-2"}
    world.run(30)
    assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    return world


def test_failed_analysis_takes_it_back_and_does_not_try_again() -> None:
    world = failed(World())
    assert world.status["stable"]["ready"] == 4
    assert "ErrorRatio 1 > 0.01" in world.status["failedMessage"]
    assert world.events.count("RolledBack") == 1
    assert condition(world, "Stalled")[:2] == ("True", "RolledBack")
    assert condition(world, "Ready")[0] == "True"
    assert len(world.deployments) == 1
    world.errors = set()
    world.restart_operator()
    world.run(100)
    assert world.events.count("RolloutStarted") == 1


def test_traffic_goes_first_then_the_stable_track_grows_then_the_canary_goes() -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(2)
    canary = world.status["canary"]["revision"]
    assert world.status["stable"]["replicas"] == 3
    world.errors = {"cars-2"}
    world.time += 5
    world._serve()
    world.reconcile()
    assert world.status["phase"] == "RollingBack"
    assert world.service["spec"]["selector"]["modelmill.dev/revision"] == world.status["stable"]["revision"]
    assert world.deployments[f"cars-{canary}"]["spec"]["replicas"] == 1
    assert world.status["stable"]["replicas"] == 4
    assert condition(world, "Ready")[0] == "False"
    assert condition(world, "Available")[2] == "cars-1 at http://cars.ml.svc"
    world.kubelet()
    world.reconcile()
    assert world.status["phase"] == "RolledBack"
    assert f"cars-{canary}" in world.deployments
    world.reconcile()
    assert f"cars-{canary}" not in world.deployments


def test_pods_that_are_about_to_go_do_not_let_the_canary_go() -> None:
    """The stable track was made smaller in the plan before: its pods are all ready still, and one of them goes."""
    world = World(replicas=2, steps=[{"weight": 50}, {"pauseSeconds": 100}], analysis=None).serving()
    world.add("cars-2")
    stable = world.deployments[f"cars-{world.status['stable']['revision']}"]["metadata"]["name"]
    while world.deployments[stable]["spec"]["replicas"] == 2:
        world.kubelet()
        world.reconcile()
    canary = world.status["canary"]["revision"]
    assert world.view().ready(world.status["stable"]["revision"]) == 2
    world.say("abort")
    world.reconcile()
    assert (world.status["phase"], world.status["canary"]["revision"]) == ("RollingBack", canary)
    world.deployments[stable]["metadata"]["generation"] = 3
    world.deployments[stable]["status"] = {"observedGeneration": 2}
    world.reconcile()
    assert (world.status["phase"], world.status["canary"]["revision"]) == ("RollingBack", canary)
    world.deployments[stable]["status"] = {"observedGeneration": 3}
    world.reconcile()
    assert (world.status["phase"], world.status.get("canary")) == ("RolledBack", None)


def test_canary_that_is_wanted_again_while_it_drains_begins_anew() -> None:
    world = World(steps=[{"weight": 50}, {"pauseSeconds": 100}], analysis=None).serving()
    world.add("cars-2")
    world.run(20)
    assert world.status["canary"]["step"] == 1
    world.parent["spec"]["model"] = {"name": "cars", "version": "cars-1"}
    world.reconcile()
    assert world.status["phase"] == "RollingBack"
    world.parent["spec"]["model"] = {"name": "cars", "follow": "Approved"}
    world.reconcile()
    assert world.status["phase"] == "RollingBack"
    world.run(3)
    assert world.events.count("RolloutStarted") == 2
    assert world.status["canary"]["startTime"] > world.status["history"][0]["startTime"]


def test_canary_without_traffic_does_not_hold_the_room_that_the_stable_track_needs() -> None:
    world = World(steps=[{"weight": 50}, {"pauseSeconds": 10}])
    world.room = 6
    world.serving().add("cars-2")
    world.run(3)
    world.room = 4
    world.errors = {"cars-2"}
    world.run(6)
    assert world.status["phase"] == "RollingBack"
    assert (world.status["stable"]["replicas"], world.status["stable"]["ready"]) == (4, 2)
    world.run(40)
    assert world.status["phase"] == "RolledBack"
    assert world.status["stable"]["ready"] == 4
    assert len(world.deployments) == 1


def test_stable_track_without_a_ready_pod_does_not_take_the_traffic() -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(8)
    world.slow = {"cars-1"}
    world.errors = {"cars-2"}
    world.settle()
    world.run(60)
    assert world.status["failedRevision"]
    assert {revision_of(pod) for pod in world.selected()} == {world.status["failedRevision"]}
    world.slow = set()
    world.run(5)
    assert {revision_of(pod) for pod in world.selected()} == {world.status["stable"]["revision"]}
    assert len(world.deployments) == 1


def test_new_version_leaves_rolled_back() -> None:
    world = failed(World())
    world.add("cars-3")
    world.run(60)
    assert world.status["stable"]["version"] == "cars-3"
    assert "failedRevision" not in world.status
    assert find(world.status, "RolledBack") is None
    assert condition(world, "Stalled")[0] == "False"


def test_many_failures_in_a_row_do_not_forget_what_serves() -> None:
    world = failed(World())
    for number in range(3, 56):
        world.add(f"cars-{number}")
        world.errors = {f"cars-{number}"}
        world.run(30)
        assert (world.status["phase"], world.status["stable"]["version"]) == ("RolledBack", "cars-1")
    assert len(world.status["history"]) == 50
    assert world.status["history"][-1]["outcome"] == "Serving"


def test_retry_annotation_tries_once_more() -> None:
    world = failed(World())
    world.parent["metadata"]["annotations"] = {"modelmill.dev/retry": "please"}
    world.reconcile()
    world.run(30)
    assert world.events.count("RolloutStarted") == 2
    assert world.status["phase"] == "RolledBack"
    world.run(60)
    assert world.events.count("RolloutStarted") == 2
    world.errors = set()
    world.parent["metadata"]["annotations"] = {"modelmill.dev/retry": "mended"}
    world.reconcile()
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


def test_a_retry_annotation_longer_than_what_is_kept_tries_once_more() -> None:
    world = failed(World())
    world.parent["metadata"]["annotations"] = {"modelmill.dev/retry": "x" * 300}
    world.reconcile()
    world.run(200)
    assert world.events.count("RolloutStarted") == 2


def test_retry_is_not_blamed_for_the_pods_of_the_try_before() -> None:
    """The Deployment is gone at once, its pods a little later, and the next one has the same name."""
    world = World().serving()
    world.broken = {"cars-2"}
    world.add("cars-2")
    world.reconcile()
    world.kubelet()
    left = [pod for pod in world.pods if revision_of(pod) == world.status["canary"]["revision"]]
    world.reconcile()
    world.settle()
    assert world.status["phase"] == "RolledBack"
    assert len(world.deployments) == 1
    world.broken = set()
    world.time += 1
    world.parent["metadata"]["annotations"] = {"modelmill.dev/retry": "1"}
    world.pods += left
    world.reconcile()
    world.reconcile()
    assert world.status["phase"] == "RollingOut"
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


def test_pods_that_start_slowly_get_their_time_to_answer() -> None:
    steps = [{"weight": 25}, {"weight": 50}]
    world = World(steps=steps, analysis={**ANALYSIS, "onInsufficientData": "Fail"}).serving()
    world.slow = {"cars-2"}
    world.add("cars-2")
    world.run(20)
    world.slow = set()
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


def test_quiet_canary_is_held_by_default_and_scraped_rarely() -> None:
    world = World().serving()
    world.rate = 2
    world.add("cars-2")
    world.run(20)
    assert world.status["canary"]["step"] == 1
    assert "requests needed" in condition(world, "Reconciling")[2]
    writes, scrapes = world.writes["status"], world.traffic.scrapes
    world.rate = 0
    world.run(100)
    assert world.status["canary"]["step"] == 1
    assert world.writes["status"] == writes
    assert world.traffic.scrapes - scrapes <= 100 * 4
    world.rate = 40
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


@pytest.mark.parametrize(("policy", "version"), [("Pass", "cars-2"), ("Fail", "cars-1")])
@pytest.mark.parametrize("steps", [[{"weight": 25}, {"pauseSeconds": 2}], [{"weight": 25}, {"weight": 50}]])
def test_quiet_canary_by_policy(policy: str, version: str, steps: list[dict[str, int]]) -> None:
    world = World(steps=steps, analysis={**ANALYSIS, "onInsufficientData": policy}).serving()
    world.rate = 1
    world.add("cars-2")
    world.run(60)
    assert world.status["stable"]["version"] == version
    assert world.status.get("canary") is None
    assert ("InsufficientData" in world.status.get("failedMessage", "")) == (policy == "Fail")


def test_policy_counts_only_after_a_measurement() -> None:
    """A pause that is shorter than the interval is still measured before it is judged."""
    world = World(
        steps=[{"weight": 25}, {"pauseSeconds": 3}],
        analysis={**ANALYSIS, "intervalSeconds": 30, "onInsufficientData": "Fail"},
    )
    world.serving().add("cars-2")
    world.run(30)
    assert world.status["stable"]["version"] == "cars-2"


@pytest.mark.parametrize("how", ["silent", "blank"])
def test_pods_without_figures_are_no_pods_without_requests(how: str) -> None:
    world = World().serving()
    setattr(world.traffic, how, True)
    world.add("cars-2")
    world.run(30)
    assert world.status["canary"]["step"] == 1
    text = condition(world, "Reconciling")[2]
    assert "Insufficient, no figures from 1 of 1 pods at /metrics" in text
    assert "0 of" not in text


def test_pods_that_fall_silent_after_too_few_requests_are_told() -> None:
    world = World(steps=[{"weight": 25}, {"pauseSeconds": 5000}]).serving()
    world.rate = 0
    world.add("cars-2")
    world.run(100)
    first = world.status["canary"]["analysis"][0]
    assert "0 of 20 requests needed" in condition(world, "Reconciling")[2]
    world.traffic.silent = True
    world.run(100)
    text = condition(world, "Reconciling")[2]
    assert "no figures from 1 of 1 pods at /metrics" in text
    assert f"measured since {first['time']}" not in text
    writes = len(world.status["canary"]["analysis"])
    world.run(100)
    assert len(world.status["canary"]["analysis"]) == writes


def test_tolerated_failure_is_counted_once_per_interval() -> None:
    world = World(analysis={**ANALYSIS, "failureLimit": 2}).serving()
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(8)
    assert world.status["canary"]["failures"] == 1
    world.run(5)
    assert world.status["canary"]["failures"] == 2
    world.run(5)
    assert world.status["phase"] == "RolledBack"


def test_thresholds_stay_armed_in_a_long_pause() -> None:
    world = World(steps=[{"weight": 25}, {"pauseSeconds": 5000}]).serving()
    world.add("cars-2")
    world.run(1000)
    assert [one["verdict"] for one in world.status["canary"]["analysis"]] == ["Pass"]
    world.errors = {"cars-2"}
    world.run(10)
    assert world.status["phase"] == "RolledBack"


def test_measurement_whose_record_was_refused_is_taken_again() -> None:
    world = World().serving()
    world.add("cars-2")
    world.run(5)
    world.errors = {"cars-2"}
    world.time += 5
    world._serve()
    world.refuse_status = True
    for _ in range(5):
        world.reconcile()
    world.refuse_status = False
    world.reconcile()
    assert "ErrorRatio" in world.status["failedMessage"]


def test_pods_that_say_why_they_end_are_taken_back_at_once() -> None:
    world = World().serving()
    world.broken = {"cars-2"}
    world.add("cars-2")
    world.settle()
    assert world.status["phase"] == "RolledBack"
    message = world.status["failedMessage"]
    assert message == "GoldenMismatch: container server exited with code 3: row 3 differs"
    assert "modelmill.dev/retry" in condition(world, "RolledBack")[2]


def test_pods_that_never_become_ready_are_taken_back_after_the_deadline() -> None:
    world = World(progressDeadlineSeconds=60).serving()
    world.slow = {"cars-2"}
    world.add("cars-2")
    world.run(59)
    assert world.status["phase"] == "RollingOut"
    world.run(5)
    assert world.status["phase"] == "RolledBack"
    assert "ProgressDeadlineExceeded: 0 of 1 pods ready after 60 s" in world.status["failedMessage"]


def test_pod_that_is_away_for_a_moment_in_a_long_pause_is_no_failure() -> None:
    world = World(steps=[{"weight": 50}, {"pauseSeconds": 5000}], analysis=None).serving()
    world.add("cars-2")
    world.run(2000)
    canary = next(pod for pod in world.pods if revision_of(pod) == world.status["canary"]["revision"])
    set_ready(canary, False, world.time)
    world.reconcile()
    assert world.status["phase"] == "RollingOut"
    assert world.status["stable"]["replicas"] == 3
    world.slow = {"cars-2"}
    world.run(601)
    assert world.status["phase"] == "RolledBack"


def test_a_quiet_canary_that_holds_says_what_would_release_it() -> None:
    world = World().serving()
    world.rate = 1
    world.add("cars-2")
    world.run(8)
    assert condition(world, "Reconciling")[1] == "RollingOut"
    world.run(60)
    status, reason, message = condition(world, "Reconciling")
    assert (status, reason) == ("True", "InsufficientData")
    assert "it goes on when there are more requests" in message
    world.rate = 40
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


def test_a_canary_of_few_requests_that_all_fail_is_taken_back() -> None:
    world = World(analysis={**ANALYSIS, "minRequests": 10_000}).serving()
    world.errors = {"cars-2"}
    world.add("cars-2")
    world.run(60)
    assert world.status["phase"] == "RolledBack"
    assert world.status["history"][0]["message"].startswith("AnalysisFailed: ErrorRatio 1 > 0.01")


@pytest.mark.parametrize("passes", [1, 3])
def test_a_step_takes_as_many_passing_measurements_in_a_row_as_are_asked_for(passes: int) -> None:
    analysis = {**ANALYSIS, "consecutiveSuccessLimit": passes}
    world = World(steps=[{"weight": 25}, {"weight": 50}], analysis=analysis).serving()
    world.add("cars-2")
    world.run(2 * passes * ANALYSIS["intervalSeconds"] - 1)
    assert world.status["stable"]["version"] == "cars-1"
    assert ("3 measurements in a row" in condition(world, "Reconciling")[2]) == (passes == 3)
    world.run(20)
    assert world.status["stable"]["version"] == "cars-2"
