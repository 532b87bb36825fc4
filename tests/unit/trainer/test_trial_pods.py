"""Trials that share a pod, by their stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts import result
from modelmill.contracts.stage import Data, Estimator, PodTrial, StageSpec, Trial
from modelmill_trainer import train as training
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import Folders, folders
from modelmill_trainer.score import score
from modelmill_trainer.train import train
from tests.support.evaluated import evaluate_here
from tests.unit.trainer.runs import spec_of


@pytest.fixture
def spec(tmp_path: Path) -> StageSpec:
    (tmp_path / "rows").mkdir()
    x = np.random.default_rng(1).normal(size=(120, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] * 3 + x[:, 1] + 20})
    frame.to_csv(tmp_path / "rows" / "a.csv", index=False)
    data = Data(f"file://{tmp_path}/rows/", "csv", "y", copy=True)
    taken = fetch(spec_of(str(tmp_path), data=data), folders(tmp_path / "data"))
    ridge = Estimator("sklearn.linear_model.Ridge", {"tol": 0.001}, "None")
    return spec_of(
        str(tmp_path), data=replace(data, copy=False, snapshot=taken.digest), estimator=ridge, primary_metric="mae"
    )


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(spec: StageSpec, where: Folders, into: Path, _: object) -> result.StageResult:
        return evaluate_here(spec, where, into)

    monkeypatch.setattr("modelmill_trainer.score.evaluate", here)


def played(spec: StageSpec, work: Path) -> tuple[result.StageResult, Folders]:
    where = folders(work)
    where.output.mkdir(parents=True)
    fetch(spec, where)
    train(spec, where)
    return score(spec, where), where


def pod(spec: StageSpec, *trials: PodTrial, folds: int = 3, fraction: float = 0.0) -> StageSpec:
    return replace(spec, trial=Trial(trials[0].index, folds=folds, fraction=fraction, pod=trials))


@pytest.mark.parametrize(("folds", "fraction"), [(3, 0.0), (0, 0.25)])
def test_each_trial_is_measured_as_it_would_be_alone(
    spec: StageSpec, tmp_path: Path, folds: int, fraction: float
) -> None:
    # An estimator that writes into its rows spoils those of no other trial.
    spoils = {"estimator": "sklearn.linear_model.LinearRegression", "LinearRegression__copy_X": False}
    trials = (PodTrial(4, {"alpha": 500}), PodTrial(5, spoils), PodTrial(6, {"alpha": 5}))
    ending, _ = played(pod(spec, *trials, folds=folds, fraction=fraction), tmp_path / "pod")
    assert [one.index for one in ending.trials] == [4, 5, 6]
    for one, told in zip(trials, ending.trials, strict=True):
        alone = replace(
            spec, estimator=Estimator("sklearn.linear_model.Ridge", {"tol": 0.001, **one.parameters}, "None")
        )
        single, _ = played(
            replace(alone, trial=Trial(one.index, folds=folds, fraction=fraction)), tmp_path / f"{one.index}"
        )
        assert told.metrics == single.metrics
        assert next(iter(told.metrics)) == "mae", "the objective first"


def test_what_cannot_be_fitted_is_that_trials_own_failure(spec: StageSpec, tmp_path: Path) -> None:
    trials = (
        PodTrial(0, {"solver": "svd", "positive": True}),
        PodTrial(1, {"alpha": 1}),
        PodTrial(2, {"estimator": "sklearn.linear_model.Nothing"}),
        PodTrial(3, {"beta": 1}),
    )
    ending, _ = played(pod(spec, *trials), tmp_path / "pod")
    assert [one.reason for one in ending.trials] == ["TrainingFailed", "", "EstimatorUnknown", "ParameterInvalid"]
    assert "Ridge.fit: ValueError" in ending.trials[0].message
    assert ending.trials[1].metrics["r2"] > 0.9
    assert result.decode(result.encode(ending)).trials == ending.trials


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device")])
def test_what_may_be_another_trials_fault_ends_the_pod(
    spec: StageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(training, "fit", fails)
    monkeypatch.setattr("modelmill_trainer.folds.fit", fails)
    with pytest.raises(type(error)):
        played(pod(spec, PodTrial(0), PodTrial(1)), tmp_path / "pod")


def test_a_model_that_cannot_be_measured_is_that_trials_own_failure(spec: StageSpec, tmp_path: Path) -> None:
    told = pod(spec, PodTrial(0, {"alpha": 1}), PodTrial(1, {"alpha": 2}), folds=0, fraction=0.25)
    _, where = played(told, tmp_path / "pod")
    (where.of_trial(0).output / "model.skops").write_bytes(b"no model")
    first, second = score(told, where).trials
    assert (first.reason, first.metrics) == ("ModelInvalid", {})
    assert second.metrics["r2"] > 0.9
