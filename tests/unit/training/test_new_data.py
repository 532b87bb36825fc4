"""Runs on new data: looks by the clock, one at a time, whose finds start a run within the limits, and every look says why."""

from __future__ import annotations

import pytest

from modelmill.contracts import names, stage
from modelmill.kube.conditions import timestamp
from tests.support import objects as o
from tests.unit.training.looking import OBJECTS, Clock, Object, variable


def test_the_data_is_looked_at_every_so_often_by_one_pod_at_a_time() -> None:
    clock = Clock()
    clock.plan(1)
    assert clock.look is not None
    clock.plan(300)
    assert len(clock.made) == 2, "the run and one look"
    clock.finds(new=1, rows=40)
    assert clock.look is None, "the Job of a look goes when it is recorded"
    assert clock.status["nextLookTime"] == timestamp(o.later(1200))
    assert clock.told == (
        "no run: 40 new rows in 1 new or changed objects since run 1; spec.triggers.newData.minNewRows is 100"
    )
    assert clock.plan(1100).requeue_after == 100
    assert clock.look is None
    clock.plan(1200)
    assert clock.look is not None
    assert clock.run is None


def test_enough_rows_start_a_run_that_says_why() -> None:
    clock = Clock()
    clock.plan(1)
    clock.finds(new=3, rows=120, removed=1)
    assert clock.run is not None
    assert (clock.run["reason"], clock.status["trigger"]) == ("Data", "Data")
    assert clock.run["triggers"] == ["data-" + "2" * 32]
    assert clock.told == (
        "at least 120 new rows in 3 new or changed objects since run 1, 1 are gone; spec.triggers.newData.minNewRows is 100"
    )
    assert clock.events.count("RunStarted") == 2
    assert clock.look is None
    assert "nextLookTime" not in clock.status
    clock.plan(4000)
    assert clock.look is None, "no look while a run reads the data"


@pytest.mark.parametrize("outcome", ["Published", "GateFailed", "DataRejected", "Failed", "Unchanged"])
def test_what_led_to_a_run_is_not_new_again_whatever_its_outcome(outcome: str) -> None:
    clock = Clock(OBJECTS)
    clock.plan(1)
    clock.finds(new=2, rows=None)
    assert clock.run is not None
    clock.end(outcome)
    clock.plan(100)
    assert clock.run is None
    assert clock.waits() == []
    clock.plan(1000)
    assert clock.look is not None
    told = stage.decode(variable(clock.look, names.ENV_STAGE))
    assert told.run_uid == "tj-uid-2", "compared with what the last run read"
    assert told.look == stage.Look(o.later(1).timestamp(), None)
    clock.finds(new=1, rows=None)
    assert clock.run is None
    assert clock.told.startswith("no run: 1 new or changed objects since run 2; ")


def test_objects_that_are_gone_start_no_run() -> None:
    clock = Clock(OBJECTS)
    clock.plan(1)
    clock.finds(new=0, rows=None, removed=4)
    assert clock.run is None
    assert "4 are gone" in clock.told


def test_a_run_for_another_reason_answers_what_a_look_found() -> None:
    clock = Clock(retrain={"cooldownSeconds": 600})
    clock.plan(1)
    clock.finds(new=3, rows=120)
    assert clock.waits()[0][0] == "Data"
    assert "cooldown until" in clock.waits()[0][1]
    clock.plan(300)
    assert clock.look is None, "there is enough: nothing is looked for"
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    clock.plan(301)
    assert clock.run is not None
    assert (clock.run["reason"], clock.run["triggers"]) == ("Manual", ["data-" + "2" * 32])
    assert clock.waits() == []
    clock.end()
    clock.plan(302)
    assert clock.run is None
    assert clock.waits() == []


def test_a_run_that_starts_ends_the_look_under_way() -> None:
    clock = Clock()
    clock.plan(1)
    clock.job["metadata"]["annotations"] = {"modelmill.dev/run": "now"}
    clock.plan(2)
    assert clock.run is not None
    assert clock.look is None


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"retrain": {"cooldownSeconds": 600}}, "cooldown until 2026-01-02T03:14:05Z"),
        ({"retrain": {"maxRunsPerDay": 1}}, "spec.retrain.maxRunsPerDay is 1"),
    ],
)
def test_the_limits_of_runs_that_nobody_asked_for_hold(spec: Object, words: str) -> None:
    clock = Clock(**spec)
    clock.status["unattendedStarts"] = [timestamp(o.later(0))]
    clock.plan(1)
    clock.finds(new=3, rows=120)
    assert clock.run is None
    assert words in clock.waits()[0][1]
    clock.plan(86_500)
    assert clock.run is not None


def test_what_failed_again_and_again_is_not_tried_for_new_data() -> None:
    clock = Clock()
    clock.plan(1)
    clock.finds(new=3, rows=40)
    clock.status["consecutiveFailures"] = 2
    clock.plan(5000)
    assert clock.run is None
    assert clock.look is None, "a look costs a pod, and could start no run"


def test_nothing_is_looked_at_while_suspended_or_before_a_run_has_ended() -> None:
    clock = Clock(runPolicy={"suspend": False})
    clock.job["spec"]["runPolicy"] = {"suspend": True}
    clock.plan(5000)
    assert clock.look is None
    assert "nextLookTime" not in clock.status
    clock.job["spec"]["runPolicy"] = {}
    clock.plan(5001)
    assert clock.look is not None
    clock.job["spec"]["runPolicy"] = {"suspend": True}
    clock.plan(5002)
    assert clock.look is None, "nor does a look go on"


def test_failed_looks_are_told_once_and_come_less_often() -> None:
    clock = Clock()
    at = 1.0
    for pause in (1800, 3600, 7200, 14_400, 14_400):
        clock.plan(at)
        clock.fails()
        assert clock.status["nextLookTime"] == timestamp(o.later(at + pause))
        at += pause
    assert clock.events.count("LookFailed") == 1
    assert "StoreAuthFailed: the keys are none of the store's" in clock.told
    assert clock.status["phase"] == "Idle", "the last version is as good as it was"
    clock.plan(at)
    clock.fails("BucketNotFound")
    assert clock.events.count("LookFailed") == 2, "for another reason it is told anew"
    clock.plan(at + 14_400)
    clock.finds(new=1, rows=1)
    assert clock.status["nextLookTime"] == timestamp(o.later(at + 14_400 + 900))


@pytest.mark.parametrize("message", ["", "{}", '{"v": 1, "data": {"digest": "d"}}', "[1"])
def test_a_look_that_tells_something_else_has_failed(message: str) -> None:
    clock = Clock()
    clock.plan(1)
    clock.finds(message=message)
    assert "its image told something else" in clock.told
    assert clock.run is None


def test_a_look_whose_pod_is_gone_is_waited_for_and_has_failed_then() -> None:
    clock = Clock()
    clock.plan(1)
    clock.ends("", 0)
    clock.pods.clear()
    assert clock.plan(11).requeue_after == 20
    assert "lastLook" not in clock.status
    clock.plan(32)
    assert "its pod is gone" in clock.told


def test_a_look_that_cannot_run_or_never_ends_has_failed() -> None:
    clock = Clock()
    clock.plan(1)
    assert clock.look is not None
    waiting = {"name": "look", "image": "trainer:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    name = clock.look["metadata"]["name"]
    status = {"phase": "Pending", "containerStatuses": [waiting]}
    clock.pods[name] = [{"metadata": {"name": name, "creationTimestamp": timestamp(o.NOW)}, "status": status}]
    clock.plan(2)
    assert "ImagePullFailed: container look with image trainer:1: ImagePullBackOff; correct the image" in clock.told
    assert clock.look is None
    clock.plan(2000)
    assert clock.look is not None
    name = clock.look["metadata"]["name"]
    done = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "lastTransitionTime": timestamp(o.NOW)}
    clock.jobs[name] = {**clock.look, "status": {"conditions": [done]}}
    clock.plan(2700)
    assert "it did not end within 600 seconds" in clock.told


def test_other_data_or_another_way_to_count_is_looked_at_anew() -> None:
    clock = Clock()
    clock.plan(1)
    assert clock.look is not None
    before = clock.look["metadata"]["name"]
    clock.job["spec"]["triggers"] = {"newData": OBJECTS}
    clock.plan(2)
    assert clock.look is not None
    assert clock.look["metadata"]["name"] != before
    assert stage.decode(variable(clock.look, names.ENV_STAGE)).look == stage.Look(o.NOW.timestamp(), None)
    clock.finds(new=1, rows=None)
    clock.job["spec"]["triggers"] = {"newData": {**OBJECTS, "minNewObjects": 1}}
    clock.plan(3)
    assert clock.run is not None, "what was found is enough by what is asked for"


def test_a_trigger_that_is_taken_away_leaves_nothing() -> None:
    clock = Clock()
    clock.plan(1)
    clock.finds(new=1, rows=1)
    clock.plan(2000)
    assert clock.look is not None
    clock.job["spec"]["triggers"] = {}
    clock.plan(2001)
    assert clock.look is None
    assert not {"lastLook", "nextLookTime"} & clock.status.keys()


def test_the_pod_has_the_keys_and_nothing_else_of_the_training_pod() -> None:
    clock = Clock(podTemplate={"nodeSelector": {"pool": "a"}, "resources": {"limits": {"nvidia.com/gpu": "4"}}})
    clock.plan(1)
    assert clock.look is not None
    pod = clock.look["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert "initContainers" not in pod
    assert pod["nodeSelector"] == {"pool": "a"}
    assert pod["automountServiceAccountToken"] is False
    assert container["args"] == ["look"]
    assert container["resources"] == {"requests": {"cpu": "50m", "memory": "192Mi"}}
    assert any(one.get("valueFrom") for one in container["env"])
    assert len(clock.look["metadata"]["name"]) <= 63


def test_a_long_name_fits_its_looks() -> None:
    clock = Clock()
    clock.job["metadata"]["name"] = "a" * 62 + "b"
    clock.plan(1)
    assert clock.look is not None
    assert len(clock.look["metadata"]["name"]) == 63


def test_a_run_that_makes_a_version_again_has_read_nothing() -> None:
    clock = Clock()
    record = {**clock.status["lastRun"], "number": 2, "reason": "Reproduce", "outcome": "Reproduced"}
    clock.status |= {"lastRun": record, "runs": [record, *clock.status["runs"]]}
    clock.plan(1)
    assert clock.look is not None
    assert stage.decode(variable(clock.look, names.ENV_STAGE)).run == 1
