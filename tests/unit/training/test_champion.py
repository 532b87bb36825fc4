"""The champion: the version that a challenger is compared with."""

from __future__ import annotations

from typing import Any

from tests.support import objects as o
from tests.unit.training.planning import IMAGE, plan, service, stable, status_of, view

OLD = o.model_version("cars-1", created="2026-01-01T00:00:00Z")
NEW = o.model_version("cars-2", created="2026-01-01T00:00:01Z")
GOING = {**NEW, "metadata": {**NEW["metadata"], "deletionTimestamp": "2026-01-02T00:00:00Z"}}


def champion(*versions: dict[str, Any], serving: str | None = None) -> str:
    services = []
    if serving is not None:
        services = [service([])]
        services[0]["status"]["stable"] = stable(serving)
    made = plan(view(o.training_job(), versions=versions, services=services), IMAGE)
    name: str = status_of(made)["currentRun"]["champion"]
    return name


def test_version_that_is_being_deleted_is_the_champion_while_it_serves() -> None:
    assert champion(OLD, GOING, serving="cars-2") == "cars-2"


def test_version_that_is_being_deleted_and_serves_nowhere_is_not() -> None:
    assert champion(OLD, GOING, serving="cars-1") == "cars-1"
    assert champion(OLD, GOING) == "cars-1"


def test_newest_approved_is_the_champion_though_another_serves() -> None:
    assert champion(OLD, NEW, serving="cars-1") == "cars-2"
