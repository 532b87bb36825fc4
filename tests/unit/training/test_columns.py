"""The texts of `kubectl get`."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.api.training_job_status import columns
from modelmill.training.part import keys_of_version
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, complete, plan, started, status_of, view


def version(name: str, value: str, approval: str = "Approved", metric: str = "r2") -> dict[str, Any]:
    made = o.model_version(name, approval)
    made["spec"]["metrics"] = {metric: value}
    return made


VERSIONS = [version("cars-1", "0.8"), version("cars-2", "0.913"), version("cars-3", "0.99", "Rejected")]


@pytest.mark.parametrize(("direction", "best"), [("Maximize", "r2=0.913 (cars-2)"), ("Minimize", "r2=0.8 (cars-1)")])
def test_best_is_the_best_version_that_is_not_rejected(direction: str, best: str) -> None:
    parent = o.training_job(evaluation={"primary": {"metric": "r2", "direction": direction}})
    assert status_of(plan(view(parent, versions=VERSIONS), IMAGE))["best"] == best


def compared(name: str, value: str, champion: str, against: str, **more: dict[str, str]) -> dict[str, Any]:
    made = version(name, value)
    made["spec"]["champion"] = {"version": champion, "metrics": {"r2": against}, **more}
    return made


WORSE = compared("cars-2", "0.95", "cars-1", "0.96")


@pytest.mark.parametrize(
    ("versions", "best"),
    [
        ([version("cars-1", "0.8"), WORSE], "r2=0.8 (cars-1)"),
        ([version("cars-1", "0.8"), compared("cars-2", "0.95", "cars-1", "0.95")], "r2=0.95 (cars-2)"),
        ([version("cars-1", "0.8"), WORSE, version("cars-3", "0.7")], "r2=0.8 (cars-1)"),
        ([version("cars-1", "0.8", "Rejected"), WORSE], "r2=0.95 (cars-2)"),
        ([WORSE], "r2=0.95 (cars-2)"),
        ([version("cars-1", "0.8"), compared("cars-2", "0.95", "cars-1", "odd")], "r2=0.95 (cars-2)"),
        (
            [version("cars-1", "0.8"), compared("cars-2", "0.95", "cars-1", "0.9", challenger={"r2": "0.89"})],
            "r2=0.8 (cars-1)",
        ),
        (
            [version("cars-1", "0.8"), compared("cars-2", "0.95", "cars-1", "0.97", challenger={"r2": "0.98"})],
            "r2=0.95 (cars-2)",
        ),
        ([WORSE, compared("cars-1", "0.8", "cars-2", "0.9")], "r2=0.95 (cars-2)"),
    ],
    ids=["worse", "equal", "third", "champion rejected", "champion gone", "odd", "few rows", "better on few", "cyclic"],
)
def test_worse_than_its_champion_on_the_same_rows_is_not_better_than_it(
    versions: list[dict[str, Any]], best: str
) -> None:
    assert status_of(plan(view(o.training_job(), versions=versions), IMAGE))["best"] == best


@pytest.mark.parametrize(
    ("versions", "best"),
    [
        ([version("cars-1", "0.95"), compared("cars-2", "0.7", "cars-1", "0.3")], "r2=0.7 (cars-2)"),
        (
            [
                version("cars-1", "0.95"),
                compared("cars-2", "0.7", "cars-1", "0.3"),
                compared("cars-3", "0.6", "cars-2", "0.5"),
            ],
            "r2=0.6 (cars-3)",
        ),
        ([version("cars-1", "0.95"), version("cars-2", "0.7")], "r2=0.95 (cars-1)"),
        ([version("cars-1", "0.95"), compared("cars-2", "0.7", "cars-1", "0.7")], "r2=0.95 (cars-1)"),
    ],
    ids=["once", "twice", "never compared", "equal"],
)
def test_who_was_better_on_the_same_rows_is_better_whatever_both_were_on_their_own(
    versions: list[dict[str, Any]], best: str
) -> None:
    """After a change of the data the rows of before, which were easy, say nothing about who is better now."""
    assert status_of(plan(view(o.training_job(), versions=versions), IMAGE))["best"] == best


def test_a_rejected_version_beats_nobody() -> None:
    rejected = compared("cars-2", "0.7", "cars-1", "0.3")
    rejected["spec"]["approval"] = "Rejected"
    versions = [version("cars-1", "0.95"), rejected]
    assert status_of(plan(view(o.training_job(), versions=versions), IMAGE))["best"] == "r2=0.95 (cars-1)"


def test_less_is_better_when_the_metric_is_an_error() -> None:
    parent = o.training_job(evaluation={"primary": {"metric": "r2", "direction": "Minimize"}})
    versions = [version("cars-1", "0.8"), compared("cars-2", "0.7", "cars-1", "0.6")]
    assert status_of(plan(view(parent, versions=versions), IMAGE))["best"] == "r2=0.8 (cars-1)"


def test_versions_without_the_metric_and_those_going_do_not_count() -> None:
    going = version("cars-9", "0.99")
    going["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    odd = [going, version("cars-4", "5", metric="mae"), version("cars-5", "nonsense")]
    assert "best" not in status_of(plan(view(o.training_job(), versions=odd), IMAGE))


def serving(name: str) -> dict[str, Any]:
    service = o.inference_service()
    track = {"version": name, "digest": o.DIGEST, "revision": "a", "replicas": 1, "ready": 1}
    return o.with_status(service, {"stable": track})


def test_a_version_in_deletion_counts_while_it_serves() -> None:
    going = version("cars-1", "0.8")
    going["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    versions = [going, WORSE]
    assert status_of(plan(view(o.training_job(), versions=versions), IMAGE))["best"] == "r2=0.95 (cars-2)"
    held = view(o.training_job(), versions=versions, services=[serving("cars-1")])
    assert status_of(plan(held, IMAGE))["best"] == "r2=0.8 (cars-1)"


def test_long_names_fit() -> None:
    metric = "m" * 64
    parent = o.training_job(evaluation={"primary": {"metric": metric, "direction": "Maximize"}})
    made = plan(view(parent, versions=[version("c" * 44 + "-123456789", "0.5", metric=metric)]), IMAGE)
    assert len(status_of(made)["best"]) <= 160


def test_change_of_a_version_wakes_the_training_jobs_of_its_model() -> None:
    parent = o.training_job()
    keys = keys_of_version(VERSIONS[0], view(parent, training_jobs=[parent]))
    assert [key.name for key in keys] == ["cars"]


def test_trigger_is_that_of_the_run_in_progress_or_else_of_the_last() -> None:
    assert "trigger" not in status_of(plan(view(o.training_job(runPolicy={"suspend": True})), IMAGE))
    parent, manifest = started()
    assert parent["status"]["trigger"] == "Spec"
    ended = o.with_status(parent, status_of(complete(parent, manifest, o.published())))
    assert ended["status"]["trigger"] == "Spec"
    ended["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    again = plan(view(ended), IMAGE)
    assert (status_of(again)["trigger"], status_of(again)["lastRun"]["reason"]) == ("Manual", "Spec")


def test_column_shows_it() -> None:
    assert {"Trigger": ".status.trigger"}.items() <= {one["name"]: one["jsonPath"] for one in columns()}.items()
