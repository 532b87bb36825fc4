"""Judging a model that a train stage left, and what the artifact then holds; the store is a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score

from modelmill.contracts import result
from modelmill.contracts.artifact import digest, parse_golden, parse_manifest, parse_profile
from modelmill.contracts.stage import Data, Gate, Holdout
from modelmill_trainer.evaluation import measure
from modelmill_trainer.facts import read_facts
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import Folders, folders
from modelmill_trainer.publish import publish
from modelmill_trainer.rows import parse_rows
from tests.support.evaluated import evaluate_here
from tests.unit.trainer.runs import spec_of


def table(count: int = 120) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=count), "z": random.normal(size=count)})
    frame["y"] = 3 * frame["x"] - frame["z"] + 0.1 * random.normal(size=count)
    return frame


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setattr("modelmill_trainer.publish.evaluate", evaluate_here)
    (tmp_path / "rows").mkdir()
    made = folders(tmp_path / "work")
    made.output.mkdir(parents=True)
    return made


def fetched(where: Folders, frame: pd.DataFrame, **changes: Any) -> Any:
    root = where.input.parents[1]
    frame.to_csv(root / "rows" / "a.csv", index=False)
    spec = spec_of(str(root), estimator=None, **changes)
    fetch(spec, where)
    return spec


def leave(where: Folders, estimator: BaseEstimator, *features: str, target: str = "y") -> None:
    train = pd.read_csv(where.train("csv"))
    skops.io.dump(estimator.fit(train[list(features)], train[target]), where.output / "model.skops")


def folder_of(ending: result.StageResult) -> Path:
    assert ending.artifact is not None
    return Path(ending.artifact.uri.removeprefix("file://"))


def test_the_metrics_are_those_on_the_hold_out(where: Folders) -> None:
    spec = fetched(where, table())
    leave(where, LinearRegression(), "x", "z")
    measured = measure(spec, where)
    held = pd.read_csv(where.held_out("csv"))
    train = pd.read_csv(where.train("csv"))
    model = LinearRegression().fit(train[["x", "z"]], train["y"])
    assert measured.metrics["r2"] == pytest.approx(r2_score(held["y"], model.predict(held[["x", "z"]])))
    assert measured.target.tolist() == pytest.approx(held["y"].tolist())
    assert (measured.primary, measured.direction, measured.champion, measured.notes) == ("r2", "Maximize", None, ())
    assert len(measured.train) == len(train)


def test_an_artifact_is_whole_and_its_files_belong_together(where: Folders) -> None:
    spec = fetched(where, table())
    leave(where, LinearRegression(), "x", "z")
    ending = publish(spec, where)
    folder = folder_of(ending)
    assert ending.artifact is not None
    content = (folder / "manifest.json").read_bytes()
    assert digest(content) == ending.artifact.digest
    manifest = parse_manifest(content)
    assert {file.name for file in manifest.files} | {"manifest.json"} == {path.name for path in folder.iterdir()}
    assert ending.artifact.bytes == sum(path.stat().st_size for path in folder.iterdir())
    golden = parse_golden((folder / "golden.json").read_bytes())
    assert set(golden.inputs) == {"x", "z"}
    expected = skops.io.load(folder / "model.skops").predict(pd.DataFrame(golden.inputs))
    assert golden.outputs["predict"] == pytest.approx(expected.tolist())
    facts = read_facts(where.snapshot)
    assert read_facts(folder / "data.json") == facts
    assert parse_profile((folder / "profile.json").read_bytes()).rows == facts.rows
    assert len(parse_rows((folder / "rows.bin").read_bytes()).digests) == facts.rows
    assert ending.data == result.DataFacts(facts.digest, facts.rows, facts.holdout_rows)


@pytest.mark.parametrize(
    ("gates", "outcome", "said"),
    [
        ((), result.PUBLISHED, ()),
        ((Gate("r2", minimum=0.5),), result.PUBLISHED, ()),
        ((Gate("r2", minimum=0.999999), Gate("mae", maximum=9)), result.GATE_FAILED, ("is below 0.999999",)),
        ((Gate(min_improvement=0.0),), result.PUBLISHED, ()),
    ],
)
def test_gates_decide_and_the_artifact_is_kept(
    where: Folders, gates: tuple[Gate, ...], outcome: str, said: tuple[str, ...]
) -> None:
    spec = fetched(where, table(), gates=gates)
    leave(where, LinearRegression(), "x", "z")
    ending = publish(spec, where)
    assert ending.outcome == outcome
    assert len(ending.gates) == len(gates)
    assert len(ending.reasons) == len(said)
    assert all(words in text for words, text in zip(said, ending.reasons, strict=True))
    assert (folder_of(ending) / "manifest.json").is_file()


def test_rows_to_measure_on_that_were_trained_on_are_told(where: Folders) -> None:
    root = where.input.parents[1]
    frame = table()
    (root / "apart").mkdir()
    frame.head(30).to_csv(root / "apart" / "a.csv", index=False)
    data = Data(f"file://{root}/rows/", "csv", "y", holdout=Holdout(uri=f"file://{root}/apart/"))
    spec = fetched(where, frame.tail(100), data=data)
    leave(where, LinearRegression(), "x", "z")
    assert "10 of the 30 rows to measure on are equal to rows that were trained on" in measure(spec, where).notes


def test_a_column_that_the_model_does_not_take_is_told(where: Folders) -> None:
    spec = fetched(where, table().assign(day="2026-01-31"))
    leave(where, LinearRegression(), "x")
    assert publish(spec, where).notes == ("columns left out: z, day (dates)",)


def test_a_second_model_that_is_not_taken_is_told(where: Folders) -> None:
    spec = fetched(where, table())
    leave(where, LinearRegression(), "x", "z")
    (where.output / "model.onnx").write_bytes(b"garbage")
    (note,) = measure(spec, where).notes
    assert note.startswith("model.onnx was left beside model.skops and is not used")
    (where.output / "model.json").write_text('{"format": "skops"}')
    assert measure(spec, where).notes == ()


@pytest.mark.parametrize(
    ("target", "said"),
    [(table()["y"] > 0, "has true and false"), (np.where(table()["y"] > 0, "up", "down"), "has labels")],
)
def test_a_regressor_of_labels_is_refused(where: Folders, target: Any, said: str) -> None:
    spec = fetched(where, table().assign(y=target))
    train = pd.read_csv(where.train("csv"))
    skops.io.dump(DummyRegressor().fit(train[["x", "z"]], np.zeros(len(train))), where.output / "model.skops")
    with pytest.raises(StageError, match=said) as caught:
        measure(spec, where)
    assert caught.value.reason == "ModelInvalid"


def test_labels_of_true_and_false_stay_so(where: Folders) -> None:
    spec = fetched(where, table().assign(y=table()["y"] > 0))
    leave(where, LogisticRegression(), "x", "z")
    measured = measure(spec, where)
    assert measured.model.classes == (False, True)
    assert measured.target.dtype == bool
    folder = folder_of(publish(spec, where))
    assert parse_manifest((folder / "manifest.json").read_bytes()).signature.outputs[0].datatype == "BOOL"
    assert {type(value) for value in parse_golden((folder / "golden.json").read_bytes()).outputs["predict"]} == {bool}


def test_a_model_that_cannot_answer_gaps_is_refused_wherever_they_are(where: Folders) -> None:
    spec = fetched(where, table())
    leave(where, LinearRegression(), "x", "z")
    frame = pd.read_csv(where.train("csv"))
    frame.loc[0, "x"] = np.nan
    frame.to_csv(where.train("csv"), index=False)
    facts = json.loads(where.snapshot.read_text()) | {"train_sha256": digest(where.train("csv").read_bytes())}
    where.snapshot.write_text(json.dumps(facts))
    with pytest.raises(StageError, match="NaN") as caught:
        publish(spec, where)
    assert caught.value.reason == "ModelInvalid"
    assert not (where.input.parents[1] / "models").exists()


def test_rows_that_the_train_stage_changed_are_refused(where: Folders) -> None:
    spec = fetched(where, table())
    leave(where, LinearRegression(), "x", "z")
    with where.train("csv").open("a") as stream:
        stream.write("1,1,1\n")
    with pytest.raises(StageError) as caught:
        measure(spec, where)
    assert caught.value.reason == "InputChanged"


def test_publishing_twice_gives_the_same_artifact(where: Folders) -> None:
    spec = fetched(where, table())
    leave(where, LinearRegression(), "x", "z")
    first = publish(spec, where)
    assert publish(spec, where) == first
    other = publish(replace(spec, version="fuel-4"), where)
    assert other.artifact is not None
    assert first.artifact is not None
    assert other.artifact.digest != first.artifact.digest
