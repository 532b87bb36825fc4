"""A champion and its challenger are compared on rows that neither was trained on, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error

from modelmill.contracts import names, result
from modelmill.contracts.artifact import MAX_ROWS_BYTES, canonical, digest, parse_manifest
from modelmill_trainer import champion as champions
from modelmill_trainer.models import load_artifact
from modelmill_trainer.rows import parse_rows
from modelmill_trainer.tables import read_rows
from tests.support.stages import Run, estimator

MakeRun = Callable[..., Run]
GATE = [{"min_improvement": 0.0}]
COLUMNS = ["x", "z", "y"]


def table(count: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    x, z = random.normal(size=count), random.normal(size=count)
    return pd.DataFrame({"x": x, "z": z, "day": np.arange(count), "y": x + 0.1 * random.normal(size=count)})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "rows").mkdir()
    return tmp_path


def run_on(make_run: MakeRun, store: Path, frame: pd.DataFrame, **parts: Any) -> Run:
    """Return a run on a table; `data` changes what it is told about it."""
    frame.to_csv(store / "rows" / "a.csv", index=False)
    data = {"uri": f"file://{store}/rows/", "format": "csv", "target": "y", "exclude": ["day"]} | parts.pop("data", {})
    trees = estimator("sklearn.tree.DecisionTreeRegressor", max_depth=12)
    return make_run(
        **({"store": {"uri": f"file://{store}/models"}, "data": data, "estimator": trees, "gates": GATE} | parts)
    )


def folder_of(ending: result.StageResult) -> Path:
    assert ending.artifact is not None
    return Path(ending.artifact.uri.removeprefix("file://"))


def champion_of(ending: result.StageResult) -> dict[str, str]:
    assert ending.artifact is not None
    return {"name": "m-1", "uri": ending.artifact.uri, "digest": ending.artifact.digest}


def forged(ending: result.StageResult, rows: bytes | None) -> dict[str, str]:
    """Return a champion that is as the one that ended so, with another rows.bin or none."""
    folder = folder_of(ending)
    made = parse_manifest((folder / names.MANIFEST_FILE).read_bytes())
    files = [file for file in made.files if file.name != names.ROWS_FILE]
    (folder / names.ROWS_FILE).unlink()
    if rows is not None:
        (folder / names.ROWS_FILE).write_bytes(rows)
        old = next(file for file in made.files if file.name == names.ROWS_FILE)
        files.append(replace(old, size=len(rows), sha256=hashlib.sha256(rows).hexdigest()))
    content = canonical(replace(made, files=tuple(files)))
    (folder / names.MANIFEST_FILE).write_bytes(content)
    return champion_of(ending) | {"digest": digest(content)}


def contents(path: Path) -> set[tuple[float, ...]]:
    return {tuple(row) for row in pd.read_csv(path)[COLUMNS].to_numpy()}


def test_the_champion_is_scored_on_no_row_that_it_was_trained_on(make_run: MakeRun, store: Path) -> None:
    first = run_on(make_run, store, table(200))
    champion = champion_of(first.all())
    second = run_on(make_run, store, table(400).tail(300), champion=champion)
    ending = second.all()
    assert ending.champion is not None
    trained, held = contents(first.input / "train" / "train.csv"), contents(second.holdout / "holdout.csv")
    assert len(trained) > 140
    assert not trained & held
    assert ending.champion.rows == len(held)
    assert ending.champion.challenger == {}
    holdout = pd.read_csv(second.holdout / "holdout.csv")
    model = load_artifact(folder_of(ending).parent / champion["digest"].replace(":", "-"), _manifest(champion))
    alone = mean_absolute_error(holdout["y"], model.outputs(holdout[["x", "z"]])["predict"])
    assert ending.champion.metrics["mae"] == pytest.approx(alone)


def _manifest(champion: dict[str, str]) -> Any:
    return parse_manifest((Path(champion["uri"].removeprefix("file://")) / names.MANIFEST_FILE).read_bytes())


def test_the_same_data_again_gives_the_champion_no_advantage(make_run: MakeRun, store: Path) -> None:
    frame = table(200)
    first = run_on(make_run, store, frame).all()
    ending = run_on(make_run, store, frame, champion=champion_of(first)).all()
    assert ending.champion is not None
    assert ending.champion.metrics == pytest.approx(first.metrics)
    assert ending.outcome == result.PUBLISHED


@pytest.mark.parametrize("way", ["fraction", "seed", "latest", "apart"])
def test_rows_that_the_champion_was_trained_on_are_not_compared(make_run: MakeRun, store: Path, way: str) -> None:
    frame = table(400)
    first = run_on(make_run, store, frame)
    champion = champion_of(first.all())
    parts: dict[str, Any] = {"champion": champion}
    if way == "fraction":
        parts["data"] = {"holdout": {"fraction": 0.5}}
    elif way == "seed":
        parts["seed"] = 7
    elif way == "latest":
        parts["data"] = {"holdout": {"fraction": 0.4, "strategy": "Latest", "column": "day"}}
    else:
        (store / "apart").mkdir()
        frame.head(80).to_csv(store / "apart" / "a.csv", index=False)
        parts["data"] = {"holdout": {"uri": f"file://{store}/apart/"}}
        frame = frame.tail(330)  # ten rows are in both
    second = run_on(make_run, store, frame, **parts)
    ending = second.all()
    seen = contents(first.input / "train" / "train.csv") | contents(second.input / "train" / "train.csv")
    holdout = pd.read_csv(second.holdout / "holdout.csv")
    fresh = holdout[[tuple(row) not in seen for row in holdout[COLUMNS].to_numpy()]]
    assert champions.MIN_ROWS <= len(fresh) < len(holdout)
    assert ending.champion is not None
    assert ending.champion.rows == len(fresh)
    assert any(f"on the {len(fresh)} of {len(holdout)} rows" in note for note in ending.notes)
    assert ("equal to rows that were trained on" in " ".join(ending.notes)) is (way == "apart")
    for metrics, folder in ((ending.champion.metrics, Path(champion["uri"].removeprefix("file://"))),
                            (ending.champion.challenger, folder_of(ending))):  # fmt: skip
        model = load_artifact(folder, parse_manifest((folder / names.MANIFEST_FILE).read_bytes()))
        alone = mean_absolute_error(fresh["y"], model.outputs(fresh[["x", "z"]])["predict"])
        assert metrics["mae"] == pytest.approx(alone)
    new, old = ending.champion.challenger["r2"], ending.champion.metrics["r2"]
    assert f"r2 {new:.4g} is" in ending.gates[0]
    assert f"than {old:.4g} of the champion m-1 on {len(fresh)} rows" in ending.gates[0]


def test_too_few_new_rows_are_said_and_not_compared(make_run: MakeRun, store: Path) -> None:
    frame = table(60)
    first = run_on(make_run, store, frame).all()
    other = {"exclude": ["day", "z"]}  # rows without z are other rows, so they are divided anew
    second = run_on(make_run, store, frame, data=other, champion=champion_of(first))
    ending = second.all()
    assert ending.outcome == result.GATE_FAILED
    assert ending.champion is not None
    assert ending.champion.metrics == {}
    assert ending.champion.message in ending.gates[0]
    assert any("the champion m-1 is not compared: only" in note for note in ending.notes)
    assert "at least 10 are needed" in ending.reasons[0]
    without = run_on(make_run, store, frame, data=other, champion=champion_of(first), gates=[]).all()
    assert without.outcome == result.PUBLISHED
    assert without.champion == ending.champion


def test_a_champion_without_rows_is_compared_with_a_warning(make_run: MakeRun, store: Path) -> None:
    frame = table(200)
    champion = forged(run_on(make_run, store, frame).all(), None)
    ending = run_on(make_run, store, frame, champion=champion).all()
    assert ending.champion is not None
    assert ending.champion.metrics["r2"] > 0
    assert any("m-1 has no rows.bin, so it may have been trained on some of the rows" in note for note in ending.notes)


def test_a_champion_whose_data_had_another_column_is_compared_with_a_warning(make_run: MakeRun, store: Path) -> None:
    frame = table(200)
    named = frame.assign(comment=[f"words {place}" for place in range(200)])
    first = run_on(make_run, store, named).all()
    assert "columns left out: comment (texts that are all different)" in first.notes
    ending = run_on(make_run, store, frame, champion=champion_of(first)).all()
    assert ending.champion is not None
    assert ending.champion.metrics["r2"] > 0
    assert any("known by comment, which the data of this run lacks, so it may" in note for note in ending.notes)


@pytest.mark.parametrize("content", [b"", b"MMROWS1\n\xff\xff\xff\xff", b"no such file", b"[" * 100_000])
def test_a_champion_with_damaged_rows_is_not_compared(make_run: MakeRun, store: Path, content: bytes) -> None:
    frame = table(200)
    champion = forged(run_on(make_run, store, frame).all(), content)
    ending = run_on(make_run, store, frame, champion=champion).all()
    assert ending.outcome == result.GATE_FAILED
    assert "rows.bin says nothing about its rows" in ending.reasons[0]
    assert any("the champion m-1 is not compared" in note for note in ending.notes)


@pytest.mark.parametrize("way", ["other", "lost", "huge"])
def test_rows_that_are_not_what_the_manifest_says_are_not_used(make_run: MakeRun, store: Path, way: str) -> None:
    frame = table(200)
    first = run_on(make_run, store, frame).all()
    path = folder_of(first) / names.ROWS_FILE
    if way == "other":
        path.write_bytes(path.read_bytes()[:-8])
    elif way == "lost":
        path.unlink()
    else:
        with path.open("r+b") as stream:
            stream.truncate(100 * MAX_ROWS_BYTES)  # sparse
    run = run_on(make_run, store, frame, champion=champion_of(first))
    ending = run.all()
    assert ending.outcome == result.GATE_FAILED
    assert "rows.bin says nothing about its rows: it is not what its manifest says" in ending.reasons[0]
    assert not (run.input / "champion" / names.ROWS_FILE).exists()


def test_a_train_stage_that_takes_the_champions_model_away(make_run: MakeRun, store: Path) -> None:
    frame = table(200)
    run = run_on(make_run, store, frame, champion=champion_of(run_on(make_run, store, frame).all()))
    run.through("fetch", "train")
    (run.input / "champion" / "model.onnx").unlink()
    ended = run.stage("publish")
    assert ended.result is not None
    assert ended.result.reason == "ChampionCorrupt"


def test_the_rows_that_are_kept_are_those_of_the_train_stage(make_run: MakeRun, store: Path) -> None:
    run = run_on(make_run, store, table(200))
    ending = run.all()
    kept = parse_rows((folder_of(ending) / names.ROWS_FILE).read_bytes())
    assert len(kept.digests) == len(pd.read_csv(run.input / "train" / "train.csv"))
    facts = json.loads((run.holdout / "data.json").read_text())
    assert f"{facts['holdout_rows']} of 200 rows for a fraction of 0.2" in facts["holdout"]
    for name, trained in (("input/train/train.csv", True), ("holdout/holdout.csv", False)):
        frame = read_rows(run.work / name, "csv", facts["kinds"])
        assert (kept.contains(frame, facts["kinds"]) == trained).all()
        assert (kept.fresh(frame, facts["kinds"]) != trained).all()
