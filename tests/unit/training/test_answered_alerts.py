"""Alerts are answered once, however long they fire."""

from __future__ import annotations

from typing import Any

from modelmill.training.triggers.alerts import MAX_ANSWERED
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, finished, plan, service, status_of, view


def run(number: int, *triggers: str) -> dict[str, Any]:
    moment = "2026-01-02T03:00:00Z"
    return {
        "number": number, "reason": "Manual", "triggers": list(triggers), "outcome": "Published",
        "job": f"cars-{number}", "attempts": 1, "startTime": moment, "finishTime": moment,
    }  # fmt: skip


def test_alert_that_still_fires_is_answered_though_its_run_is_forgotten() -> None:
    parent = finished()
    parent["status"]["runs"] = [run(1, "old")]
    world = {"services": [service([o.alert("old")])], "now": o.later(9999)}
    status = status_of(plan(view(parent, **world), IMAGE))
    status["runs"] = [run(number) for number in range(12, 2, -1)]
    again = plan(view(o.with_status(parent, status), **world), IMAGE)
    assert again.create == ()
    assert status_of(again)["answeredAlerts"] == ["old"]


def test_alert_that_is_over_is_forgotten() -> None:
    parent = finished()
    parent["status"]["answeredAlerts"] = ["old"]
    assert "answeredAlerts" not in status_of(plan(view(parent, services=[service([])]), IMAGE))


def test_answered_alerts_are_bounded() -> None:
    parent = finished()
    ids = [f"a{number:03}" for number in range(MAX_ANSWERED + 32)]
    parent["status"]["answeredAlerts"] = ids[:MAX_ANSWERED]
    parent["status"]["runs"] = [run(1, *ids[MAX_ANSWERED:])]
    services = [service([o.alert(one) for one in ids[begin : begin + 32]]) for begin in range(0, len(ids), 32)]
    assert len(status_of(plan(view(parent, services=services), IMAGE))["answeredAlerts"]) == MAX_ANSWERED
