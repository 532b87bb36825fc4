"""A version made again after its source has changed: the stages of its recipe, and how the two compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts import names, result
from modelmill.contracts.stage import Data, Estimator, Origin, StageSpec
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import folders
from modelmill_trainer.publish import publish
from modelmill_trainer.train import train
from tests.support.evaluated import evaluate_here
from tests.unit.trainer.runs import spec_of


def played(spec: StageSpec, work: Path) -> result.StageResult:
    where = folders(work)
    where.output.mkdir(parents=True)
    fetch(spec, where)
    train(spec, where)
    return publish(spec, where)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageSpec:
    """Return what makes a published version again, whose source is gone."""
    monkeypatch.setattr("modelmill_trainer.publish.evaluate", evaluate_here)
    (tmp_path / "rows").mkdir()
    x = np.random.default_rng(1).normal(size=(120, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] * 3 + x[:, 1] + 20})
    frame.to_csv(tmp_path / "rows" / "a.csv", index=False)
    forest = Estimator("sklearn.ensemble.RandomForestRegressor", {"n_estimators": 5})
    data = Data(f"file://{tmp_path}/rows/", "csv", "y", copy=True)
    spec = spec_of(str(tmp_path), data=data, estimator=forest)
    made = played(spec, tmp_path / "first")
    assert made.artifact is not None
    assert made.data is not None
    (tmp_path / "rows" / "a.csv").write_text("a,b,y\n1,2,3\n")
    data = replace(data, copy=False, snapshot=made.data.digest)
    return replace(
        spec, data=data, run=9, run_uid="uid-9", reproduces=Origin("fuel-3", made.artifact.uri, made.artifact.digest)
    )


def test_the_same_recipe_gives_the_same_bytes_and_publishes_nothing(recipe: StageSpec, tmp_path: Path) -> None:
    before = sorted(path for path in (tmp_path / "models").rglob("*"))
    ending = played(recipe, tmp_path / "again")
    assert result.decode(result.encode(ending)) == ending
    assert (ending.outcome, ending.artifact) == (result.REPRODUCED, None)
    assert ending.reproduction == result.Reproduction("fuel-3", True, ending.metrics)
    assert ending.data is not None
    assert ending.data.digest == recipe.data.snapshot
    assert sorted(path for path in (tmp_path / "models").rglob("*")) == before


def test_another_model_is_told_with_its_metrics(recipe: StageSpec, tmp_path: Path) -> None:
    ending = played(replace(recipe, seed=8), tmp_path / "again")
    assert ending.reproduction is not None
    assert not ending.reproduction.same
    assert ending.reproduction.metrics != ending.metrics
    assert ending.notes[0] == "the model's file model.onnx has other bytes than that of fuel-3"


def test_other_libraries_are_told(recipe: StageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelmill_trainer.lineage.version", lambda name: "0.1")
    ending = played(recipe, tmp_path / "again")
    assert any("it was made with other libraries: scikit-learn" in note for note in ending.notes)


@pytest.mark.parametrize(("damage", "reason"), [("gone", "VersionMissing"), ("other", "VersionCorrupt")])
def test_a_version_whose_artifact_is_not_whole_is_told_before_the_training(
    recipe: StageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, reason: str
) -> None:
    monkeypatch.setattr("modelmill.store.transfer.repeat.__defaults__", ((), lambda _: None), raising=False)
    assert recipe.reproduces is not None
    manifest = Path(recipe.reproduces.uri.removeprefix("file://")) / names.MANIFEST_FILE
    if damage == "gone":
        manifest.unlink()
    else:
        manifest.write_bytes(b"{}")
    with pytest.raises(StageError, match="the artifact of fuel-3") as caught:
        fetch(recipe, folders(tmp_path / "again"))
    assert caught.value.reason == reason
