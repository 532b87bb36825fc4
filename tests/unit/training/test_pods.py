"""Trials that share a pod: each is in the ledger on its own, whatever becomes of the pod."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts import result
from modelmill.contracts.result import TrialResult
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, plan, view
from tests.unit.training.searching import Search, searching

PODS = {"trialsPerPod": 3, "parallelTrials": 6, "maxTrials": 8, "maxFailedTrials": 8}
STORE_DOWN = [o.ended("fetch", 1, "the store is down")]
NO_MEMORY = [o.ended("fetch", 0), o.ended("train", 137, "", "OOMKilled")]


def r2(index: int, value: float) -> TrialResult:
    return TrialResult(index, {"r2": value})


def told(search: Search, first: int, *trials: TrialResult, message: str | None = None) -> None:
    """Let the pod of a trial end well, telling of its trials."""
    text = message or result.encode(result.StageResult(result.SCORED, trials=trials))
    search.complete(search.running()[first], [o.ended("score", 0, text, "Completed")])
    search.rest()


def indexes(search: Search, job: str) -> list[int]:
    return [one["index"] for one in search.stage_of(job)["trial"]["pod"]]


def states(search: Search) -> list[str]:
    return [one["state"] for one in search.entries()]


def events(search: Search, reason: str) -> list[str]:
    return [event.message for made in search.plans for event in made.events if event.reason == reason]


def test_trials_share_pods_and_each_counts() -> None:
    search = searching(PODS)
    assert list(search.running()) == [0, 3]
    assert [indexes(search, job) for job in search.running().values()] == [[0, 1, 2], [3, 4, 5]]
    assert search.run["trials"]["running"] == 6
    told(search, 0, r2(0, 0.5), r2(1, 0.9), TrialResult(2, reason="TrainingFailed", message="alpha"))
    first = search.entries()[:3]
    assert [(one["state"], one.get("value")) for one in first] == [
        ("Succeeded", 0.5),
        ("Succeeded", 0.9),
        ("Failed", None),
    ]
    assert (first[2]["reason"], first[2]["message"]) == ("TrainingFailed", "alpha")
    assert events(search, "TrialFailed") == ["run 1, trial 2: TrainingFailed: alpha"]
    # The rest of the search is fewer than a pod takes.
    assert list(search.running()) == [3, 6]
    assert indexes(search, search.running()[6]) == [6, 7]
    told(search, 3, *(r2(index, 0.1) for index in (3, 4, 5)))
    told(search, 6, *(r2(index, 0.2) for index in (6, 7)))
    assert search.trials() == {"maximum": 8, "succeeded": 7, "failed": 1, "end": "MaxTrialsReached"}
    assert search.run["best"]["index"] == 1
    names = {name.removeprefix(search.run["job"]) for name in search.jobs}
    assert names == {"-data", "-t0", ""}, "the pod of a failed trial stays for its logs"


def test_the_stages_are_told_each_trials_own_parameters() -> None:
    search = searching(
        PODS, train={"sklearn": {"estimator": "sklearn.linear_model.Ridge", "parameters": {"tol": "0.1"}}}
    )
    job = search.running()[0]
    stage, entries = search.stage_of(job), search.entries()
    assert stage["estimator"]["parameters"] == {"tol": 0.1}
    assert [one["parameters"] for one in stage["trial"]["pod"]] == [
        {"alpha": float(one["parameters"]["alpha"])} for one in entries[:3]
    ]
    train = search.jobs[job]["spec"]["template"]["spec"]["initContainers"][1]
    assert not [one["name"] for one in train["env"] if one["name"].startswith("MODELMILL_PARAM")]


@pytest.mark.parametrize("ends", [[], STORE_DOWN], ids=["pod gone", "store down"])
def test_a_lost_pod_is_made_again_with_the_same_trials(ends: list[dict[str, Any]]) -> None:
    search = searching(PODS)
    before = search.entries()
    search.failed(0, ends)
    search.rest()
    after = search.entries()
    assert [one["attempt"] for one in after] == [2, 2, 2, 1, 1, 1]
    assert [one["parameters"] for one in after] == [one["parameters"] for one in before]
    assert search.running()[0] == f"{search.run['job']}-t0-a2"
    assert indexes(search, search.running()[0]) == [0, 1, 2]
    assert search.run["trials"]["failed"] == 0


def test_a_pod_that_is_lost_again_and_again_fails_each_of_its_trials() -> None:
    search = searching(PODS)
    for _ in range(6):
        search.failed(0, [])
        search.rest()
    assert [one.get("reason") for one in search.entries()[:3]] == ["InfrastructureLost"] * 3


@pytest.mark.parametrize(
    ("ends", "job_reason", "words"),
    [
        (NO_MEMORY, "BackoffLimitExceeded", "OutOfMemory: container train"),
        ([], "DeadlineExceeded", "DeadlineExceeded: it ran longer"),
        ([o.ended("train", 139, "")], "BackoffLimitExceeded", "TrainingFailed: container train exited with code 139"),
        ([o.ended("score", 1, "")], "BackoffLimitExceeded", "StageFailed: container score"),
    ],
    ids=["memory", "deadline", "crash", "score"],
)
def test_when_nobody_knows_which_trial_did_it_each_is_made_again_alone(
    ends: list[dict[str, Any]], job_reason: str, words: str
) -> None:
    search = searching(PODS)
    search.failed(0, ends, job_reason)
    search.rest()
    assert list(search.running()) == [3, 0, 1, 2]
    assert all(not indexes(search, search.running()[index]) for index in (0, 1, 2))
    assert [search.stage_of(search.running()[index])["trial"]["index"] for index in (0, 1, 2)] == [0, 1, 2]
    assert search.run["trials"]["failed"] == 0
    (event,) = events(search, "TrialsParted")
    assert event.startswith(f"run 1, trials from 0 on: {words}")
    # The guilty one fails on its own; the others do not count.
    search.failed(1, ends, job_reason)
    search.scored(0, 0.5)
    search.scored(2, 0.7)
    search.rest()
    assert states(search)[:3] == ["Succeeded", "Failed", "Succeeded"]
    assert "message" not in search.entries()[0]
    assert search.entries()[1]["attempt"] == 2


def test_a_child_that_was_killed_for_memory_parts_the_trials_of_a_pod_that_ended_well() -> None:
    search = searching(PODS)
    text = result.encode(result.StageResult(result.SCORED, trials=(r2(0, 0.5), r2(1, 0.6), r2(2, 0.7))))
    killed = o.ended("train", 0, "", "OOMKilled")
    search.complete(search.running()[0], [o.ended("score", 0, text, "Completed")], (killed,))
    search.rest()
    assert states(search)[:3] == ["Running"] * 3
    assert {0, 1, 2} <= search.running().keys()


@pytest.mark.parametrize(
    "message", ['{"v":1,"outco', '{"v":1,"outcome":"Scored","trials":[{"index":0,"metrics":{"r2":1}}]}']
)
def test_a_trial_of_which_nothing_is_told_is_made_again_alone(message: str) -> None:
    search = searching(PODS)
    told(search, 0, message=message)
    parted = [one["index"] for one in search.entries() if one["attempt"] == 2]
    assert parted == ([0, 1, 2] if message.endswith("outco") else [1, 2])
    assert {*parted} <= search.running().keys()


def test_data_that_no_trial_can_be_made_with_fail_each_at_once() -> None:
    search = searching(PODS)
    text = result.encode(result.StageResult("Failed", "SnapshotMissing", ("the copy lacks an object",)))
    search.failed(0, [o.ended("fetch", 3, text)])
    search.rest()
    assert [one.get("reason") for one in search.entries()[:3]] == ["SnapshotMissing"] * 3


def test_an_objective_that_is_not_told_is_each_trials_own_failure() -> None:
    search = searching(PODS)
    told(search, 0, r2(0, 0.5), TrialResult(1, {"mae": 1.0}), r2(2, 0.7))
    assert [one.get("reason") for one in search.entries()[:3]] == [None, "MetricMissing", None]


def test_another_number_in_the_middle_counts_for_the_pods_to_come() -> None:
    search = searching(PODS)
    search.change_tuning(trialsPerPod=1)
    told(search, 0, *(r2(index, 0.5) for index in (0, 1, 2)))
    assert search.run["number"] == 1, "it is the same search"
    assert list(search.running()) == [3, 6, 7]
    assert indexes(search, search.running()[3]) == [3, 4, 5]


def test_a_pod_begins_when_there_is_room_for_all_of_it() -> None:
    search = searching({**PODS, "parallelTrials": 5, "maxTrials": 20})
    assert list(search.running()) == [0]
    search.failed(0, NO_MEMORY)
    search.rest()
    assert list(search.running()) == [0, 1, 2]
    search.scored(0, 0.5)
    search.rest()
    assert list(search.running()) == [1, 2, 3]
    assert indexes(search, search.running()[3]) == [3, 4, 5]


def test_the_goal_stops_the_trials_of_other_pods() -> None:
    search = searching({**PODS, "objective": {"metric": "r2", "direction": "Maximize", "goal": "0.9"}})
    told(search, 0, r2(0, 0.5), r2(1, 0.95), r2(2, 0.1))
    assert search.trials() == {"maximum": 8, "succeeded": 3, "pruned": 3, "end": "GoalReached"}
    assert not search.running()


def test_a_deleted_job_is_made_again_with_all_its_trials() -> None:
    search = searching(PODS)
    del search.jobs[search.running()[3]]
    search.rest()
    assert indexes(search, search.running()[3]) == [3, 4, 5]


def test_the_api_server_is_asked_before_a_pod_is_lost() -> None:
    search = searching(PODS)
    name = search.running()[0]
    text = result.encode(result.StageResult(result.SCORED, trials=(r2(0, 0.5), r2(1, 0.6), r2(2, 0.7))))
    search.complete(name, [o.ended("score", 0, text, "Completed")])
    pods = search.pods.pop(name)
    pods[0]["metadata"]["ownerReferences"] = [{"uid": search.jobs[name]["metadata"]["uid"]}]
    made = plan(view(search.parent, jobs=search.jobs, maps=search.maps, unseen_pods=pods), IMAGE)
    assert (made.status or {})["currentRun"]["trials"]["succeeded"] == 3


def test_pods_that_cannot_start_are_made_anew_by_another_spec() -> None:
    search = searching(PODS)
    for name in search.running().values():
        search.pods[name] = [o.pod(f"{name}-x", [o.waiting("fetch", "ImagePullBackOff")], [], "Pending")]
    search.rest()
    search.change(podTemplate={"nodeSelector": {"disk": "fast"}})
    search.rest()
    assert [one["attempt"] for one in search.entries()] == [2] * 6
    assert [indexes(search, job) for job in search.running().values()] == [[0, 1, 2], [3, 4, 5]]
