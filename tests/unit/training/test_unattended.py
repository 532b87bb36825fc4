"""The loop without a person: what goes wrong again and again slows it down."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts import result
from modelmill.kube.conditions import find
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, complete, finished, plan, service, status_of, view

REJECTED = o.published(result.GATE_FAILED, reason="GateFailed", reasons=("r2 0.2 < 0.7",))


def after_rejections(count: int, **spec: Any) -> dict[str, Any]:
    """Return a TrainingJob that alerts ran `count` times, each version rejected; the last run ended at o.NOW."""
    parent = finished(REJECTED, **spec)
    parent["status"]["consecutiveRejections"] = count - 1
    manifest_of = plan(view(parent, services=[service([o.alert(f"a{count}")])], now=o.later(10**7)), IMAGE)
    running = o.with_status(parent, status_of(manifest_of))
    return o.with_status(parent, status_of(complete(running, dict(manifest_of.create[0]), REJECTED)))


RETRAIN = {"retrain": {"cooldownSeconds": 600, "maxConsecutiveFailures": 100}}


@pytest.mark.parametrize(("rejections", "seconds"), [(1, 1200), (2, 2400), (4, 9600), (40, 9600)])
def test_each_rejected_version_doubles_the_cooldown_up_to_a_bound(rejections: int, seconds: int) -> None:
    parent = after_rejections(rejections, **RETRAIN)
    assert parent["status"]["consecutiveRejections"] == rejections
    world = {"services": [service([o.alert("next")])]}
    early = plan(view(parent, **world, now=o.later(seconds - 1)), IMAGE)
    assert early.create == ()
    assert f"{rejections} rejected" in status_of(early)["pendingTriggers"][0]["message"]
    assert len(plan(view(parent, **world, now=o.later(seconds)), IMAGE).create) == 1


def test_too_many_rejected_versions_stop_alerts_until_a_person_acts() -> None:
    parent = after_rejections(2)
    world = {"services": [service([o.alert("next")])], "now": o.later(10**7)}
    held = plan(view(parent, **world), IMAGE)
    assert held.create == ()
    suspended = find(status_of(held), "RetrainSuspended")
    assert suspended is not None
    assert suspended["reason"] == "TooManyRejections"
    assert "2 versions in a row failed their gates" in suspended["message"]
    parent["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    assert status_of(plan(view(parent, **world), IMAGE))["consecutiveRejections"] == 0


def test_published_version_ends_the_row() -> None:
    parent = after_rejections(1, **RETRAIN)
    due = plan(view(parent, services=[service([o.alert("next")])], now=o.later(10**7)), IMAGE)
    ended = complete(o.with_status(parent, status_of(due)), dict(due.create[0]), o.published())
    assert status_of(ended)["consecutiveRejections"] == 0
