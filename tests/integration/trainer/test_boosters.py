"""XGBoost and LightGBM as built-in estimators: published in their own formats, served equally, made again equally."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts import names, result
from modelmill.contracts.artifact import MODEL_FILES, parse_manifest
from modelmill.contracts.estimators import BOOSTERS
from modelmill_trainer.models import load_artifact
from tests.support.asked_models import asked_of
from tests.support.model_server import Launcher
from tests.support.stages import Run, car_data, cars, estimator

Make = Callable[..., Run]
SMALL = {"n_estimators": 12}


def data(tmp_path: Path, target: str) -> dict[str, Any]:
    frame = cars()
    frame["Thrifty"] = np.where(frame["Miles_per_Gallon"] > 25, "yes", "no")
    frame["Fast [s]"] = frame.pop("Acceleration")
    # A text of one row: where it is held out, training has not seen it.
    frame.loc[frame.index[::40], "Origin"] = [f"Place {row}" for row in range(len(frame.index[::40]))]
    frame = frame[frame["Miles_per_Gallon"].notna()]
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / "cars.csv", index=False)
    kept = "Miles_per_Gallon" if target == "Thrifty" else "Thrifty"
    return car_data(f"file://{folder}", target=target, exclude=["Name", "Year", kept])


def run(make_run: Make, tmp_path: Path, path: str, **parameters: Any) -> tuple[Run, result.StageResult]:
    target = "Thrifty" if path.endswith("Classifier") else "Miles_per_Gallon"
    metric = "accuracy" if target == "Thrifty" else "r2"
    made = make_run(
        data=data(tmp_path, target),
        store={"uri": f"file://{tmp_path}/store"},
        estimator=estimator(path, **(SMALL | parameters)),
        primary_metric=metric,
    )
    return made, made.all()


def folder_of(told: result.StageResult) -> Path:
    assert told.artifact is not None
    return Path(told.artifact.uri.removeprefix("file://"))


@pytest.mark.parametrize("path", BOOSTERS)
def test_it_is_published_in_its_own_format_and_made_again_equally(path: str, make_run: Make, tmp_path: Path) -> None:
    _, told = run(make_run, tmp_path, path)
    assert told.outcome == result.PUBLISHED
    folder = folder_of(told)
    manifest = parse_manifest((folder / names.MANIFEST_FILE).read_bytes())
    assert manifest.format == BOOSTERS[path]
    file = MODEL_FILES[manifest.format][0]
    _, again = run(make_run, tmp_path, path)
    assert (folder_of(again) / file).read_bytes() == (folder / file).read_bytes()
    assert again.metrics == told.metrics
    assert min(told.metrics.get("accuracy", 1.0), told.metrics.get("r2", 1.0)) > 0.5


@pytest.mark.parametrize("path", ["xgboost.XGBClassifier", "lightgbm.LGBMRegressor"])
def test_the_server_answers_as_the_stage_did(path: str, make_run: Make, tmp_path: Path, launch: Launcher) -> None:
    made, told = run(make_run, tmp_path, path)
    folder = folder_of(told)
    manifest = parse_manifest((folder / names.MANIFEST_FILE).read_bytes())
    server = launch(folder)
    rows = pd.read_csv(made.holdout / "holdout.csv").head(40)
    rows.loc[rows.index[0], "Origin"] = "a place that nobody knows"
    answers = asked_of(server, rows[[one.name for one in manifest.signature.inputs]], "fuel-economy")
    wanted = load_artifact(folder, manifest).outputs(rows)
    for output, values in wanted.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(answers[output].reshape(values.shape), values, rtol=1e-5, atol=1e-6)
        else:
            assert answers[output].ravel().tolist() == values.tolist()


@pytest.mark.parametrize("path", ["xgboost.XGBRegressor", "lightgbm.LGBMRegressor"])
def test_a_trial_measures_it_by_folds(path: str, make_run: Make, tmp_path: Path) -> None:
    made = make_run(
        data=data(tmp_path, "Miles_per_Gallon"),
        store={"uri": f"file://{tmp_path}/store"},
        estimator=estimator(path, **SMALL),
        trial={"index": 0, "attempt": 0, "folds": 3, "fraction": 0.0, "strategy": "Random", "column": ""},
    )
    made.through("fetch", "train")
    assert json.loads((made.output / "metrics.json").read_text())["metrics"]["r2"] > 0.5


@pytest.mark.parametrize(
    ("path", "parameters", "words"),
    [
        ("xgboost.XGBRegressor", {"booster": "gblinear"}, "trees of gbtree or dart"),
        ("xgboost.XGBRegressor", {"n_estimator": 5}, "did you mean n_estimators"),
        ("lightgbm.LGBMRegressor", {"num_leafs": 5}, "did you mean num_leaves"),
        ("xgboost.XGBRanker", {}, "nor one of xgboost.XGBClassifier"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_fitted(
    path: str, parameters: dict[str, Any], words: str, make_run: Make, tmp_path: Path
) -> None:
    made = make_run(
        data=data(tmp_path, "Miles_per_Gallon"),
        store={"uri": f"file://{tmp_path}/store"},
        estimator=estimator(path, **parameters),
    )
    made.through("fetch")
    assert words in made.stage("train").err


def test_texts_that_xgboost_stores_wrongly_are_told(make_run: Make, tmp_path: Path) -> None:
    told = data(tmp_path, "Miles_per_Gallon")
    file = tmp_path / "data" / "cars.csv"
    file.write_text(file.read_text().replace("Europe", "Österreich"))
    for path, code in (("xgboost.XGBRegressor", names.EXIT_FINAL), ("lightgbm.LGBMRegressor", 0)):
        made = make_run(data=told, store={"uri": f"file://{tmp_path}/store"}, estimator=estimator(path, **SMALL))
        made.through("fetch")
        ended = made.stage("train")
        assert ended.code == code, ended.err
        assert code == 0 or "not ASCII" in ended.err
