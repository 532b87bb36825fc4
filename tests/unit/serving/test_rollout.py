"""InferenceService: rollouts played against a small model of the Deployment controller, and their invariants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.api.conditions import find
from modelmill.api.inference_service import InferenceServiceSpec
from modelmill.contracts import result
from modelmill.engine.plan import Plan
from modelmill.serving.analysis import Sample, Samples
from modelmill.serving.plan import plan
from modelmill.serving.rollout import canary_replicas, measure_due
from modelmill.serving.view import View, revision_of
from tests.unit import objects as o

GOOD = Samples(Sample({"200": 100.0}, {0.1: 100.0, float("inf"): 100.0}), Sample({"200": 100.0}))
BAD = Samples(Sample({"200": 50.0, "500": 50.0}), Sample({"200": 100.0}))
QUIET = Samples(Sample({"200": 3.0}), Sample({"200": 100.0}))
ANALYSIS = {
    "intervalSeconds": 5,
    "minRequests": 20,
    "checks": [{"metric": "ErrorRatio", "maximum": "0.01"}],
    "failureLimit": 0,
}
STEPS = [{"weight": 25}, {"pauseSeconds": 10}, {"weight": 50}, {"pauseSeconds": 10}]


class World:
    """A cluster in which pods become ready when they are told to, and time passes when it is told to."""

    def __init__(self, replicas: int = 4, versions: tuple[str, ...] = ("cars-1",), **rollout: Any) -> None:
        spec = {
            "model": {"name": "cars", "follow": "Approved"},
            "replicas": replicas,
            "rollout": {"steps": STEPS, "analysis": ANALYSIS, **rollout},
        }
        self.parent: dict[str, Any] = {
            "apiVersion": "modelmill.dev/v1alpha1",
            "kind": "InferenceService",
            "metadata": {"name": "cars", "namespace": "ml", "uid": "is-uid", "generation": 1, "resourceVersion": "1"},
            "spec": spec,
        }
        self.versions = [o.model_version(name, created=f"2026-01-01T00:00:0{i}Z") for i, name in enumerate(versions)]
        self.deployments: dict[str, dict[str, Any]] = {}
        self.pods: list[dict[str, Any]] = []
        self.service: dict[str, Any] = {}
        self.time = 0.0
        self.samples: Samples = GOOD
        self.broken: set[str] = set()
        self.slow = False
        self.events: list[str] = []

    @property
    def status(self) -> dict[str, Any]:
        return self.parent.get("status") or {}

    def view(self) -> View:
        view = View(
            parent=self.parent,
            spec=InferenceServiceSpec.model_validate(self.parent["spec"]),
            status=self.status,
            versions=self.versions,
            deployments=list(self.deployments.values()),
            pods=self.pods,
            server_image="server:1",
            pull_policy="IfNotPresent",
            now=o.later(self.time),
        )
        return replace(view, samples=self.samples) if measure_due(view) else view

    def reconcile(self) -> Plan:
        made = plan(self.view())
        for child in made.apply:
            if child["kind"] == "Deployment":
                uid = f"{child['metadata']['name']}-uid"
                self.deployments[child["metadata"]["name"]] = {**child, "metadata": {**child["metadata"], "uid": uid}}
            elif child["kind"] == "Service":
                self.service = child
        for gone in made.delete:
            del self.deployments[gone.name]
        self.events += [event.reason for event in made.events]
        if made.status is not None:
            self.parent = {**self.parent, "status": dict(made.status)}
        self.check(made)
        return made

    def kubelet(self, limit: int = 99) -> None:
        """Make pods what their Deployments want; at most `limit` new ones."""
        kept = []
        for name, deployment in self.deployments.items():
            mine = [pod for pod in self.pods if pod["metadata"]["name"].startswith(name)]
            wanted = deployment["spec"]["replicas"]
            kept += mine[:wanted]
            for index in range(len(mine), wanted):
                if limit:
                    kept.append(self._pod(deployment, f"{name}-{index}-{self.time}"))
                    limit -= 1
        self.pods = kept

    def _pod(self, deployment: dict[str, Any], name: str) -> dict[str, Any]:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        version = labels["modelmill.dev/model-version"]
        ready = version not in self.broken and not self.slow
        pod = o.pod(name, [], [o.running("server")])
        pod["metadata"]["labels"] = labels
        pod["status"]["conditions"] = [{"type": "Ready", "status": "True" if ready else "False"}]
        if version in self.broken:
            failure = result.encode(result.StageResult("Failed", "GoldenMismatch", ("row 3 differs",)))
            pod["status"]["containerStatuses"] = [o.ended("server", 3, failure)]
        return pod

    def check(self, made: Plan) -> None:
        """What must hold after every reconciliation."""
        status = self.status
        stable, canary = status.get("stable"), status.get("canary")
        if stable is None:
            return
        wanted = {revision_of(d): d["spec"]["replicas"] for d in self.deployments.values()}
        ready = dict.fromkeys(wanted, 0)
        for pod in self.pods:
            if pod["status"]["conditions"][0]["status"] == "True":
                ready[revision_of(pod)] = ready.get(revision_of(pod), 0) + 1
        assert wanted[stable["revision"]] >= 1
        if canary is not None:
            given_up = self.parent["spec"]["replicas"] - wanted[stable["revision"]]
            assert given_up <= ready.get(canary["revision"], 0)
        selector = self.service["spec"]["selector"].get("modelmill.dev/revision")
        assert selector in (None, stable["revision"])
        if status["phase"] in ("RollingBack", "RolledBack"):
            assert selector == stable["revision"]
            assert status.get("canary", {}).get("weight", 0) == 0

    def settle(self, seconds: float = 1, turns: int = 6) -> None:
        for _ in range(turns):
            self.reconcile()
            self.kubelet()
            self.reconcile()
            self.time += seconds

    def serving(self) -> World:
        self.settle()
        assert self.status["phase"] == "Stable"
        return self

    def add(self, name: str) -> None:
        self.versions = [*self.versions, o.model_version(name, created=f"2026-01-01T01:00:{len(self.versions):02}Z")]


def test_first_version_is_deployed_at_once_and_serves_when_all_pods_are_ready() -> None:
    world = World()
    world.reconcile()
    assert world.status["phase"] == "Deploying"
    ready = find(world.status, "Ready")
    assert ready is not None
    assert ready["status"] == "False"
    world.kubelet()
    world.reconcile()
    assert world.status["phase"] == "Stable"
    assert world.status["history"][0]["version"] == "cars-1"
    assert world.events == ["Deploying", "Serving"]


def test_nothing_approved_is_said_and_nothing_is_made() -> None:
    world = World(versions=())
    made = world.reconcile()
    assert made.apply == []
    ready = find(world.status, "Ready")
    assert ready is not None
    assert ready["reason"] == "NoApprovedVersion"


def test_planning_twice_changes_nothing() -> None:
    world = World().serving()
    before = world.status
    made = world.reconcile()
    assert made.status == before
    assert made.delete == []


def test_canary_goes_step_by_step_and_keeps_its_pods() -> None:
    world = World().serving()
    world.add("cars-2")
    world.reconcile()
    canary = world.status["canary"]
    assert (canary["version"], canary["weight"], canary["replicas"]) == ("cars-2", 25, 1)
    assert world.status["stable"]["replicas"] == 4
    assert "modelmill.dev/revision" not in world.service["spec"]["selector"]
    world.kubelet()
    world.reconcile()
    assert world.status["stable"]["replicas"] == 3
    names = {pod["metadata"]["name"] for pod in world.pods if revision_of(pod) == canary["revision"]}
    world.settle(seconds=2, turns=30)
    assert world.status["phase"] == "Stable"
    assert world.status["stable"]["version"] == "cars-2"
    assert names <= {pod["metadata"]["name"] for pod in world.pods}
    assert [entry["outcome"] for entry in world.status["history"]] == ["Serving", "Replaced"]
    assert {revision_of(d) for d in world.deployments.values()} == {world.status["stable"]["revision"]}
    assert world.events.count("Promoted") == 1


def test_failed_analysis_takes_it_back_and_does_not_try_again() -> None:
    world = World().serving()
    world.add("cars-2")
    world.samples = BAD
    world.settle(seconds=3, turns=10)
    assert world.status["phase"] == "RolledBack"
    assert world.status["stable"]["version"] == "cars-1"
    assert world.status["stable"]["ready"] == 4
    assert "ErrorRatio 0.5 > 0.01" in world.status["failedMessage"]
    assert world.events.count("RolledBack") == 1
    stalled = find(world.status, "Stalled")
    assert stalled is not None
    assert stalled["status"] == "True"
    world.samples = GOOD
    world.settle(turns=10)
    assert world.status["phase"] == "RolledBack"
    assert world.events.count("RolloutStarted") == 1


def test_new_version_leaves_rolled_back() -> None:
    world = World().serving()
    world.add("cars-2")
    world.samples = BAD
    world.settle(seconds=3, turns=10)
    world.add("cars-3")
    world.samples = GOOD
    world.settle(seconds=3, turns=20)
    assert world.status["stable"]["version"] == "cars-3"
    assert "failedRevision" not in world.status
    assert find(world.status, "RolledBack") is None


def test_retry_annotation_tries_once_more() -> None:
    world = World().serving()
    world.add("cars-2")
    world.samples = BAD
    world.settle(seconds=3, turns=10)
    world.parent["metadata"]["annotations"] = {"modelmill.dev/retry": "please"}
    world.settle(seconds=3, turns=10)
    assert world.events.count("RolloutStarted") == 2
    assert world.status["phase"] == "RolledBack"
    world.settle(turns=5)
    assert world.events.count("RolloutStarted") == 2


def test_quiet_canary_is_held_by_default() -> None:
    world = World().serving()
    world.add("cars-2")
    world.samples = QUIET
    world.settle(seconds=5, turns=20)
    assert world.status["canary"]["step"] == 1
    world.samples = GOOD
    world.settle(seconds=3, turns=20)
    assert world.status["stable"]["version"] == "cars-2"


@pytest.mark.parametrize(("policy", "version"), [("Pass", "cars-2"), ("Fail", "cars-1")])
def test_quiet_canary_by_policy(policy: str, version: str) -> None:
    world = World(analysis={**ANALYSIS, "onInsufficientData": policy}).serving()
    world.add("cars-2")
    world.samples = QUIET
    world.settle(seconds=3, turns=25)
    assert world.status["stable"]["version"] == version
    assert world.status.get("canary") is None


def test_pods_that_say_why_they_end_are_taken_back_at_once() -> None:
    world = World().serving()
    world.add("cars-2")
    world.broken = {"cars-2"}
    world.settle(turns=3)
    assert world.status["phase"] == "RolledBack"
    assert "GoldenMismatch" in world.status["failedMessage"]
    assert "row 3 differs" in world.status["failedMessage"]
    assert "container server exited with code 3" in world.status["failedMessage"]


def test_pods_that_never_become_ready_are_taken_back_after_the_deadline() -> None:
    world = World(progressDeadlineSeconds=60).serving()
    world.add("cars-2")
    world.slow = True
    world.settle(turns=10)
    assert world.status["phase"] == "RollingOut"
    world.slow = False
    world.time += 60
    made = world.reconcile()
    assert "ProgressDeadlineExceeded" in world.status["failedMessage"]
    assert [event.reason for event in made.events] == ["RolledBack"]


def test_change_half_way_restarts_against_the_stable_version() -> None:
    world = World().serving()
    world.add("cars-2")
    world.settle(turns=2)
    world.add("cars-3")
    world.reconcile()
    assert world.status["canary"]["version"] == "cars-3"
    assert world.status["canary"]["step"] == 0
    world.settle(seconds=3, turns=20)
    assert world.status["stable"]["version"] == "cars-3"
    assert len(world.deployments) == 1


def test_rejecting_the_new_version_goes_back() -> None:
    world = World().serving()
    world.add("cars-2")
    world.settle(turns=2)
    world.versions[1]["spec"]["approval"] = "Rejected"
    world.settle(turns=4)
    assert world.status["phase"] == "Stable"
    assert world.status["stable"]["version"] == "cars-1"
    assert "failedRevision" not in world.status
    assert len(world.deployments) == 1


def test_direct_replaces_all_at_once_without_less_capacity() -> None:
    world = World(strategy="Direct", steps=[], analysis=None).serving()
    world.add("cars-2")
    world.reconcile()
    assert world.status["canary"]["replicas"] == 4
    assert world.status["stable"]["replicas"] == 4
    world.settle(turns=3)
    assert world.status["stable"]["version"] == "cars-2"


def test_pinned_version_that_is_not_there_stalls_and_keeps_serving() -> None:
    world = World().serving()
    world.parent["spec"]["model"] = {"name": "cars", "version": "cars-9"}
    world.settle(turns=2)
    stalled = find(world.status, "Stalled")
    assert stalled is not None
    assert (stalled["status"], stalled["reason"]) == ("True", "VersionNotFound")
    assert world.status["stable"]["ready"] == 4


def test_other_concerns_keep_their_fields() -> None:
    world = World().serving()
    world.parent["status"] |= {"alerts": [o.alert()], "drift": "alert"}
    world.parent["status"]["conditions"].append({"type": "DriftDetected", "status": "True"})
    made = world.reconcile()
    assert made.status is not None
    assert made.status["alerts"] == [o.alert()]
    assert find(made.status, "DriftDetected") is not None


@pytest.mark.parametrize(
    ("replicas", "weight", "pods"),
    [(4, 25, 1), (4, 50, 2), (4, 1, 1), (10, 33, 3), (10, 99, 10), (1, 50, 1), (2, 100, 2), (3, 0, 0)],
)
def test_canary_pods_for_a_weight(replicas: int, weight: int, pods: int) -> None:
    assert canary_replicas(replicas, weight) == pods


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.lists(
        st.sampled_from(["tick", "pods", "one pod", "wait", "new version", "bad", "good", "reject", "break", "mend"]),
        max_size=40,
    ),
)
def test_any_order_of_events_keeps_the_invariants_and_converges(replicas: int, events: list[str]) -> None:
    world = World(replicas=replicas)
    for event in events:
        if event == "pods":
            world.kubelet()
        elif event == "one pod":
            world.kubelet(1)
        elif event == "wait":
            world.time += 30
        elif event == "new version" and len(world.versions) < 6:
            world.add(f"cars-{len(world.versions) + 1}")
        elif event in ("bad", "good"):
            world.samples = BAD if event == "bad" else GOOD
        elif event == "reject":
            world.versions[-1]["spec"]["approval"] = "Rejected"
        elif event == "break":
            world.broken = {world.versions[-1]["metadata"]["name"]}
        elif event == "mend":
            world.broken = set()
        world.reconcile()
    world.broken, world.samples = set(), GOOD
    world.pods = [pod for pod in world.pods if pod["status"]["conditions"][0]["status"] == "True"]
    world.add("cars-99")
    world.settle(seconds=6, turns=30)
    assert world.status["stable"]["version"] == "cars-99"
    assert world.status["phase"] == "Stable"
    assert len(world.deployments) == 1
