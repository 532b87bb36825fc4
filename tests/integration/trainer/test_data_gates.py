"""Data gates through the stages: what a run leaves of its data, and what the next one makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hack.data_gates.corruptions import EXCLUDED, TARGET, cars
from modelmill.contracts import names, result
from modelmill.contracts.artifact import parse_manifest
from modelmill_trainer.data_gates.summary import parse_summary
from tests.support.stages import Ended, Run, car_data, estimator

MakeRun = Callable[..., Run]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "rows").mkdir()
    return tmp_path


def run_on(make_run: MakeRun, store: Path, frame: pd.DataFrame, **data: Any) -> Run:
    frame.to_csv(store / "rows" / "cars.csv", index=False)
    told = car_data(f"file://{store}/rows/", exclude=list(EXCLUDED)) | data
    champion = data.pop("champion", None)
    told.pop("champion", None)
    ridge = estimator("sklearn.linear_model.Ridge")
    return make_run(store={"uri": f"file://{store}/models"}, data=told, estimator=ridge, champion=champion)


def champion_of(ending: result.StageResult) -> dict[str, str]:
    assert ending.artifact is not None
    return {"name": "fuel-economy-1", "uri": ending.artifact.uri, "digest": ending.artifact.digest}


def folder_of(ending: result.StageResult) -> Path:
    assert ending.artifact is not None
    return Path(ending.artifact.uri.removeprefix("file://"))


def rejected(ended: Ended) -> str:
    assert (ended.code, ended.result and ended.result.outcome) == (3, result.DATA_REJECTED)
    assert ended.result is not None
    assert ended.result.reason == "SchemaViolated"
    return " ".join(ended.result.reasons)


def test_a_run_leaves_what_its_data_looked_like_and_the_next_one_is_compared_with_it(
    make_run: MakeRun, store: Path
) -> None:
    first = run_on(make_run, store, cars()).all()
    assert first.drift == ()
    content = (folder_of(first) / names.SCHEMA_FILE).read_bytes()
    summary = parse_summary(content)
    assert (summary.rows, summary.target, set(summary.columns)) == (406, TARGET, set(cars().columns))
    manifest = parse_manifest((folder_of(first) / "manifest.json").read_bytes())
    assert names.SCHEMA_FILE in [file.name for file in manifest.files]

    champion = champion_of(first)
    heavy = cars().assign(Weight_in_lbs=lambda frame: (frame["Weight_in_lbs"] * 0.45359).round())
    second = run_on(make_run, store, heavy, champion=champion).all()
    (told,) = second.drift
    assert "Weight_in_lbs 0.454 times" in told
    report = (folder_of(second) / "report.html").read_text()
    assert "The data gates tell of this data, compared with the data of fuel-economy-1, 406 rows:" in report
    assert "Weight_in_lbs 0.454 times" in report

    run = run_on(make_run, store, cars().drop(columns="Horsepower"), champion=champion)
    told = rejected(run.stage("fetch"))
    assert "Horsepower (number)" in told
    assert not (run.input / "train").exists()
    allowed = run_on(
        make_run, store, cars().drop(columns="Horsepower"), champion=champion, schema={"on_violation": "Warn"}
    ).all()
    assert "Horsepower (number)" in allowed.drift[0]


def test_a_damaged_summary_is_a_damaged_champion(make_run: MakeRun, store: Path) -> None:
    first = run_on(make_run, store, cars()).all()
    champion = champion_of(first)
    run = run_on(make_run, store, cars().drop(columns="Horsepower"), champion=champion)
    path = folder_of(first) / names.SCHEMA_FILE
    path.write_bytes(b"x" * path.stat().st_size)
    ended = run.stage("fetch")
    assert ended.result is not None
    assert ended.result.reason == "ChampionCorrupt"


def test_what_the_evaluation_writes_about_the_data_is_not_believed(make_run: MakeRun, store: Path) -> None:
    """Its process has run the model, which might make the next run's gates blind."""
    run = run_on(make_run, store, cars())
    run.through("fetch", "train")
    path = run.holdout / names.SCHEMA_FILE
    known = path.read_bytes()
    import modelmill_trainer.publish as publishing

    evaluate = publishing.evaluate

    def forging(*arguments: Any) -> result.StageResult:
        raw = json.loads(known)
        raw["columns"] = {}
        path.write_text(json.dumps(raw))
        ending = evaluate(*arguments)
        path.write_bytes(known)
        return ending

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(publishing, "evaluate", forging)
        ended = run.stage("publish")
    assert ended.result is not None
    assert ended.result.reason == "ModelInvalid"
    assert "its schema is not that of this run" in " ".join(ended.result.reasons)


def test_a_window_and_a_schema_work_together(make_run: MakeRun, store: Path) -> None:
    """Rows outside of the window break nothing."""
    frame = cars()
    frame["Horsepower"] = np.where(frame["Year"] < "1975", -1.0, frame["Horsepower"])
    schema = {"columns": [{"name": "Horsepower", "type": "number", "minimum": 0.0}], "unexpected": "Allow"}
    told = rejected(run_on(make_run, store, frame, schema=schema).stage("fetch"))
    assert "Horsepower" in told
    assert "-1 in cars.csv, data row 1" in told
    window = {"column": "Year", "last": "2000d"}
    ending = run_on(make_run, store, frame, schema=schema, window=window).all()
    assert ending.data is not None
    assert ending.data.window.startswith("the rows with Year in the 2000d up to 1982-01-01T00:00:00: ")
    assert ending.data.rows + ending.data.holdout_rows < 300
