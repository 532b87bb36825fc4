"""A run that cannot go on says so: in Ready, and in Stalled when it needs help."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.kube.conditions import find
from tests.unit import objects as o
from tests.unit.training.planning import IMAGE, plan, status_of, view

NO_NODE = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: insufficient memory"}


def conditions(pods: list[dict[str, Any]], **more: Any) -> dict[str, dict[str, Any]]:
    """Return the conditions by type of a TrainingJob whose run 1 has these pods."""
    parent = o.training_job()
    first = plan(view(parent), IMAGE)
    job = o.job(dict(first.create[0]), **{name: more.pop(name) for name in ("failed",) if name in more})
    name = job["metadata"]["name"]
    job["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z"
    seen = view(o.with_status(parent, status_of(first)), jobs={name: job}, pods={name: pods}, **more)
    status = status_of(plan(seen, IMAGE))
    return {kind: dict(find(status, kind) or {}) for kind in ("Ready", "Running", "Stalled")}


def test_pod_without_a_node_is_not_ready_and_may_still_get_one() -> None:
    pod = o.pod("p", [], [], "Pending")
    pod["status"]["conditions"] = [NO_NODE]
    found = conditions([pod])
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "Unschedulable")
    assert "insufficient memory" in found["Ready"]["message"]
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("False", "Unschedulable")
    assert "insufficient memory" in found["Stalled"]["message"]


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CreateContainerConfigError"])
def test_pod_that_needs_help_is_not_ready(reason: str) -> None:
    found = conditions([o.pod("p", [o.waiting("fetch", reason, "no such thing")], [])])
    assert (found["Ready"]["status"], found["Stalled"]["status"]) == ("False", "True")


def test_run_that_goes_on_is_ready() -> None:
    found = conditions([o.pod("p", [o.running("fetch")], [])])
    assert (found["Ready"]["status"], found["Stalled"]["status"]) == ("True", "False")
