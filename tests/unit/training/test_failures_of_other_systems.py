"""What users of other systems reported of searches and of Jobs, each with a test of its name.

Source: the issue trackers of kubeflow/katib, kubeflow/trainer and optuna/optuna; their numbers stand at each test.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from modelmill.contracts import result
from modelmill.tuning.sampler import SamplerError
from tests.support import objects as o
from tests.unit.training.searching import FACTS, Search, searching

CHOICES = [{"name": "alpha", "categorical": {"choices": ["1", "2"]}}]


def test_a_trial_that_succeeded_without_its_metric_says_what_it_told() -> None:
    """katib 1795, 1801, 1182: 'Trial job is succeeded but metrics are not reported'."""
    search = searching({"objective": {"metric": "profit", "direction": "Maximize"}})
    told = result.StageResult(result.SCORED, data=FACTS, metrics={"r2": 0.9, "mae": 2.0})
    search.complete(search.running()[0], [o.ended("score", 0, result.encode(told), "Completed")])
    search.rest()
    first = search.entries()[0]
    assert (first["state"], first["reason"]) == ("Failed", "MetricMissing")
    assert all(
        word in first["message"] for word in ("container score", "mae, r2", "no profit", "spec.tuning.objective")
    )


def test_the_command_of_a_container_is_not_wrapped() -> None:
    """katib 2181, 1914, 1418: a shell around the command, and a shared PID namespace, broke it."""
    container = {"image": "a/b:1", "command": ["./train"], "args": ["--alpha", "$(MODELMILL_PARAM_ALPHA)"]}
    search = searching(train={"container": container})
    spec = search.jobs[search.running()[0]]["spec"]["template"]["spec"]
    (train,) = (one for one in spec["initContainers"] if one["name"] == "train")
    assert (train["command"], train["args"]) == (container["command"], container["args"])
    assert not spec.get("shareProcessNamespace")
    assert [one["name"] for one in (*spec["initContainers"], *spec["containers"])] == ["fetch", "train", "score"]


def test_no_status_of_a_large_search_is_over_100_kb() -> None:
    """katib 1847: 14,500 assignments in one object, 'Request entity too large'."""
    many = [{"name": f"{'p' * 40}{place:02}", "categorical": {"choices": ["v" * 200]}} for place in range(32)]
    search = searching({"parameters": many, "maxTrials": 100, "parallelTrials": 100, "maxFailedTrials": 100})
    for index in list(search.running()):
        search.failed(index, [o.ended("train", 1, "e" * 4000)])
    search.rest()
    assert len(json.dumps(search.status)) < 100_000
    assert search.status["lastRun"]["cause"] == "NoTrialSucceeded"


class Broken:
    """A sampler that dies."""

    async def suggest(self, *_: Any) -> list[dict[str, str]]:
        raise SamplerError("the process was ended by signal 9")


def test_a_sampler_that_dies_ends_the_search_in_words() -> None:
    """katib 2260, 1314: the suggestion service ran out of memory, and the experiment stayed Running for ever."""
    search = Search(o.training_job(tuning=o.tuning()), sampler=Broken())  # type: ignore[arg-type]
    search.rest()
    search.copied()
    search.rest()
    last = search.status["lastRun"]
    assert (last["outcome"], last["cause"]) == ("Failed", "SamplerFailed")
    assert "signal 9" in last["message"]


def test_lowered_parallelism_deletes_no_trial() -> None:
    """katib 1830, 2725: deleted trials never came back; lowering the number deleted trials that had ended."""
    search = searching({"parallelTrials": 3, "maxTrials": 5})
    search.scored(0, 0.5)
    search.change_tuning(parallelTrials=1)
    search.rest()
    assert list(search.running()) == [1, 2]
    search.scored(1, 0.6)
    search.rest()
    assert [one["state"] for one in search.entries()] == ["Succeeded", "Succeeded", "Running"]


def test_a_search_that_ended_is_not_run_again_when_its_children_are_removed() -> None:
    """trainer 2981, 2991, 3737, 3779: a finished job ran again after its child was removed by its time to live."""
    search = searching({"maxTrials": 1})
    search.scored(0, 0.5)
    search.rest()
    search.published()
    search.rest()
    made = list(search.made)
    search.jobs.clear()
    search.pods.clear()
    search.now += timedelta(days=2)
    search.rest()
    assert search.made == made


def test_no_trial_runs_on_after_the_search_has_failed() -> None:
    """katib 855, 2061: the experiment had ended, and its trials kept running."""
    search = searching({"parallelTrials": 3, "maxTrials": 9, "maxFailedTrials": 0})
    search.failed(1, [o.ended("train", 1, "bad")])
    search.rest()
    assert search.status["lastRun"]["cause"] == "TooManyFailedTrials"
    assert not search.running()


def test_a_bad_trial_is_counted_at_its_first_pod() -> None:
    """katib 845, 2452: a trial stayed Running while its Job tried seven pods one after the other."""
    search = searching(runPolicy={"backoffLimit": 6})
    assert search.jobs[search.running()[0]]["spec"]["backoffLimit"] == 0
    search.failed(0, [o.ended("train", 1, "bad")])
    search.rest()
    assert search.run["trials"]["failed"] == 1


def test_the_best_trial_of_another_one_of_the_same_name_is_not_inherited() -> None:
    """katib 2578, 840: experiments of equal names shared their trials."""
    first = searching({"maxTrials": 2})
    first.scored(0, 0.9)
    first.rest()
    again = o.training_job(tuning=o.tuning())
    again["metadata"]["uid"] = "another-uid"
    # What the one before left is still there: nothing has collected it yet.
    second = Search(again, jobs=dict(first.jobs), pods=dict(first.pods), maps=dict(first.maps))
    second.rest()
    assert len(second.made) == 1
    assert not set(second.made) & set(first.made)
    assert second.run["trials"] == {**second.run["trials"], "succeeded": 0, "running": 0}
    assert "best" not in second.run


def test_an_exhausted_grid_is_a_success() -> None:
    """katib 1494, 1534: stuck when the space had fewer combinations than trials were asked for."""
    search = searching({"parameters": CHOICES, "algorithm": {"name": "Grid"}, "maxTrials": 9, "parallelTrials": 9})
    assert list(search.running()) == [0, 1]
    for index, value in ((0, 0.5), (1, 0.7)):
        search.scored(index, value)
    search.rest()
    assert search.run["trials"]["end"] == "SearchSpaceExhausted"
    search.published()
    search.rest()
    assert search.status["lastRun"]["outcome"] == "Published"


def test_a_trial_that_was_lost_and_ends_late_is_not_told_twice() -> None:
    """optuna 1641, 485, 3130: workers that were preempted left trials that ran for ever, or told a second result."""
    search = searching({"maxTrials": 2})
    lost = search.running()[0]
    search.failed(0, [])
    search.rest()
    assert search.entries()[0]["attempt"] == 2
    # The pod of the first attempt was alive after all.
    told = result.StageResult(result.SCORED, data=FACTS, metrics={"r2": 0.1})
    second = search.jobs[search.running()[0]]
    search.jobs[lost] = {**second, "metadata": {**second["metadata"], "name": lost}}
    search.complete(lost, [o.ended("score", 0, result.encode(told), "Completed")])
    search.rest()
    assert search.entries()[0]["state"] == "Running"
    search.scored(0, 0.8)
    search.rest()
    assert search.entries()[0]["value"] == 0.8
