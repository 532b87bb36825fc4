"""What a TrainingJob says of itself before any run has ended."""

from __future__ import annotations

from typing import Any

from modelmill.kube.conditions import find
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, plan, started, status_of, view


def message(status: dict[str, Any], kind: str) -> str:
    found = find(status, kind)
    assert found is not None
    return str(found["message"])


def test_nothing_is_said_of_a_last_run_that_there_was_not() -> None:
    status = status_of(plan(view(o.training_job(runPolicy={"suspend": True})), IMAGE))
    for kind in ("DataValid", "Finished"):
        assert message(status, kind) == "no run has ended yet"


def test_run_in_progress_is_named() -> None:
    parent, _ = started()
    assert "run 1" in message(parent["status"], "Finished")
    assert message(parent["status"], "DataValid") == "no run has ended yet"


def of_another() -> dict[str, Any]:
    """Return a world in which an older TrainingJob has the model and a version of it."""
    older = o.training_job()
    older["metadata"] |= {"name": "first", "uid": "older", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"training_jobs": [older], "versions": [o.model_version("cars-1")]}


def test_model_of_another_is_told_once_by_an_event() -> None:
    parent = o.training_job()
    world = of_another()
    world["training_jobs"].append(parent)
    first = plan(view(parent, **world), IMAGE)
    assert [(event.type, event.reason) for event in first.events] == [("Warning", "ModelOwnedByAnother")]
    assert "first" in first.events[0].message
    assert plan(view(o.with_status(parent, status_of(first)), **world), IMAGE).events == ()


def test_best_of_another_is_not_shown() -> None:
    parent = o.training_job()
    world = of_another()
    assert "best" in status_of(plan(view(parent, versions=world["versions"]), IMAGE))
    world["training_jobs"].append(parent)
    assert "best" not in status_of(plan(view(parent, **world), IMAGE))
