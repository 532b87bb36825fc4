"""Two TrainingJobs of one model: the older one trains, the other waits and says for whom."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.kube.conditions import find
from modelmill.training.part import keys_of_same_model, others
from modelmill.training.turns import Turns
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, plan, status_of, view


def named(name: str, created: str, uid: str = "", **meta: Any) -> dict[str, Any]:
    made = o.training_job()
    made["metadata"] |= {"name": name, "creationTimestamp": created, "uid": uid or f"{name}-uid", **meta}
    return made


FIRST = named("first", "2026-01-01T00:00:00Z")
SECOND = named("second", "2026-01-01T00:00:01Z")


def test_second_is_stalled_before_it_trains_and_names_the_first() -> None:
    made = plan(view(SECOND, training_jobs=[FIRST, SECOND]), IMAGE)
    assert made.create == ()
    status = status_of(made)
    for kind, expected in (("Stalled", "True"), ("Ready", "False")):
        condition = find(status, kind)
        assert condition is not None
        assert (condition["status"], condition["reason"]) == (expected, "ModelOwnedByAnother")
        assert "TrainingJob first" in condition["message"]
    assert "TrainingJob first" in status["pendingTriggers"][0]["message"]


def test_first_trains_whatever_comes_after_it() -> None:
    assert len(plan(view(FIRST, training_jobs=[FIRST, SECOND]), IMAGE).create) == 1


@pytest.mark.parametrize(
    "others",
    [[], [named("first", "2026-01-01T00:00:00Z", deletionTimestamp="2026-01-02T00:00:00Z")]],
    ids=["gone", "going"],
)
def test_when_the_first_goes_the_second_goes_on(others: list[dict[str, Any]]) -> None:
    assert len(plan(view(SECOND, training_jobs=[*others, SECOND]), IMAGE).create) == 1


def test_of_two_made_in_the_same_second_one_trains() -> None:
    made_together = [named("x", "2026-01-01T00:00:00Z", "b"), named("y", "2026-01-01T00:00:00Z", "a")]
    trains = [len(plan(view(one, training_jobs=made_together), IMAGE).create) for one in made_together]
    assert trains == [0, 1]


def test_of_two_made_in_the_same_second_the_one_that_has_begun_goes_on() -> None:
    late, early = named("x", "2026-01-01T00:00:00Z", "a"), named("y", "2026-01-01T00:00:00Z", "b")
    begun = o.with_status(early, status_of(plan(view(early, training_jobs=[early]), IMAGE)))
    assert plan(view(late, training_jobs=[late, begun]), IMAGE).create == ()
    concern = others(Turns())
    assert concern.reads(early) != concern.reads(begun)


def test_run_in_progress_goes_on_and_its_result_is_kept() -> None:
    status = status_of(plan(view(SECOND, training_jobs=[SECOND]), IMAGE))
    status = status_of(plan(view(o.with_status(SECOND, status), training_jobs=[FIRST, SECOND]), IMAGE))
    assert status["lastRun"]["cause"] == "JobDeleted"


def test_change_of_one_wakes_the_other() -> None:
    keys = keys_of_same_model(FIRST, view(FIRST, training_jobs=[FIRST, SECOND]))
    assert [key.name for key in keys] == ["second"]
    assert list(keys_of_same_model({**FIRST, "spec": {}}, view(FIRST))) == []
