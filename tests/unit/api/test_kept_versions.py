"""Versions that did not change are not read again; a status is written without what is empty."""

from __future__ import annotations

from modelmill.api import objects
from modelmill.api.training_job_status import CurrentRun, TrainingJobStatus
from tests.support import objects as o


def test_version_that_changed_is_read_again() -> None:
    before = o.model_version("cars-1", "Pending")
    (first,) = objects.readable_model_versions([before])
    (again,) = objects.readable_model_versions([before])
    assert again is first
    (changed,) = objects.readable_model_versions([{**before, "spec": {**before["spec"], "approval": "Approved"}}])
    assert changed.spec.approval == "Approved"


def test_version_that_cannot_be_read_is_left_out_each_time() -> None:
    broken = {**o.model_version("cars-1"), "spec": {"model": "cars"}}
    for _ in range(2):
        assert [one.name for one in objects.readable_model_versions([broken, o.model_version("cars-2")])] == ["cars-2"]


def test_only_the_versions_read_last_are_kept() -> None:
    for number in range(objects._KEPT + 10):
        objects.readable_model_versions([{**o.model_version(f"cars-{number}"), "spec": {}}])
    assert len(objects._read_last) == objects._KEPT


def test_a_change_of_one_pushes_out_no_other() -> None:
    made = [o.model_version(f"cars-{number}") for number in range(objects._KEPT)]
    read = objects.readable_model_versions(made)
    for approval in ("Approved", "Rejected"):
        objects.readable_model_versions([{**made[5], "spec": {**made[5]["spec"], "approval": approval}}])
    again = objects.readable_model_versions(one for one in made if one is not made[5])
    assert all(one is before for one, before in zip(again, [*read[:5], *read[6:]], strict=True))


def test_empty_parts_are_not_written_and_zeros_are() -> None:
    run = CurrentRun(
        number=1, reason="Spec", trained_hash="a", version="v", job="j", phase="Pending", attempt=1, start_time="t"
    )
    assert objects.status_manifest(TrainingJobStatus(current_run=run)) == {
        "phase": "Idle",
        "consecutiveFailures": 0,
        "consecutiveRejections": 0,
        "currentRun": {
            "number": 1,
            "reason": "Spec",
            "trainedHash": "a",
            "version": "v",
            "job": "j",
            "phase": "Pending",
            "attempt": 1,
            "startTime": "t",
        },
    }
