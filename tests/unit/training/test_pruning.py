"""A search that stops trials by what they report: the trial's pod, what is written and told, and what is never stopped."""

from __future__ import annotations

from typing import Any

import pytest

from modelmill.contracts import names
from modelmill.kube.conditions import find
from tests.support import objects as o
from tests.unit.training.searching import Search, searching

MEDIAN = {"name": "Median", "startupTrials": 2, "warmupSteps": 1}
FRACTION = {"fraction": "0.2"}


def pruning(**more: Any) -> Search:
    return searching({"pruning": MEDIAN, "validation": FRACTION, "maxTrials": 5, **more})


def played(search: Search, index: int, curve: dict[int, float]) -> None:
    """Let a trial report a curve and end with its last value."""
    reported(search, index, curve)
    search.scored(index, list(curve.values())[-1])
    search.rest()


def reported(search: Search, index: int, curve: dict[int, float]) -> None:
    uid = search.trains(index)
    search.step()
    for step, value in curve.items():
        assert search.reports.take(uid, step, value) == "taken"


def two_good(**more: Any) -> Search:
    search = pruning(**more)
    for index in (0, 1):
        played(search, index, {1: 0.5, 2: 0.7})
    return search


def test_a_trial_that_does_worse_is_stopped_and_the_next_one_begins() -> None:
    search = two_good()
    reported(search, 2, {1: 0.1, 2: 0.2})
    job = search.running()[2]
    search.rest()
    assert job not in search.jobs
    assert list(search.running()) == [3]
    entry = search.entries()[2]
    assert (entry["state"], entry["reason"]) == ("Pruned", "WorseThanMedian")
    assert entry["message"] == "at step 2 its best value was 0.2, the median of 2 trials ends at 0.7"
    assert entry["reports"] == {"1": 0.1, "2": 0.2}
    assert search.trials() == {"maximum": 5, "succeeded": 2, "pruned": 1, "running": 1}
    told = [one for made in search.plans for one in made.events if one.reason == "TrialPruned"]
    assert [one.message.partition(":")[0] for one in told] == ["run 1, trial 2"]
    assert told[0].type == "Normal"
    assert search.run["best"]["index"] == 0
    shown = next(one for one in search.run["lastTrials"] if one["index"] == 2)
    assert (shown["state"], shown["reason"]) == ("Pruned", "WorseThanMedian")


def test_one_that_does_as_well_goes_on() -> None:
    search = two_good()
    reported(search, 2, {1: 0.1, 2: 0.7})
    search.rest()
    assert list(search.running()) == [2]


def test_in_a_search_for_the_least_the_greater_one_is_stopped() -> None:
    search = pruning(objective={"metric": "mae", "direction": "Minimize"})
    for index in (0, 1):
        reported(search, index, {1: 0.5})
        search.scored(index, 0.0, mae=0.5)
        search.rest()
    reported(search, 2, {1: 0.9})
    search.rest()
    assert search.entries()[2]["state"] == "Pruned"


def test_a_search_with_reports_is_looked_at_again_and_writes_nothing_meanwhile() -> None:
    search = two_good()
    reported(search, 2, {1: 0.9})
    made = search.step()
    assert made.requeue_after == 5.0
    assert not made.create
    assert not made.delete


def test_a_report_never_stops_a_trial_that_has_ended() -> None:
    search = two_good()
    reported(search, 2, {1: 0.1})
    search.scored(2, 0.9)
    search.rest()
    assert search.entries()[2]["state"] == "Succeeded"
    assert search.entries()[2]["reports"] == {"1": 0.1}
    # Its training is over, and it is being measured.
    reported(search, 3, {1: 0.1})
    job = search.running()[3]
    ends = [o.ended(stage, 0, "", "Completed") for stage in ("fetch", "train")]
    search.pods[job] = [o.pod(f"{job}-x", ends, [{"name": "score", "state": {"running": {}}}])]
    search.rest()
    assert list(search.running()) == [3]


def test_a_restarted_operator_goes_on_with_what_the_ledger_keeps() -> None:
    search = two_good()
    reported(search, 2, {1: 0.1})
    search.reports = type(search.reports)(search.reports.url)
    search.rest()
    assert list(search.running()) == [2], "what it had reported is lost with the memory, which delays"
    reported(search, 2, {2: 0.1})
    search.rest()
    assert search.entries()[2]["state"] == "Pruned"


def test_the_pod_gets_a_token_for_reports_and_nothing_else() -> None:
    search = pruning()
    pod = search.jobs[search.running()[0]]["spec"]["template"]["spec"]
    fetch, train = pod["initContainers"]
    env = {one["name"]: one.get("value") for one in train["env"]}
    assert env[names.ENV_REPORT_URL] == "http://operator/trials/report"
    assert env[names.ENV_REPORT_TOKEN] == "/modelmill/report/token"
    (volume,) = (one for one in pod["volumes"] if one["name"] == "report")
    token = {"audience": "modelmill-trial-reports", "expirationSeconds": 3600, "path": "token"}
    assert volume == {"name": "report", "projected": {"sources": [{"serviceAccountToken": token}]}}
    assert pod["automountServiceAccountToken"] is False
    mounted = {one["name"]: one.get("readOnly", False) for one in train["volumeMounts"]}
    assert mounted == {"report": True, "holdout": True, "input": False, "output": False, "tmp-train": False}
    for other in (fetch, *pod["containers"]):
        assert "report" not in {one["name"] for one in other["volumeMounts"]}
        assert names.ENV_REPORT_URL not in {one["name"] for one in other["env"]}


def test_a_container_sees_no_validation_rows() -> None:
    container = {"container": {"image": "mine:1", "args": ["--lr", "$(MODELMILL_PARAM_ALPHA)"]}}
    search = searching({"pruning": MEDIAN, "maxTrials": 2}, train=container)
    train = search.jobs[search.running()[0]]["spec"]["template"]["spec"]["initContainers"][1]
    assert {"report", "input", "output"} < {one["name"] for one in train["volumeMounts"]}
    assert "holdout" not in {one["name"] for one in train["volumeMounts"]}


def test_without_pruning_nothing_is_mounted_and_nothing_heard() -> None:
    search = searching({"maxTrials": 2})
    assert "serviceAccountToken" not in str(search.jobs)
    uid = search.trains(0)
    assert search.step().requeue_after is None
    assert search.reports.take(uid, 1, 0.5) == "stranger"


def test_that_no_report_can_be_taken_is_told() -> None:
    search = pruning()
    search.reports.problem = "the operator may not create tokenreviews"
    search.trains(0)
    search.rest()
    running = find(search.status, "Running")
    assert running is not None
    assert "nothing is pruned: the operator may not create tokenreviews" in running["message"]


@pytest.mark.parametrize("after", [{"name": "Percentile", "percentile": "25"}, None])
def test_pruning_may_change_while_it_searches(after: dict[str, Any] | None) -> None:
    search = two_good()
    job = search.running()[2]
    search.change_tuning(pruning=after)
    search.rest()
    assert search.running() == {2: job}
