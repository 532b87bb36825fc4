"""A run that searches: data, trials, publish; every way in which a trial ends, and in which the search does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelmill.contracts import result
from modelmill.contracts.spaces import DEFAULTS
from modelmill.kube.conditions import find
from tests.support import objects as o
from tests.support.made_aside import created
from tests.unit.training.planning import IMAGE, plan, view
from tests.unit.training.searching import FACTS, Search, searching


def test_data_then_trials_then_publish() -> None:
    search = Search(o.training_job(tuning=o.tuning()))
    search.rest()
    assert search.made == [search.run["job"] + "-data"]
    assert search.stage_of(search.data_job())["data"]["copy"] is True
    assert (search.run["phase"], search.status["progress"]) == ("Pending", "0/3 trials")
    search.copied()
    for index, value in enumerate((0.5, 0.9, 0.7)):
        search.rest()
        assert list(search.running()) == [index]
        search.scored(index, value)
        assert search.status["progress"] == f"{index}/3 trials"
    search.rest()
    assert search.made[1:] == [f"{search.run['job']}{suffix}" for suffix in ("-t0", "-t1", "-t2", "")]
    assert search.trials() == {"maximum": 3, "succeeded": 3, "end": "MaxTrialsReached"}
    assert (search.run["best"]["index"], search.run["best"]["value"]) == (1, "0.9")
    told = search.stage_of(search.run["job"])
    assert told["data"]["snapshot"] == o.DIGEST
    assert told["search"]["best_index"] == 1
    assert told["estimator"]["parameters"]["alpha"] == float(search.entries()[1]["parameters"]["alpha"])
    search.published()
    search.rest()
    last = search.status["lastRun"]
    assert (last["outcome"], last["version"], last["best"]["index"]) == ("Published", "cars-1", 1)
    assert last["trials"]["succeeded"] == 3
    assert [one["index"] for one in search.entries()] == [0, 1, 2]


def test_a_trial_is_in_the_ledger_before_its_job_is_made() -> None:
    search = searching({"parallelTrials": 2})
    made = next(one for one in search.plans if any("-t0" in job["metadata"]["name"] for job in created(one)))
    # The executor creates aside what is in the ledger, after the status.
    (shard,) = made.apply
    assert {"00000", "00001", "search"} == set(shard["data"])


def test_as_many_trials_at_a_time_as_the_spec_says() -> None:
    search = searching({"parallelTrials": 2, "maxTrials": 3})
    assert list(search.running()) == [0, 1]
    search.scored(1, 0.5)
    search.rest()
    assert list(search.running()) == [0, 2]
    search.scored(0, 0.4)
    search.scored(2, 0.6)
    search.rest()
    assert search.run["best"]["index"] == 2


def test_the_trial_pod_has_no_holdout_and_no_keys_in_train_and_score() -> None:
    search = searching()
    spec = search.jobs[search.running()[0]]["spec"]["template"]["spec"]
    by_name = {one["name"]: one for one in [*spec["initContainers"], *spec["containers"]]}
    assert list(by_name) == ["fetch", "train", "score"]
    keys = {name: "AWS_SECRET_ACCESS_KEY" in {env["name"] for env in one["env"]} for name, one in by_name.items()}
    assert keys == {"fetch": True, "train": False, "score": False}
    told = search.stage_of(search.running()[0])
    assert told["data"]["snapshot"] == o.DIGEST
    assert told["trial"] == {
        "index": 0,
        "attempt": 1,
        "folds": 5,
        "fraction": 0.0,
        "strategy": "Random",
        "column": None,
        "pod": [],
    }
    assert told["champion"] is None


def test_the_train_container_is_told_its_parameters() -> None:
    choices = {"name": "loss", "categorical": {"choices": ["huber$(HOME)"]}}
    container = {"container": {"image": "mine:1", "args": ["--lr=$(MODELMILL_PARAM_LR)"]}}
    parameters = [{"name": "lr", "float": {"low": "0.5", "high": "0.5"}}, choices]
    search = searching({"parameters": parameters}, train=container)
    train = search.jobs[search.running()[0]]["spec"]["template"]["spec"]["initContainers"][1]
    env = {one["name"]: one.get("value") for one in train["env"]}
    assert env["MODELMILL_PARAM_LR"] == "0.5"
    assert env["MODELMILL_PARAM_LOSS"] == "huber$$(HOME)"
    assert "$" not in env["MODELMILL_PARAMS"]
    assert json.loads(env["MODELMILL_PARAMS"]) == {"lr": 0.5, "loss": "huber$(HOME)"}
    assert env["MODELMILL_TRIAL"] == "0"
    assert search.stage_of(search.running()[0])["trial"]["fraction"] == 0.2


@pytest.mark.parametrize(
    ("ends", "reason", "words"),
    [
        ([o.ended("fetch", 0), o.ended("train", 1, "ValueError: alpha")], "TrainingFailed", "ValueError: alpha"),
        ([o.ended("train", 137, "", "OOMKilled")], "OutOfMemory", "resources.limits.memory"),
        ([o.ended("fetch", 3, "no")], "StageFailed", "fetch"),
        (
            [o.ended("train", 3, result.encode(result.StageResult("Failed", "EstimatorUnknown", ("no such",))))],
            "EstimatorUnknown",
            "no such",
        ),
    ],
)
def test_a_failed_trial_counts_with_its_reason(ends: list[dict[str, Any]], reason: str, words: str) -> None:
    search = searching()
    search.failed(0, ends)
    search.rest()
    first = search.entries()[0]
    assert (first["state"], first["reason"]) == ("Failed", reason)
    assert words in first["message"]
    assert search.run["trials"]["failed"] == 1
    assert list(search.running()) == [1]
    assert any(event.reason == "TrialFailed" for made in search.plans for event in made.events)


def test_a_trial_that_ran_too_long_failed() -> None:
    search = searching()
    search.failed(0, [], "DeadlineExceeded")
    search.rest()
    assert search.entries()[0]["reason"] == "DeadlineExceeded"


@pytest.mark.parametrize("ends", [[], [o.ended("fetch", 1, "the store is down")]], ids=["pod gone", "store down"])
def test_a_lost_pod_makes_the_same_trial_again_and_does_not_count(ends: list[dict[str, Any]]) -> None:
    search = searching()
    before = search.entries()[0]["parameters"]
    search.failed(0, ends)
    search.rest()
    first = search.entries()[0]
    assert (first["state"], first["attempt"], first["parameters"]) == ("Running", 2, before)
    assert list(search.running().values()) == [f"{search.run['job']}-t0-a2"]
    assert search.run["trials"]["failed"] == 0


def test_a_trial_that_is_lost_again_and_again_fails() -> None:
    search = searching()
    for _ in range(6):
        search.failed(0, [])
        search.rest()
    assert (search.entries()[0]["state"], search.entries()[0]["reason"]) == ("Failed", "InfrastructureLost")
    assert len([name for name in search.made if "-t0" in name]) == 6


def test_more_failures_than_the_spec_bears_end_the_run() -> None:
    search = searching({"maxFailedTrials": 1, "maxTrials": 9, "parallelTrials": 3})
    for index in (0, 1):
        search.failed(index, [o.ended("train", 1, "bad")])
    search.rest()
    last = search.status["lastRun"]
    assert (last["outcome"], last["cause"], last["trials"]["failed"]) == ("Failed", "TooManyFailedTrials", 2)
    assert last["dataDigest"] == o.DIGEST
    assert "bad" in last["message"]
    assert not search.running()
    stalled = find(search.status, "Stalled")
    assert stalled is not None
    assert stalled["reason"] == "TooManyFailedTrials"


def test_a_search_in_which_nothing_succeeded_publishes_nothing() -> None:
    search = searching({"maxTrials": 1, "maxFailedTrials": 1})
    search.failed(0, [o.ended("train", 1, "bad")])
    search.rest()
    assert search.status["lastRun"]["cause"] == "NoTrialSucceeded"


def test_the_goal_ends_the_search_and_what_still_runs() -> None:
    search = searching(
        {"parallelTrials": 3, "maxTrials": 9, "objective": {"metric": "r2", "direction": "Maximize", "goal": "0.9"}}
    )
    search.scored(1, 0.95)
    search.rest()
    assert search.trials() == {"maximum": 9, "succeeded": 1, "pruned": 2, "end": "GoalReached"}
    assert not search.running()
    assert search.made[-1] == search.run["job"]


def test_a_goal_that_is_to_be_small() -> None:
    aim = {"metric": "mae", "direction": "Minimize", "goal": "2"}
    search = searching({"parallelTrials": 2, "objective": aim})
    search.scored(0, 0.5, mae=3.0)
    search.rest()
    assert "end" not in search.run["trials"]
    search.scored(1, 0.1, mae=1.5)
    search.rest()
    assert (search.run["trials"]["end"], search.run["best"]["index"]) == ("GoalReached", 1)


def test_suspended_no_trial_begins_and_those_that_run_go_on() -> None:
    search = searching({"parallelTrials": 2})
    search.change(runPolicy={"suspend": True})
    search.scored(0, 0.5)
    search.rest()
    assert list(search.running()) == [1]
    assert "suspend" in search.run["message"]
    search.change(runPolicy={"suspend": False})
    search.rest()
    assert list(search.running()) == [1, 2]
    assert "message" not in search.run


def test_a_changed_space_starts_anew() -> None:
    search = searching({"parallelTrials": 2})
    search.scored(0, 0.5)
    search.rest()
    search.change_tuning(parameters=[{"name": "alpha", "float": {"low": "1", "high": "2"}}])
    search.rest()
    assert search.status["lastRun"]["cause"] == "Replaced"
    assert (search.run["number"], search.run["trials"]["succeeded"]) == (2, 0)
    assert not search.running()
    search.copied()
    search.rest()
    assert all(1 <= float(one["parameters"]["alpha"]) <= 2 for one in search.entries(2))


def test_counts_may_change_while_it_searches() -> None:
    search = searching({"maxTrials": 2})
    search.change_tuning(maxTrials=5, parallelTrials=3)
    search.rest()
    assert (search.run["number"], list(search.running())) == (1, [0, 1, 2])
    assert search.status["progress"] == "0/5 trials"


def ended(search: Search, values: list[float]) -> None:
    for index, value in enumerate(values):
        if index not in search.running():
            continue
        search.scored(index, value)
        search.rest()
    search.published()
    search.rest()


def test_raised_max_trials_go_on_with_the_same_search() -> None:
    search = searching({"maxTrials": 2})
    ended(search, [0.9, 0.5])
    search.change_tuning(maxTrials=3)
    search.rest()
    assert (search.run["number"], search.run["reason"]) == (2, "Spec")
    search.copied()
    search.rest()
    assert list(search.running()) == [2]
    search.scored(2, 0.7)
    search.rest()
    assert [one.get("value") for one in search.entries(2)] == [0.9, 0.5, 0.7]
    assert search.stage_of(search.run["job"])["search"]["best_index"] == 0
    search.published()
    search.rest()
    assert search.status["lastRun"]["version"] == "cars-2"
    assert not search.entries(1), "the ledger of before is in the one that went on"


def test_raised_max_trials_with_other_data_start_anew() -> None:
    search = searching({"maxTrials": 1})
    ended(search, [0.9])
    search.change_tuning(maxTrials=2)
    search.rest()
    search.copied(result.DataFacts("sha256:" + "b" * 64, 90, 20))
    search.rest()
    assert list(search.running()) == [0]


def test_lowered_max_trials_start_no_run() -> None:
    search = searching({"maxTrials": 2})
    ended(search, [0.9, 0.5])
    search.change_tuning(maxTrials=1)
    search.rest()
    assert "currentRun" not in search.status


def test_a_lost_ledger_is_told_and_ends_the_run() -> None:
    search = searching({"parallelTrials": 2})
    search.maps.clear()
    search.rest()
    assert search.status["lastRun"]["cause"] == "LedgerLost"
    assert not search.running()


def test_the_api_server_is_asked_before_a_ledger_is_lost() -> None:
    search = searching({"parallelTrials": 2})
    seen = view(search.parent, jobs=search.jobs, pods=search.pods, unseen_maps=search.maps)
    made = plan(seen, IMAGE)
    assert (made.status or {})["currentRun"] == search.run


def test_the_api_server_is_asked_before_a_trial_is_lost() -> None:
    search = searching()
    search.scored(0, 0.5)
    pods = search.pods.pop(f"{search.run['job']}-t0")
    job = search.jobs[f"{search.run['job']}-t0"]
    pods[0]["metadata"]["ownerReferences"] = [{"uid": job["metadata"]["uid"]}]
    made = plan(view(search.parent, jobs=search.jobs, maps=search.maps, unseen_pods=pods), IMAGE)
    assert (made.status or {})["currentRun"]["trials"]["succeeded"] == 1


def test_the_api_server_is_asked_how_a_pod_ended_that_seems_to_run() -> None:
    search = searching()
    search.failed(0, [o.ended("train", 1, "bad")])
    name = f"{search.run['job']}-t0"
    (pod,) = search.pods.pop(name)
    pod["metadata"]["ownerReferences"] = [{"uid": search.jobs[name]["metadata"]["uid"]}]
    before = {name: [o.pod(f"{name}-x", [o.running("train")], [], "Running")]}
    made = plan(view(search.parent, jobs=search.jobs, pods=before, maps=search.maps, unseen_pods=[pod]), IMAGE)
    assert (made.status or {})["currentRun"]["trials"]["failed"] == 1


def test_the_api_server_is_asked_before_a_trial_that_has_ended_is_made_again() -> None:
    """A cache of before knows neither that the Job was made nor that its end was recorded."""
    search = searching()
    parent, maps = search.parent, dict(search.maps)
    data = search.data_job()
    search.scored(0, 0.5)
    search.rest()
    seen = view(parent, jobs={data: search.jobs[data]}, maps=maps, unseen_maps=search.maps, unseen_jobs=search.jobs)
    made = plan(seen, IMAGE)
    assert not created(made)
    assert (made.status or {})["currentRun"]["trials"] == search.run["trials"]


def test_a_deleted_job_of_a_trial_is_made_again() -> None:
    search = searching()
    del search.jobs[search.running()[0]]
    search.rest()
    assert list(search.running()) == [0]


def test_jobs_of_trials_go_when_they_are_recorded_but_those_of_failed_ones_stay_for_their_logs() -> None:
    search = searching({"parallelTrials": 2})
    search.scored(0, 0.5)
    search.failed(1, [o.ended("train", 1, "bad")])
    search.rest()
    names = {name.removeprefix(search.run["job"]) for name in search.jobs}
    assert names == {"-data", "-t1", "-t2"}


def test_after_the_run_its_steps_go() -> None:
    search = searching({"maxTrials": 1})
    ended(search, [0.9])
    assert list(search.jobs) == [search.status["lastRun"]["job"]]


def test_data_that_cannot_be_trained_on_end_the_run() -> None:
    search = Search(o.training_job(tuning=o.tuning()))
    search.rest()
    job = search.data_job()
    told = result.StageResult(result.DATA_REJECTED, "TargetMissing", ("no column mpg",))
    search.jobs[job]["status"] = {"failed": 1, "conditions": [o.condition("Failed", "PodFailurePolicy")]}
    search.pods[job] = [o.pod("p", [], [o.ended("fetch", 3, result.encode(told))], "Failed")]
    search.rest()
    assert (search.status["lastRun"]["outcome"], search.status["lastRun"]["cause"]) == ("DataRejected", "TargetMissing")


def test_an_image_that_cannot_be_pulled_is_told_and_mended_by_the_spec() -> None:
    search = searching({"parallelTrials": 2})
    for name in search.running().values():
        search.pods[name] = [o.pod(f"{name}-x", [o.waiting("fetch", "ImagePullBackOff")], [], "Pending")]
    search.rest()
    ready = find(search.status, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "ImagePullFailed")
    assert "begun anew" in ready["message"]
    search.change(podTemplate={"nodeSelector": {"disk": "fast"}})
    search.rest()
    assert [one["attempt"] for one in search.entries()] == [2, 2]
    assert search.run["number"] == 1


def test_one_of_several_trials_that_waits_is_no_obstacle() -> None:
    search = searching({"parallelTrials": 2})
    name = search.running()[1]
    search.pods[name] = [o.pod(f"{name}-x", [o.waiting("fetch", "ImagePullBackOff")], [], "Pending")]
    search.rest()
    ready = find(search.status, "Ready")
    assert ready is not None
    assert ready["status"] == "True"
    assert "1 of 2 trials wait" in search.run["message"]


def test_the_holdout_is_split_as_its_own_validation_is_by_default() -> None:
    holdout = {"fraction": "0.2", "strategy": "Latest", "column": "year"}
    data = {**o.training_job()["spec"]["data"], "holdout": holdout}
    search = searching(data=data)
    trial = search.stage_of(search.running()[0])["trial"]
    assert (trial["folds"], trial["strategy"], trial["column"]) == (5, "Latest", "year")


def test_an_ended_trial_says_which_data() -> None:
    search = searching()
    (shard,) = search.maps.values()
    header = json.loads(shard["data"]["search"])
    assert (header["digest"], header["rows"], header["holdout_rows"]) == (FACTS.digest, FACTS.rows, FACTS.holdout_rows)


AUTO = {"parameters": None, "space": "Auto", "maxTrials": 12, "parallelTrials": 12}


def automatic(estimator: str, metric: str = "r2") -> Search:
    primary = {"metric": metric, "direction": "Maximize"}
    return searching(AUTO, train={"sklearn": {"estimator": estimator}}, evaluation={"primary": primary, "gates": []})


@pytest.mark.parametrize(("metric", "task"), [("r2", "regression"), ("roc_auc", "classification")])
def test_space_auto_with_estimator_auto_tries_several_estimators_of_the_task(metric: str, task: Any) -> None:
    search = automatic("Auto", metric)
    tried = {one["parameters"]["estimator"] for one in search.entries()}
    assert len(tried) > 1
    assert tried <= set(DEFAULTS[task])
    trial = search.stage_of(search.running()[0])["estimator"]
    assert trial["parameters"]["estimator"] == search.entries()[0]["parameters"]["estimator"]
    # The data are read for one of them, before any is chosen.
    assert search.stage_of(search.data_job())["estimator"]["estimator"] == DEFAULTS[task][0]


def test_space_auto_of_one_estimator_is_its_documented_space() -> None:
    search = automatic("sklearn.ensemble.GradientBoostingRegressor")
    assert {name for one in search.entries() for name in one["parameters"]} == {
        "n_estimators", "learning_rate", "max_depth", "subsample",
    }  # fmt: skip


def test_a_space_that_cannot_be_found_ends_the_search_with_its_field() -> None:
    # Admission refuses it; an object of before, or written past admission, is told all the same.
    search = automatic("sklearn.linear_model.Lars")
    assert "SamplerFailed" in str(search.status["lastRun"])
    assert "spec.tuning.space: sklearn.linear_model.Lars has no space" in search.status["lastRun"]["message"]
