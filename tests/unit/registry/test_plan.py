"""ModelVersion: protected while it is served, and what `kubectl get` shows."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.kube.conditions import find
from modelmill.registry.plan import View, plan
from tests.unit import objects as o


def service(stable: str | None, canary: str | None = None, weight: int = 0) -> dict[str, Any]:
    status: dict[str, Any] = {}
    if stable:
        status["stable"] = {"version": stable}
    if canary:
        status["canary"] = {"version": canary, "actualWeight": weight}
    return {"metadata": {"name": "svc", "namespace": "ml"}, "spec": {}, "status": status}


def view(version: dict[str, Any], *services: dict[str, Any]) -> View:
    return View(version, services, o.NOW)


def test_unserved_version_may_go() -> None:
    made = plan(view(o.model_version("cars-1"), service("cars-2")))
    assert made.finalizer is False
    assert made.status is not None
    assert made.status["serving"] == "-"
    deletable = find(made.status, "Deletable")
    assert deletable is not None
    assert deletable["status"] == "True"


@pytest.mark.parametrize(
    ("served", "text"),
    [(service("cars-1"), "100%"), (service("cars-2", "cars-1", 25), "25%"), (service("cars-1", "cars-2", 25), "75%")],
)
def test_served_version_is_held_and_shows_its_share(served: dict[str, Any], text: str) -> None:
    made = plan(view(o.model_version("cars-1"), served))
    assert made.finalizer is True
    assert made.status is not None
    assert made.status["serving"] == text
    assert made.status["stage"] == "Serving"
    assert made.status["servedBy"] == [f"svc {text}"]


def test_deletion_waits_for_the_service_and_says_by_whom() -> None:
    version = o.model_version("cars-1")
    version["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    held = plan(view(version, service("cars-1")))
    assert held.finalizer is None
    assert [event.reason for event in held.events] == ["DeletionHeld"]
    assert held.status is not None
    deletable = find(held.status, "Deletable")
    assert deletable is not None
    assert "svc (100%)" in deletable["message"]
    version["status"] = held.status
    assert plan(view(version, service("cars-1"))).events == ()
    assert plan(view(version)).finalizer is False


@pytest.mark.parametrize(("approval", "status"), [("Approved", "True"), ("Pending", "False"), ("Rejected", "False")])
def test_approval_is_a_condition(approval: str, status: str) -> None:
    made = plan(view(o.model_version("cars-1", approval)))
    assert made.status is not None
    approved = find(made.status, "Approved")
    assert approved is not None
    assert approved["status"] == status
    assert made.status["stage"] == approval


def test_delta_is_against_the_champion_of_the_time() -> None:
    version = o.model_version("cars-2")
    version["spec"]["champion"] = {"version": "cars-1", "metrics": {"r2": "0.85"}}
    made = plan(view(version))
    assert made.status is not None
    assert made.status["metric"] == "r2=0.9"
    assert made.status["delta"] == "+0.05"
