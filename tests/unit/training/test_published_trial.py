"""What a search publishes: the best parameters on all rows, or the best trial's model once more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelmill.contracts import result, stage
from tests.support import objects as o
from tests.unit.training.searching import Search, searching

SHA256 = "0123456789abcdef" * 4
BEST_TRIAL: dict[str, Any] = {
    "publish": "BestTrial",
    "validation": {"fraction": "0.25", "strategy": "Latest", "column": "Year"},
    "maxTrials": 2,
}
LEFT_OUT = {"fraction": 0.25, "strategy": "Latest", "column": "Year", "uri": None}


def searched(tuning: dict[str, Any], models: tuple[str, str] = ("a" * 64, SHA256)) -> Search:
    """Return a search whose second trial is the best, before the last Job begins."""
    search = searching(tuning)
    search.scored(0, 0.5, models[0])
    search.rest()
    search.scored(1, 0.9, models[1])
    return search


def told(search: Search) -> dict[str, Any]:
    search.rest()
    return search.stage_of(search.run["job"])


def published(search: Search) -> tuple[Any, str, str]:
    """Return what the last Job is told: the rows that it leaves out, what it publishes, and the bytes of the best trial."""
    found = told(search)
    return found["data"]["without"], found["search"]["publish"], found["search"]["best_model"]


def test_the_best_trial_is_made_once_more_from_its_rows() -> None:
    search = searched(BEST_TRIAL)
    found = told(search)
    assert [one["model"] for one in search.entries()] == ["a" * 64, SHA256]
    assert published(search) == (LEFT_OUT, "BestTrial", SHA256)
    assert (found["search"]["best_index"], found["data"]["snapshot"]) == (1, o.DIGEST)
    assert found["data"]["holdout"]["fraction"] == 0.2, "the hold-out stays the real one"


def test_the_trials_and_the_data_job_leave_out_what_they_always_do() -> None:
    search = searching(BEST_TRIAL)
    for job in (search.data_job(), search.running()[0]):
        assert search.stage_of(job)["data"]["without"] is None


def test_a_refit_leaves_no_row_out() -> None:
    assert published(searched({"validation": {"fraction": "0.25"}, "maxTrials": 2})) == (None, "Refit", "")


def test_it_may_be_changed_while_it_searches() -> None:
    search = searched({**BEST_TRIAL, "publish": "Refit"})
    search.change_tuning(publish="BestTrial")
    assert published(search) == (LEFT_OUT, "BestTrial", SHA256)
    assert search.run["number"] == 1
    search.change_tuning(publish="Refit")
    assert published(search)[1] == "BestTrial", "the Job that publishes has begun"
    assert len([name for name in search.made if name == search.run["job"]]) == 1


def test_a_change_alone_starts_no_run_and_the_next_one_has_it() -> None:
    search = searched({**BEST_TRIAL, "publish": "Refit"})
    search.rest()
    search.published()
    search.rest()
    search.change_tuning(publish="BestTrial")
    search.rest()
    assert "currentRun" not in search.status
    search.change_tuning(maxTrials=3)
    search.rest()
    search.copied()
    search.rest()
    assert list(search.running()) == [2]
    search.scored(2, 0.1)
    assert published(search) == (LEFT_OUT, "BestTrial", SHA256), "the best is one of the trials that were carried on"


@pytest.mark.parametrize("model", ["", "A" * 64, "a" * 65, "x" * 2000])
def test_a_digest_that_is_none_is_not_kept(model: str) -> None:
    search = searched(BEST_TRIAL, ("", model))
    assert published(search) == (LEFT_OUT, "BestTrial", "")
    assert not any("model" in one for one in search.entries())


def test_trials_of_one_pod_tell_their_models() -> None:
    search = searching({**BEST_TRIAL, "parallelTrials": 2, "trialsPerPod": 2})
    trials = [result.TrialResult(index, {"r2": 0.5 + index}, model=str(index) * 64) for index in range(2)]
    text = result.encode(result.StageResult(result.SCORED, trials=tuple(trials)))
    search.complete(search.running()[0], [o.ended("score", 0, text, "Completed")])
    assert published(search) == (LEFT_OUT, "BestTrial", "1" * 64)


def test_the_recipe_leaves_the_same_rows_out() -> None:
    search = searched(BEST_TRIAL)
    told(search)
    recipe = json.loads(search.jobs[search.run["job"]]["metadata"]["annotations"]["modelmill.dev/recipe"])
    again = stage.decode(recipe["stage"])
    assert again.data.without == stage.Holdout(0.25, "Latest", "Year")
    assert again.search is None
