"""The stages of a trial, one after the other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts import result
from modelmill.contracts.stage import Data, Estimator, StageSpec, Trial
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import Folders, folders
from modelmill_trainer.reporting import Reporter
from modelmill_trainer.score import score
from modelmill_trainer.train import train
from tests.unit.trainer.runs import spec_of


@pytest.fixture
def spec(tmp_path: Path) -> StageSpec:
    (tmp_path / "rows").mkdir()
    x = np.random.default_rng(1).normal(size=(120, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] * 3 + x[:, 1] + 20})
    frame.to_csv(tmp_path / "rows" / "a.csv", index=False)
    data = Data(f"file://{tmp_path}/rows/", "csv", "y", copy=True)
    taken = fetch(spec_of(str(tmp_path), data=data), folders(tmp_path / "data"))
    return spec_of(str(tmp_path), data=replace(data, copy=False, snapshot=taken.digest))


def played(spec: StageSpec, work: Path) -> tuple[result.StageResult, Folders]:
    where = folders(work)
    where.output.mkdir(parents=True)
    fetch(spec, where)
    train(spec, where)
    return score(spec, where), where


def test_a_share_of_the_training_rows_scores_in_a_process_of_its_own(spec: StageSpec, tmp_path: Path) -> None:
    told = replace(spec, trial=Trial(3, fraction=0.25))
    ending, where = played(told, tmp_path / "trial")
    assert result.decode(result.encode(ending)) == ending
    assert (ending.outcome, ending.artifact) == (result.SCORED, None)
    assert ending.metrics["r2"] > 0.99
    assert ending.data is not None
    assert (ending.data.digest, ending.data.copied) == (spec.data.snapshot, True)
    validation = pd.read_csv(where.held_out("csv"))
    assert len(validation) == ending.data.holdout_rows
    assert not (tmp_path / "models" / "demo").exists()


def test_folds_score_and_leave_no_model(spec: StageSpec, tmp_path: Path) -> None:
    ending, where = played(replace(spec, trial=Trial(3, folds=4)), tmp_path / "trial")
    assert ending.metrics["r2"] > 0.99
    assert ending.data is not None
    assert ending.data.holdout_rows == 0
    assert [path.name for path in where.output.iterdir()] == ["metrics.json"]
    assert not where.held_out("csv").exists()


def test_equal_trials_have_equal_results_and_others_have_not(spec: StageSpec, tmp_path: Path) -> None:
    def metrics(name: str, alpha: float, index: int) -> dict[str, float]:
        told = replace(spec, estimator=Estimator("sklearn.linear_model.Ridge", {"alpha": alpha}))
        return played(replace(told, trial=Trial(index, folds=3)), tmp_path / name)[0].metrics

    assert metrics("one", 0.5, 0) == metrics("again", 0.5, 9) != metrics("other", 50.0, 0)


def test_the_parameter_estimator_replaces_the_estimator(spec: StageSpec, tmp_path: Path) -> None:
    path = "sklearn.ensemble.RandomForestRegressor"
    given = {"estimator": path, "RandomForestRegressor__n_estimators": 3, "Ridge__alpha": 1}
    told = replace(spec, estimator=Estimator("sklearn.linear_model.Ridge", given), trial=Trial(0, fraction=0.25))
    ending, where = played(told, tmp_path / "trial")
    assert ending.metrics["r2"] < 0.99
    assert json.loads(where.params.read_text())["parameters"] == {"n_estimators": 3}


def test_a_containers_own_metrics_stand_beside_ours(spec: StageSpec, tmp_path: Path) -> None:
    told = replace(spec, trial=Trial(0, fraction=0.25))
    where = folders(tmp_path / "trial")
    where.output.mkdir(parents=True)
    fetch(told, where)
    train(told, where)
    where.metrics.write_text('{"metrics": {"cost": 7, "r2": 5}}')
    ending = score(replace(told, estimator=None), where)
    assert (ending.metrics["cost"], ending.metrics["r2"] < 1) == (7.0, True)


def test_what_is_no_trial_is_refused(spec: StageSpec, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="set trial, or run publish"):
        score(spec, folders(tmp_path / "trial"))


def test_folds_of_a_container_are_refused(spec: StageSpec, tmp_path: Path) -> None:
    told = replace(spec, estimator=None, trial=Trial(0, folds=3))
    fetch(told, folders(tmp_path / "trial"))
    with pytest.raises(StageError, match="use fraction"):
        score(told, folders(tmp_path / "trial"))


def test_folds_that_left_nothing_are_told(spec: StageSpec, tmp_path: Path) -> None:
    told = replace(spec, trial=Trial(0, folds=3))
    fetch(told, folders(tmp_path / "trial"))
    with pytest.raises(StageError, match=r"left no metrics\.json of its folds") as caught:
        score(told, folders(tmp_path / "trial"))
    assert caught.value.reason == "MetricInvalid"


def test_a_trial_that_reports_is_measured_as_one_that_does_not(
    spec: StageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each report is what a forest of so many trees would score."""
    sent: list[tuple[int, float]] = []
    monkeypatch.setattr(Reporter, "report", lambda _, step, value: sent.append((step, value)))
    forest = Estimator("sklearn.ensemble.RandomForestRegressor", {"n_estimators": 6})
    told = replace(spec, estimator=forest, trial=Trial(3, fraction=0.25), primary_metric="mae")
    silent, _ = played(told, tmp_path / "silent")
    assert sent == []
    monkeypatch.setenv("MODELMILL_REPORT_URL", "http://127.0.0.1:1/trials/report")
    monkeypatch.setenv("MODELMILL_REPORT_TOKEN", str(tmp_path / "token"))
    ending, _ = played(told, tmp_path / "trial")
    assert ending.metrics == silent.metrics
    assert [step for step, _ in sent] == [1, 2, 4]
    monkeypatch.delenv("MODELMILL_REPORT_URL")
    smaller = replace(told, estimator=Estimator(forest.estimator, {"n_estimators": 4}))
    assert sent[-1][1] == pytest.approx(played(smaller, tmp_path / "smaller")[0].metrics["mae"])
