"""The fetch stage on a folder; what its parts decide is in test_dataset, test_snapshot and test_artifact_folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts.stage import Data, Holdout
from modelmill_trainer.facts import read_facts, read_training_facts
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import folders
from tests.unit.trainer.runs import spec_of


def fetched(folder: Path, frame: pd.DataFrame, **data: Any) -> Any:
    (folder / "rows").mkdir()
    frame.to_csv(folder / "rows" / "a.csv", index=False)
    told: dict[str, Any] = {"uri": f"file://{folder}/rows/", "format": "csv", "target": "y"}
    where = folders(folder / "work")
    fetch(spec_of(str(folder), data=Data(**(told | data)), estimator=None), where)
    return where


def table(count: int = 50) -> pd.DataFrame:
    frame = pd.DataFrame({"x": np.arange(float(count)), "id": np.arange(count), "y": np.arange(float(count)) % 7})
    frame.loc[:4, "x"] = np.nan
    frame.loc[5, "y"] = np.nan
    return frame


def test_what_is_found_is_written_for_both_later_stages(tmp_path: Path) -> None:
    where = fetched(tmp_path, table(), exclude=("id",))
    facts = read_facts(where.snapshot)
    train, held = pd.read_csv(where.train("csv")), pd.read_csv(where.held_out("csv"))
    assert (facts.rows, facts.holdout_rows, facts.dropped_rows) == (len(train), len(held), 1)
    assert len(train) + len(held) == 49
    assert list(train.columns) == ["x", "y"]
    assert list(held.columns) == ["x", "id", "y"]
    assert facts.missing == {"x": 5}
    assert facts.holdout == (f"by a hash of each row's content, seed 7: {len(held)} of 49 rows for a fraction of 0.2")
    told = read_training_facts(where.params)
    assert (told.features, told.target, told.target_kind) == ({"x": "number"}, "y", "number")
    raw = json.loads(where.params.read_text())
    assert raw["parameters"] == {"alpha": 0.5}
    assert raw["train"] == "train/train.csv"


def test_a_category_that_looks_missing_is_told(tmp_path: Path) -> None:
    labels = ["None", "Mild", "Severe", "Mild", "Severe"] * 10
    where = fetched(tmp_path, pd.DataFrame({"x": np.arange(50.0), "y": labels}))
    assert read_facts(where.snapshot).notes == (
        "column 'y': None (10) are categories like any other text; leave a field empty where the value is missing",
    )


def test_the_other_ways_of_holding_out_are_told(tmp_path: Path) -> None:
    where = fetched(tmp_path, table(), holdout=Holdout(0.25, "Latest", "id"))
    assert read_facts(where.snapshot).holdout == "the 25% of the rows with the greatest id"


def test_fetching_again_leaves_nothing_of_before(tmp_path: Path) -> None:
    where = fetched(tmp_path, table())
    (where.champion).mkdir()
    (where.champion / "model.onnx").write_bytes(b"old")
    spec = spec_of(str(tmp_path), data=Data(f"file://{tmp_path}/rows/", "csv", "y"))
    fetch(spec, where)
    assert not where.champion.exists()


def test_a_format_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"data\.train\.format 'xml' is none of csv") as caught:
        fetched(tmp_path, table(), format="xml")
    assert caught.value.reason == "SpecInvalid"


def test_a_store_that_does_not_answer_is_told_before_pandas_is_imported() -> None:
    code = "import sys, modelmill_trainer.fetch; print([name for name in ('pandas', 'sklearn') if name in sys.modules])"
    path = os.pathsep.join(one for one in sys.path if one)
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    assert found.stdout == "[]\n"
