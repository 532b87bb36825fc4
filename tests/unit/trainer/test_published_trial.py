"""The best trial's model, made once more from its rows by the stages of the run that publishes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts import names, result
from modelmill.contracts.stage import Data, Estimator, Holdout, PodTrial, Search, StageSpec, Trial
from modelmill_trainer.artifact_folder import file_sha256
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import Folders, folders
from modelmill_trainer.phases import ARTIFACT_FOLDER
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
    ridge = Estimator("sklearn.linear_model.Ridge", {"alpha": 0.5})
    return spec_of(str(tmp_path), data=Data(f"file://{tmp_path}/rows/", "csv", "y"), estimator=ridge)


def played(spec: StageSpec, work: Path) -> tuple[result.StageResult, Folders]:
    where = folders(work)
    where.output.mkdir(parents=True)
    fetch(spec, where)
    train(spec, where)
    return evaluate_here(spec, where, work), where


def publishing(spec: StageSpec, best_model: str) -> StageSpec:
    found = Search(
        "TPE", 0, "r2", "Maximize", 5, 5, 0, 0, 3, 0.9, "fraction 0.25", {}, (), "BestTrial", best_model
    )  # fmt: skip
    return replace(spec, search=found, data=replace(spec.data, without=Holdout(0.25)))


def test_the_published_model_has_the_bytes_that_the_trial_told(spec: StageSpec, tmp_path: Path) -> None:
    scored, trial = played(replace(spec, trial=Trial(3, fraction=0.25)), tmp_path / "trial")
    assert scored.model == file_sha256(trial.output / names.SKOPS_FILE)
    ending, run = played(publishing(spec, scored.model), tmp_path / "run")
    assert file_sha256(tmp_path / "run" / ARTIFACT_FOLDER / names.SKOPS_FILE) == scored.model
    assert any(note.startswith("the model has the bytes of trial 3") for note in ending.notes)
    assert any("rows are left out of training" in note for note in ending.notes)
    assert run.train("csv").read_bytes() == trial.train("csv").read_bytes()
    assert run.held_out("csv").read_bytes() != trial.held_out("csv").read_bytes()
    again, _ = played(replace(publishing(spec, ""), search=None), tmp_path / "again")
    assert file_sha256(tmp_path / "again" / ARTIFACT_FOLDER / names.SKOPS_FILE) == scored.model, "by its recipe"
    assert not any("trial" in note and "bytes" in note for note in again.notes)


def test_trials_of_one_pod_tell_the_bytes_of_trials_alone(
    spec: StageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(told: StageSpec, where: Folders, into: Path, _: object) -> result.StageResult:
        return evaluate_here(told, where, into)

    monkeypatch.setattr("modelmill_trainer.score.evaluate", here)
    pod = (PodTrial(3, {"alpha": 0.5}), PodTrial(4, {"alpha": 2.0}))
    where = folders(tmp_path / "pod")
    where.output.mkdir(parents=True)
    shared = replace(spec, primary_metric="r2", trial=Trial(3, fraction=0.25, pod=pod))
    fetch(shared, where)
    train(shared, where)
    first, second = score(shared, where).trials
    alone, _ = played(replace(spec, trial=Trial(3, fraction=0.25)), tmp_path / "trial")
    assert first.model == alone.model != second.model
    assert second.model == file_sha256(where.of_trial(4).output / names.SKOPS_FILE)


def test_other_bytes_are_published_with_a_note(spec: StageSpec, tmp_path: Path) -> None:
    ending, _ = played(publishing(spec, "f" * 64), tmp_path / "run")
    assert ending.outcome == result.PUBLISHED
    assert any(note.startswith("the model has other bytes than that of trial 3") for note in ending.notes)


def test_without_a_search_of_that_kind_no_note_tells_of_bytes(spec: StageSpec, tmp_path: Path) -> None:
    refit = replace(spec, search=replace(publishing(spec, "").search, publish="Refit"))  # type: ignore[type-var]
    ending, _ = played(refit, tmp_path / "run")
    assert not any("trial" in note for note in ending.notes)


def test_the_model_of_somebody_elses_image_is_not_told(spec: StageSpec, tmp_path: Path) -> None:
    _, where = played(replace(spec, trial=Trial(3, fraction=0.25)), tmp_path / "trial")
    told = replace(spec, estimator=None, train_image="own:1", trial=Trial(3, fraction=0.25))
    assert evaluate_here(told, where, tmp_path).model == ""
