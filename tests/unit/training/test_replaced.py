"""A run that cannot go on makes way for the next one when its spec is corrected, or when a person asks for a run again."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts import result
from modelmill.engine.interface import Plan
from modelmill.kube.conditions import find
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, Seen, failed, plan, started, status_of, view

STORE = o.training_job()["spec"]["store"]
CORRECTED: dict[str, dict[str, Any]] = {
    "secret": {"store": {**STORE, "secretRef": {"name": "right"}}},
    "resources": {"podTemplate": {"resources": {"requests": {"cpu": "100m"}}}},
    "image": {"train": {"container": {"image": "good:1"}}},
    "deadline": {"runPolicy": {"activeDeadlineSeconds": 60}},
    "data": {"data": {**o.training_job()["spec"]["data"], "target": "hp"}},
}
NO_NODE = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: insufficient cpu"}


def stuck_pod(reason: str) -> dict[str, Any]:
    if reason == "Unschedulable":
        pod = o.pod("p", [], [], "Pending")
        pod["status"]["conditions"] = [NO_NODE]
        return pod
    return o.pod("p", [o.ended("fetch", 0), o.waiting("train", reason, "no such thing")], [], "Pending")


def world(parent: dict[str, Any], manifest: dict[str, Any], pod: dict[str, Any], **more: Any) -> Seen:
    name = manifest["metadata"]["name"]
    return view(parent, jobs={name: o.job(manifest)}, pods={name: [pod]}, **more)


def stuck(reason: str = "CreateContainerConfigError") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a TrainingJob whose run 1 cannot go on, and the manifest of its Job."""
    parent, manifest = started()
    return o.with_status(parent, status_of(plan(world(parent, manifest, stuck_pod(reason)), IMAGE))), manifest


def given_up(
    parent: dict[str, Any], manifest: dict[str, Any], reason: str = "CreateContainerConfigError"
) -> tuple[Plan, Plan]:
    """Return the plan that gives the run up, and the one that follows it."""
    first = plan(world(parent, manifest, stuck_pod(reason)), IMAGE)
    after = o.with_status(parent, status_of(first))
    return first, plan(world(after, manifest, stuck_pod(reason), now=o.later(1)), IMAGE)


def corrected(parent: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {**parent, "spec": {**parent["spec"], **spec}}


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "ImagePullBackOff", "Unschedulable"])
@pytest.mark.parametrize("change", CORRECTED.values(), ids=CORRECTED)
def test_corrected_spec_replaces_a_run_that_cannot_go_on(reason: str, change: dict[str, Any]) -> None:
    parent, manifest = stuck(reason)
    first, second = given_up(corrected(parent, **change), manifest, reason)
    last = status_of(first)["lastRun"]
    assert (last["number"], last["outcome"], last["cause"]) == (1, "Failed", "Replaced")
    assert "the spec was changed" in last["message"]
    assert [event.reason for event in first.events] == ["RunReplaced"]
    run = status_of(second)["currentRun"]
    assert (run["number"], run["reason"]) == (2, "Spec")
    assert [event.reason for event in second.events] == ["RunStarted"]
    assert "run 1 could not go on" in second.events[0].message


def test_what_was_wrong_is_in_the_record() -> None:
    parent, manifest = stuck()
    first, _ = given_up(corrected(parent, **CORRECTED["secret"]), manifest)
    assert "no such thing" in status_of(first)["lastRun"]["message"]


def test_job_goes_only_after_its_end_is_written_and_is_guarded_by_its_uid() -> None:
    parent, manifest = stuck()
    first, second = given_up(corrected(parent, **CORRECTED["secret"]), manifest)
    assert first.delete == ()
    assert first.create == ()
    assert first.requeue_after is not None
    (gone,) = second.delete
    name = manifest["metadata"]["name"]
    assert (gone.name, gone.uid) == (name, f"{name}-uid")
    (job,) = second.create
    assert job["metadata"]["name"] != name


def test_restart_after_the_next_job_was_made_and_the_old_one_deleted_goes_on() -> None:
    parent, manifest = stuck()
    first, second = given_up(corrected(parent, **CORRECTED["secret"]), manifest)
    after = o.with_status(corrected(parent, **CORRECTED["secret"]), status_of(first))
    job = dict(second.create[0])
    again = plan(view(after, jobs={job["metadata"]["name"]: o.job(job)}, now=o.later(1)), IMAGE)
    assert (again.create, again.delete) == ((), ())
    assert status_of(again)["currentRun"] == status_of(second)["currentRun"]


def test_it_is_no_failure_and_nothing_is_stalled() -> None:
    parent, manifest = stuck()
    parent["status"]["consecutiveFailures"] = 1
    status = status_of(given_up(corrected(parent, **CORRECTED["secret"]), manifest)[0])
    assert status["consecutiveFailures"] == 1
    assert status["phase"] == "Idle"
    stalled = find(status, "Stalled")
    assert stalled is not None
    assert stalled["status"] == "False"


def test_person_who_asks_again_gets_a_run() -> None:
    parent, manifest = stuck()
    parent["metadata"]["annotations"] = {"modelmill.dev/run": "again"}
    first, second = given_up(parent, manifest)
    assert status_of(first)["lastRun"]["cause"] == "Replaced"
    assert status_of(second)["currentRun"]["reason"] == "Manual"
    assert status_of(second)["handledAnnotation"] == "again"
    after = o.with_status(parent, status_of(second))
    assert "currentRun" in status_of(plan(world(after, dict(second.create[0]), stuck_pod("ImagePullBackOff")), IMAGE))


def test_refused_pods_too() -> None:
    parent, manifest = started()
    manifest["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z"
    told = {"reason": "FailedCreate", "message": "exceeded quota", "lastTimestamp": "2026-01-02T03:04:06Z"}
    jobs = {manifest["metadata"]["name"]: o.job(manifest)}
    seen = view(corrected(parent, **CORRECTED["resources"]), jobs=jobs, events=[told], now=o.later(10))
    assert status_of(plan(seen, IMAGE))["lastRun"]["cause"] == "Replaced"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"description": "other words"},
        {"runPolicy": {"ttlSecondsAfterFinished": 5}},
        {"evaluation": {"primary": {"metric": "mae", "direction": "Minimize"}}},
    ],
)
def test_other_changes_leave_a_run_that_cannot_go_on(change: dict[str, Any]) -> None:
    parent, manifest = stuck()
    assert status_of(given_up(corrected(parent, **change), manifest)[0])["currentRun"]["number"] == 1


@pytest.mark.parametrize("pod", [o.pod("p", [o.running("fetch")], []), o.pod("p", [], [], "Pending")])
def test_run_that_goes_on_is_left_alone(pod: dict[str, Any]) -> None:
    parent, manifest = started()
    for change in CORRECTED.values():
        assert "currentRun" in status_of(plan(world(corrected(parent, **change), manifest, pod), IMAGE))
    parent["metadata"]["annotations"] = {"modelmill.dev/run": "again"}
    assert "currentRun" in status_of(plan(world(parent, manifest, pod), IMAGE))


def test_release_that_builds_otherwise_replaces_nothing() -> None:
    parent, manifest = stuck()
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = "trainer:0"
    assert "currentRun" in status_of(given_up(parent, manifest)[0])


def test_job_of_a_release_that_wrote_no_hash_is_told_by_what_it_trains() -> None:
    parent, manifest = stuck()
    del manifest["metadata"]["annotations"]["modelmill.dev/run-spec-hash"]
    for name, replaced in (("secret", False), ("image", True)):
        status = status_of(given_up(corrected(parent, **CORRECTED[name]), manifest)[0])
        assert ("lastRun" in status) == replaced


def test_nothing_is_given_up_when_no_run_may_start() -> None:
    parent, manifest = stuck()
    suspended = corrected(parent, **CORRECTED["secret"], runPolicy={"suspend": True})
    assert "currentRun" in status_of(given_up(suspended, manifest)[0])


def test_stage_cannot_say_that_its_run_was_replaced() -> None:
    parent, manifest = started()
    said = result.encode(result.StageResult(result.FAILED, "Replaced", ("so there",)))
    status = status_of(failed(parent, manifest, o.pod("p", [o.ended("train", 1, said)], [])))
    assert status["lastRun"]["cause"] == "Failed"
    assert status["consecutiveFailures"] == 1


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "ImagePullBackOff", "Unschedulable"])
def test_obstacle_says_what_helps(reason: str) -> None:
    ready = find(stuck(reason)[0]["status"], "Ready")
    assert ready is not None
    assert "the run is started anew" in ready["message"]


def test_job_without_time_to_stay_goes_only_after_its_end_is_written() -> None:
    parent, manifest = started(runPolicy={"ttlSecondsAfterFinished": 0})
    name = manifest["metadata"]["name"]
    pods = {name: [o.pod("p", [], [o.ended("publish", 0, result.encode(o.published()))], "Succeeded")]}
    seen = {"jobs": {name: o.job(manifest, o.condition("Complete"))}, "pods": pods}
    ending = plan(view(parent, **seen), IMAGE)
    assert ending.delete == ()
    (gone,) = plan(view(o.with_status(parent, status_of(ending)), **seen), IMAGE).delete
    assert gone.name == name
