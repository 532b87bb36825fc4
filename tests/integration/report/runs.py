"""Reports as a run writes them: through all stages, with folders as stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modelmill_trainer.cli import main

ESTIMATOR = {"estimator": "sklearn.tree.DecisionTreeClassifier", "parameters": {"max_depth": 6}}


def report_of(folder: Path, frame: pd.DataFrame, **parts: Any) -> Path:
    """Train on the rows, whose target is the column `target`, and return the path of report.html."""
    (folder / "rows").mkdir(parents=True)
    frame.to_json(folder / "rows" / "a.jsonl", orient="records", lines=True)
    data = {"uri": f"file://{folder}/rows/", "format": "jsonl", "target": "target", "holdout": {"fraction": 0.4}}
    told = {"model": "m", "store": {"uri": f"file://{folder}/models"}, "data": data, "estimator": ESTIMATOR} | parts
    (folder / "stage.json").write_text(json.dumps(told))
    assert main(["run", "--stage-file", str(folder / "stage.json"), "--work", str(folder / "work")]) == 0
    (page,) = (folder / "models").rglob("report.html")
    return page


def labelled(classes: list[Any], rows: int = 600, seed: int = 5) -> pd.DataFrame:
    """Return rows of classes that a tree tells apart, the better the later they are in the list."""
    random = np.random.default_rng(seed)
    place = np.arange(rows) % len(classes)
    noise = random.normal(0, 1.2 - place / len(classes), rows)
    return pd.DataFrame({"x": place * 2 + noise, "y": random.normal(size=rows), "target": [classes[p] for p in place]})
