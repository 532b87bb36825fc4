"""How a Job is doing: conditions before pods, the newest pod before older ones."""

from __future__ import annotations

from typing import Any

from modelmill.workloads.jobs import Active, Complete, Failed, Observation, observe
from tests.support import objects as o

BASE: dict[str, Any] = {"metadata": {"name": "j"}}


def seen(*pods: dict[str, Any], conditions: list[dict[str, Any]] | None = None, **more: Any) -> Observation:
    return observe(o.job(BASE, *(conditions or []), failed=more.pop("failed", 0)), pods, o.later(60), **more)


def test_conditions_are_the_verdict() -> None:
    assert seen(o.pod("p", [], []), conditions=[o.condition("Complete")], failed=1) == Complete(2, o.NOW)
    failed = seen(conditions=[o.condition("Failed", "DeadlineExceeded")])
    assert isinstance(failed, Failed)
    assert (failed.attempts, failed.reason, failed.failure) == (1, "DeadlineExceeded", None)


def test_condition_that_is_not_true_says_nothing() -> None:
    assert isinstance(seen(conditions=[{**o.condition("Failed"), "status": "False"}]), Active)


def test_failure_is_the_newest_pods_first_container_that_failed() -> None:
    older = o.pod("a", [o.ended("one", 7)], [], "Failed", created="1")
    newer = o.pod("b", [o.ended("one", 0), o.ended("two", 5)], [], "Failed", created="2")
    failed = seen(older, newer, conditions=[o.condition("Failed")])
    assert isinstance(failed, Failed)
    assert failed.failure is not None
    assert (failed.failure.container, failed.failure.exit_code) == ("two", 5)


def partition(name: str, code: int, message: str, finished: str, *, deleted: bool = False) -> dict[str, Any]:
    """A pod of a Job of several, all made at once."""
    container = o.ended("batch", code, message)
    container["state"]["terminated"]["finishedAt"] = finished
    pod = o.pod(name, [], [container], "Failed")
    return {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": finished}} if deleted else pod


def test_of_pods_made_at_once_the_one_that_failed_last_by_itself_ended_the_job() -> None:
    """The Job controller deletes the others then, which end by a signal; one that failed before was tried again."""
    before = partition("a", 1, "the store is down", "2026-01-02T03:04:01Z")
    cause = partition("b", 3, "row 7 is bad", "2026-01-02T03:04:05Z")
    deleted = partition("c", 143, "stopped", "2026-01-02T03:04:06Z", deleted=True)
    failed = seen(before, deleted, cause, conditions=[o.condition("Failed")])
    assert isinstance(failed, Failed)
    assert failed.failure is not None
    assert failed.failure.message == "row 7 is bad"


def test_between_two_tries_the_failure_before_is_known() -> None:
    active = seen(o.pod("a", [o.ended("one", 7, "boom")], [], "Failed"), failed=1)
    assert isinstance(active, Active)
    assert active.attempt == 2
    assert active.previous is not None
    assert active.previous.describe().endswith("boom")


def test_failing_job_waits_for_its_pod() -> None:
    active = seen(conditions=[o.condition("FailureTarget")])
    assert isinstance(active, Active)
    assert "waiting for its pod" in active.message


def test_refused_pods_are_an_obstacle_only_while_there_is_no_pod() -> None:
    refused = seen(refusal="exceeded quota")
    assert isinstance(refused, Active)
    assert (refused.obstacle, refused.message, refused.needs_help) == ("PodsRefused", "exceeded quota", True)
    running = seen(o.pod("p", [o.running("one")], []), refusal="exceeded quota")
    assert isinstance(running, Active)
    assert running.obstacle == ""


def test_pod_without_a_node_may_get_one() -> None:
    pod = o.pod("p", [], [], "Pending")
    pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: cpu"}]
    active = seen(pod)
    assert isinstance(active, Active)
    assert (active.obstacle, active.needs_help) == ("Unschedulable", False)
    assert "0/1 nodes: cpu" in active.message
