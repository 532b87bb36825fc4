"""InferenceService with traffic by an HTTPRoute: exact weights, and nothing before the gateway has taken them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.kube.resources import SERVICES
from modelmill.workloads.pod_status import is_ready
from tests.unit.serving.events import EVENTS, happen
from tests.unit.serving.gatewayed import OWN, PARENT, THEIRS, Gatewayed, backends, route
from tests.unit.serving.simulated import ANALYSIS, condition, revision_of, seconds_between

STEPS = [{"weight": 10}, {"pauseSeconds": 10}, {"weight": 50}, {"pauseSeconds": 10}]


def gatewayed(**more: Any) -> Gatewayed:
    return Gatewayed(**{"steps": STEPS, **more})


def test_a_rollout_gives_exact_weights_and_the_stable_version_keeps_its_pods() -> None:
    world = gatewayed(replicas=2).serving()
    assert isinstance(world, Gatewayed)
    assert (world.weights, world.status["weight"]) == ((100, 0), "-")
    world.add("cars-2")
    seen = []
    for _ in range(40):
        world.run(1)
        canary = world.status.get("canary")
        if canary is not None:
            assert world.status["stable"]["replicas"] == 2
            seen.append((canary["weight"], canary["actualWeight"], canary["replicas"], world.got["cars-2"]))
    assert {(10, 10, 1, 4), (50, 50, 1, 20)} <= set(seen)
    assert world.status["stable"]["version"] == "cars-2"
    assert world.weights == (100, 0)
    assert len(world.pods) == 2
    assert world.lost == 0
    writes = dict(world.writes)
    world.restart_operator()
    world.run(700)
    assert world.writes == writes


def test_in_cluster_callers_get_the_stable_version_until_the_promotion() -> None:
    world = gatewayed().serving()
    assert isinstance(world, Gatewayed)
    world.add("cars-2")
    world.run(8)
    assert world.status["canary"]["actualWeight"] == 10
    assert {pod["metadata"]["labels"]["modelmill.dev/model-version"] for pod in world.behind("cars")} == {"cars-1"}
    assert {pod["metadata"]["labels"]["modelmill.dev/model-version"] for pod in world.behind("cars-canary")} == {
        "cars-2"
    }


def test_the_clock_of_a_step_starts_when_the_gateway_has_taken_its_weight() -> None:
    world = gatewayed(steps=[{"weight": 20}]).serving()
    assert isinstance(world, Gatewayed)
    world.lag = 7
    world.add("cars-2")
    world.run(5)
    assert world.weights == (80, 20)
    assert "routedTime" not in world.status["canary"]
    assert "weight 20: waits until the gateways give" in condition(world, "Reconciling")[2]
    assert world.status["canary"]["actualWeight"] == 0
    world.run(5)
    canary = world.status["canary"]
    assert seconds_between(canary["stepTime"], canary["routedTime"]) >= 7
    world.run(40)
    assert world.status["stable"]["version"] == "cars-2"
    assert world.lost == 0


@pytest.mark.parametrize(
    "rollout",
    [{"steps": STEPS}, *({"steps": None, "strategy": name} for name in ("BlueGreen", "Shadow", "Direct"))],
)
def test_a_version_whose_weight_no_gateway_takes_in_time_is_taken_back(rollout: dict[str, Any]) -> None:
    if rollout.get("strategy") == "Shadow":
        rollout = {**rollout, "shadow": {"seconds": 1}, "analysis": {**ANALYSIS, "onInsufficientData": "Pass"}}
    elif "strategy" in rollout:
        rollout = {**rollout, "analysis": None}
    world = gatewayed(progressDeadlineSeconds=60, **rollout).serving()
    assert isinstance(world, Gatewayed)
    world.lag = 10**9
    world.add("cars-2")
    world.run(50)
    assert world.status["phase"] == "RollingOut"
    assert "for at most 60 s" in condition(world, "Reconciling")[2]
    assert "has not answered about it yet" in condition(world, "Reconciling")[2]
    world.run(150)
    told = world.status["failedMessage"]
    assert "ProgressDeadlineExceeded: the gateways have not taken weight" in told
    assert "after 60 s; Gateway edge/gateway has not answered about it yet" in told
    assert world.status["phase"] == "RollingBack", (
        "its pods stay until the gateways have said that they send it nothing"
    )
    assert (world.got, world.lost) == ({"cars-1": 40}, 0)
    assert condition(world, "Ready")[0] == "True"
    world.lag = 0
    world.run(2)
    assert (world.status["phase"], len(world.deployments)) == ("RolledBack", 1)
    world.say("retry")
    world.run(100)
    assert world.status["stable"]["version"] == "cars-2"


def test_promotion_by_a_person_waits_for_its_own_weight_and_not_for_that_of_the_step_before() -> None:
    world = gatewayed(steps=[{"weight": 20}, {"pause": "Manual"}], progressDeadlineSeconds=60).serving()
    assert isinstance(world, Gatewayed)
    world.add("cars-2")
    world.run(30)
    assert world.status["canary"]["routedTime"]
    world.lag = 10**9
    world.say("promote-full")
    world.run(5)
    assert (world.status["canary"]["weight"], world.status["canary"]["actualWeight"]) == (100, 20)
    assert "routedTime" not in world.status["canary"]
    world.run(120)
    assert "have not taken weight 100 after 60 s" in world.status["failedMessage"]


def test_a_step_that_has_its_weight_when_it_begins_says_so_at_once() -> None:
    world = gatewayed(steps=[{"weight": 20}, {"pauseSeconds": 30}], analysis=None).serving()
    assert isinstance(world, Gatewayed)
    world.add("cars-2")
    world.run(5)
    canary = world.status["canary"]
    assert (canary["step"], canary["routedTime"]) == (1, canary["stepTime"])


def test_a_weight_that_was_given_once_in_a_step_has_no_deadline_again() -> None:
    world = gatewayed(steps=[{"weight": 20}, {"pause": "Manual"}], progressDeadlineSeconds=60).serving()
    assert isinstance(world, Gatewayed)
    world.add("cars-2")
    world.run(80)
    assert world.status["phase"] == "Paused"
    world.lag = 5
    spec = world.parent["spec"]["rollout"]["traffic"]
    world.parent["spec"]["rollout"]["traffic"] = {**spec, "hostnames": ["vans.example.com"]}
    world.reconcile()
    world.run(80)
    assert (world.status["phase"], world.status["canary"]["actualWeight"]) == ("Paused", 20)


def test_a_weight_that_is_refused_ends_the_rollout_with_the_words_of_the_refusal() -> None:
    world = gatewayed(progressDeadlineSeconds=60).serving()
    assert isinstance(world, Gatewayed)
    world.add("cars-2")
    world.reconcile()
    assert world.status["canary"]["version"] == "cars-2"
    world.refuses = "no listener fits the hostnames"
    world.run(100)
    assert world.status["phase"] == "RolledBack"
    assert "no listener fits the hostnames" in world.status["failedMessage"]
    assert world.lost == 0


def test_a_gateway_that_does_not_exist_is_told_of_a_service_at_rest() -> None:
    world = gatewayed()
    assert isinstance(world, Gatewayed)
    world.lag = 10**9
    world.serving()
    assert condition(world, "Reconciling")[:2] == ("True", "RouteNotAnswered")
    assert "does it exist" in condition(world, "Reconciling")[2]
    world.lag = 0
    world.reconcile()
    world.run(3)
    assert condition(world, "Reconciling")[:2] == ("False", "Settled")


def test_a_rollback_takes_the_weights_waits_for_the_gateway_and_then_the_pods() -> None:
    world = gatewayed(steps=[{"weight": 50}, {"pauseSeconds": 60}]).serving()
    assert isinstance(world, Gatewayed)
    world.errors = {"cars-2"}
    world.lag = 3
    world.add("cars-2")
    for _ in range(60):
        world.run(1)
        if world.status["phase"] == "RollingBack":
            break
    assert world.weights == (100, 0)
    assert world.got == {"cars-1": 40}, "whatever the gateway sends by"
    assert len(world.deployments) == 2
    world.lag = 10**9
    world.run(600)
    assert world.got == {"cars-1": 40}, "the canary Service is the stable version's"
    assert (world.status["phase"], len(world.deployments)) == ("RollingBack", 2)
    assert "gateways have taken" in condition(world, "Reconciling")[2]
    world.lag = 0
    world.run(2)
    assert (world.status["phase"], len(world.deployments)) == ("RolledBack", 1)
    assert world.lost == 0


def without_a_status(world: Gatewayed, seconds: int) -> Iterator[None]:
    """Let the time pass while the status cannot be written."""
    world.refuse_status = True
    for _ in range(seconds):
        world.reconcile()
        world.kubelet()
        world.time += 1
        yield
    world.refuse_status = False


@pytest.mark.parametrize(("step", "weight"), [(1, 10), (3, 50)])
def test_no_weight_is_given_that_the_status_does_not_say(step: int, weight: int) -> None:
    """The plan from the step before is made again and again: it must not take back what it has given itself."""
    world = gatewayed(replicas=2, analysis=None).serving()
    assert isinstance(world, Gatewayed)
    world.add("cars-2")
    while world.status.get("canary", {}).get("step") != step:
        world.run(1)
    given = {world.weights for _ in without_a_status(world, 60)}
    assert given == {(100 - weight, weight)}
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
    assert world.lost == 0


def test_no_header_is_given_that_the_status_does_not_say() -> None:
    steps = [{"weight": 10}, {"pauseSeconds": 5}, {"headerRoute": {"name": "x-canary", "value": "yes"}}, {"weight": 50}]
    world = gatewayed(steps=steps, analysis=None).serving()
    assert isinstance(world, Gatewayed)
    world.add("cars-2")
    while world.status.get("canary", {}).get("actualWeight") != 10:
        world.run(1)
    given = {len(world.routes["cars"]["spec"]["rules"]) for _ in without_a_status(world, 30)}
    assert given == {1}
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"


def test_a_rollout_right_after_another_does_not_begin_on_its_weights() -> None:
    world = gatewayed(steps=[{"weight": 100}]).serving()
    assert isinstance(world, Gatewayed)
    world.lag = 5
    for version in ("cars-2", "cars-3", "cars-4"):
        world.add(version)
        for _ in range(60):
            world.run(1)
            if world.status["stable"]["version"] == version:
                break
    world.run(60)
    assert world.status["stable"]["version"] == "cars-4"
    assert world.lost == 0


def test_without_the_gateway_api_it_is_told_and_goes_on_serving() -> None:
    world = gatewayed()
    world.installed = False
    world.run(5)
    assert world.status["phase"] == "Stable"
    assert condition(world, "Ready")[:2] == ("True", "GatewayAPIMissing")
    assert condition(world, "Stalled")[:2] == ("True", "GatewayAPIMissing")
    assert "install the Gateway API" in condition(world, "Stalled")[2]
    assert len(world.behind("cars")) == 4
    world.add("cars-2")
    world._wake = world.time
    world.run(60)
    assert world.status["stable"]["version"] == "cars-1"
    assert "canary" not in world.status
    world.installed, world._wake = True, world.time
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
    assert condition(world, "Stalled")[0] == "False"


def test_one_that_does_not_ask_for_it_has_neither_route_nor_canary_service() -> None:
    world = Gatewayed({"mode": "Replicas"})
    world.installed = False
    world.run(5)
    assert world.status["phase"] == "Stable"
    assert set(world.children[SERVICES]) == {"cars"}
    assert condition(world, "Stalled")[0] == "False"


def test_the_mode_can_be_changed_in_the_middle_of_a_rollout() -> None:
    world = gatewayed(steps=[{"weight": 25}, {"pauseSeconds": 20}]).serving()
    assert isinstance(world, Gatewayed)
    world.add("cars-2")
    world.run(6)
    world.parent["spec"]["rollout"]["traffic"] = {"mode": "Replicas"}
    world.reconcile()
    assert world.routes == {}
    assert set(world.children[SERVICES]) == {"cars"}
    assert world.status["canary"]["weight"] == 25


def test_requests_with_the_header_reach_the_candidate_before_it_has_a_weight() -> None:
    header = {"name": "x-canary", "value": "yes"}
    steps = [{"headerRoute": header}, {"pause": "Manual"}, {"weight": 10}, {"pauseSeconds": 10}]
    world = gatewayed(steps=steps).serving()
    assert isinstance(world, Gatewayed)
    world.lag = 2
    world.add("cars-2")
    world.run(8)
    assert world.status["canary"]["step"] == 1
    assert (world.status["canary"]["weight"], world.status["canary"]["replicas"]) == (0, 1)
    assert (world.got, world.tested) == ({"cars-1": 40}, {"cars-2"})
    first, second = world.routes["cars"]["spec"]["rules"]
    assert first["matches"] == [{"headers": [{"type": "Exact", **header}]}]
    assert second["backendRefs"] == backends(100, 0)
    world.parent["metadata"]["annotations"] = {"modelmill.dev/resume": "go on"}
    world._wake = world.time
    world.run(8)
    assert world.got == {"cars-1": 36, "cars-2": 4}
    assert world.tested == {"cars-2"}
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
    (only,) = world.routes["cars"]["spec"]["rules"]
    assert only == {"backendRefs": backends(100, 0)}
    assert world.lost == 0


def test_the_route_is_the_users_wish() -> None:
    world = gatewayed().serving()
    assert isinstance(world, Gatewayed)
    (one,) = world.routes.values()
    assert one["metadata"]["name"] == "cars"
    assert one["spec"] == {
        "parentRefs": [PARENT],
        "hostnames": ["cars.example.com"],
        "rules": [{"backendRefs": backends(100, 0)}],
    }


def test_of_a_route_of_the_users_only_the_two_weights_change() -> None:
    world = gatewayed(traffic=THEIRS)
    other = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/other"}}],
        "backendRefs": [{"name": "other", "port": 1}],
    }
    by_header = {
        "matches": [{"headers": [{"name": "x", "value": "y"}]}],
        "backendRefs": [{"name": "cars-canary", "port": 80}],
    }
    named = {"name": "mine", "timeouts": {"request": "3s"}, "backendRefs": [*reversed(backends())]}
    world.routes["front"] = route(other, by_header, named)
    world.run(5)
    assert world.status["phase"] == "Stable"
    spec = world.routes["front"]["spec"]
    assert spec["rules"] == [other, by_header, {**named, "backendRefs": [*reversed(backends(100, 0))]}]
    assert set(world.routes) == {"front"}
    world.add("cars-2")
    world.run(8)
    assert world.status["canary"]["actualWeight"] == 10
    assert world.routes["front"]["spec"]["rules"][2]["backendRefs"] == [*reversed(backends(90, 10))]
    front = world.routes["front"]
    world.routes["front"] = {**front, "spec": {**front["spec"], "rules": [other, by_header, named]}}
    world._wake = world.time
    world.run(1)
    assert world.routes["front"]["spec"]["rules"][2]["backendRefs"] == [*reversed(backends(90, 10))]
    world.run(60)
    assert world.status["stable"]["version"] == "cars-2"
    assert world.routes["front"]["spec"]["rules"][2]["backendRefs"] == [*reversed(backends(100, 0))]
    assert world.lost == 0


OWNER = {"ownerReferences": [{"kind": "InferenceService", "name": "vans", "uid": "u", "controller": True}]}


@pytest.mark.parametrize(
    ("theirs", "reason", "words"),
    [
        (None, "RouteNotFound", "make it, or name another"),
        (route({"backendRefs": backends()[:1]}), "BackendsMissing", "add both to backendRefs"),
        (route(), "BackendsMissing", "cars and cars-canary"),
        (route({"backendRefs": [{**one, "namespace": "other"} for one in backends()]}), "BackendsMissing", "add both"),
        (route({"backendRefs": backends(1, 1, {"name": "vans", "port": 80})}), "BackendsMixed", "rule 0"),
        (route({"backendRefs": backends(1, 1, {"name": "cars", "port": 80})}), "BackendsMixed", "each once"),
        ({**route(), "spec": {"rules": [{"backendRefs": backends()}]}}, "ParentsMissing", "add the Gateway"),
        (route({"backendRefs": backends()}, **OWNER), "RouteOfAnother", "InferenceService vans"),
    ],
)
def test_a_route_that_does_not_fit_is_told_and_left_as_it_is(theirs: Any, reason: str, words: str) -> None:
    world = gatewayed(traffic=THEIRS)
    if theirs is not None:
        world.routes["front"] = theirs
    world.run(5)
    world.add("cars-2")
    world.run(30)
    assert condition(world, "Stalled")[:2] == ("True", reason)
    assert words in condition(world, "Stalled")[2]
    assert condition(world, "Ready")[0] == "True"
    assert world.status["stable"]["version"] == "cars-1"
    if theirs is not None:
        assert world.routes["front"]["spec"] == theirs["spec"]


def test_a_route_that_the_gateway_refuses_is_told_with_its_words() -> None:
    world = gatewayed()
    world.refuses = "no listener fits the hostnames"
    world.run(5)
    assert condition(world, "Stalled")[:2] == ("True", "RouteNotAccepted")
    assert "no listener fits the hostnames" in condition(world, "Stalled")[2]
    world.refuses = ""
    world.run(5)
    assert condition(world, "Stalled")[0] == "False"


@settings(max_examples=24, deadline=None)
@given(
    st.integers(1, 4),
    st.booleans(),
    st.lists(st.sampled_from((*EVENTS, "lag", "deaf", "no gateway", "gateway")), max_size=20),
)
def test_any_order_of_events_with_a_gateway(replicas: int, own: bool, events: list[str]) -> None:
    world = Gatewayed(OWN if own else THEIRS, replicas=replicas)
    if not own:
        world.routes["front"] = route({"backendRefs": backends()})
    for event in (*events, "gateway"):
        if event in ("lag", "deaf"):
            world.lag = 4 if event == "lag" else 10**9
        elif event in ("gateway", "no gateway"):
            world.installed, world.lag = event == "gateway", 0
        else:
            happen(world, event)
        world._wake = world.time
        world.settle()
    for event in ("healthy", "busy", "follow", "canary", "start"):
        happen(world, event)
    if not world.parent["spec"]["replicas"]:
        happen(world, "scale")
    world.add("cars-99")
    world.run(120)
    assert world.status["stable"]["version"] == "cars-99"
    assert world.status["phase"] == "Stable"
    assert len(world.deployments) == 1
    assert sum(map(is_ready, world.pods)) == world.parent["spec"]["replicas"]
    assert {revision_of(pod) for pod in world.behind("cars-canary")} == {world.status["stable"]["revision"]}
    assert world.weights == (100, 0)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(0, 9),
    st.lists(st.sampled_from(("good", "errors", "broken", "slow")), min_size=1, max_size=3),
)
def test_no_request_is_lost_at_the_gateway_and_no_bad_version_stays(
    replicas: int, lag: int, releases: list[str]
) -> None:
    world = Gatewayed(replicas=replicas, progressDeadlineSeconds=60).serving()
    assert isinstance(world, Gatewayed)
    world.lag = lag
    expected = "cars-1"
    for number, kind in enumerate(releases, start=2):
        name = f"cars-{number}"
        if kind == "good":
            expected = name
        else:
            getattr(world, kind).add(name)
        world.add(name)
        world.run(160)
        assert world.status["stable"]["version"] == expected
        assert world.status["phase"] == ("Stable" if kind == "good" else "RolledBack")
    assert world.lost == 0
