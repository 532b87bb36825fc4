"""What the cache lacks is looked for at the API server before a run is recorded as lost."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts import result
from modelmill.contracts.names import EXIT_FINAL
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, plan, started, status_of, view


def owned_pod(job: dict[str, Any], *main: dict[str, Any], init: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    made = o.pod("p", init or [], list(main), "Succeeded")
    made["metadata"]["ownerReferences"] = [{"uid": job["metadata"]["uid"], "controller": True}]
    return made


def published_pod(job: dict[str, Any]) -> dict[str, Any]:
    return owned_pod(job, o.ended("publish", 0, result.encode(o.published()), "Completed"))


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_result_whose_pod_is_told_late_is_kept(seconds: int) -> None:
    """The clock does not count: it may be ahead of the one that wrote when the Job was complete."""
    parent, manifest = started()
    job = o.job(manifest, o.condition("Complete"))
    seen = view(parent, jobs={job["metadata"]["name"]: job}, unseen_pods=[published_pod(job)], now=o.later(seconds))
    last = status_of(plan(seen, IMAGE))["lastRun"]
    assert (last["outcome"], last["metrics"]["r2"]) == ("Published", "0.91")


def test_why_a_job_failed_is_read_from_a_pod_that_is_told_late() -> None:
    parent, manifest = started()
    job = o.job(manifest, o.condition("Failed", "PodFailurePolicy"), failed=1)
    told = result.encode(result.StageResult(result.DATA_REJECTED, "TargetMissing", ("no column mpg",)))
    pod = owned_pod(job, init=[o.ended("fetch", EXIT_FINAL, told)])
    last = status_of(plan(view(parent, jobs={job["metadata"]["name"]: job}, unseen_pods=[pod]), IMAGE))["lastRun"]
    assert (last["outcome"], last["cause"]) == ("DataRejected", "TargetMissing")


def test_a_job_that_lost_its_label_is_not_deleted() -> None:
    parent, manifest = started()
    job = o.job(manifest)
    made = plan(view(parent, unseen_jobs={job["metadata"]["name"]: job}), IMAGE)
    assert status_of(made)["currentRun"]["job"] == job["metadata"]["name"]
    assert made.requeue_after is not None


def test_a_job_whose_owner_was_taken_away_is_not_deleted_and_its_result_is_kept() -> None:
    parent, manifest = started()
    job = o.job(manifest)
    job["metadata"]["ownerReferences"] = []
    unseen = {job["metadata"]["name"]: job}
    assert status_of(plan(view(parent, unseen_jobs=unseen), IMAGE))["currentRun"]["job"] == job["metadata"]["name"]
    job["status"] = {"conditions": [o.condition("Complete")]}
    made = plan(view(parent, unseen_jobs=unseen, unseen_pods=[published_pod(job)]), IMAGE)
    assert status_of(made)["lastRun"]["outcome"] == "Published"


def test_a_namesake_of_somebody_else_is_no_witness() -> None:
    parent, manifest = started()
    job = o.job(manifest, o.condition("Complete"))
    job["metadata"]["ownerReferences"][0]["uid"] = "another"
    made = plan(view(parent, unseen_jobs={job["metadata"]["name"]: job}, unseen_pods=[published_pod(job)]), IMAGE)
    assert status_of(made)["lastRun"]["cause"] == "JobDeleted"


def test_pods_of_another_job_are_no_witnesses() -> None:
    parent, manifest = started()
    job = o.job(manifest, o.condition("Complete"))
    pod = published_pod({"metadata": {"uid": "another"}})
    made = plan(view(parent, jobs={job["metadata"]["name"]: job}, unseen_pods=[pod]), IMAGE)
    assert status_of(made)["lastRun"]["cause"] == "ResultLost"
