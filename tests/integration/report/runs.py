"""Reports as a run writes them: through all stages, with folders as stores."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modelmill_trainer.cli import main
from modelmill_trainer.trials import Trials
from tests.support.made_trials import search_of

ESTIMATOR = {"estimator": "sklearn.tree.DecisionTreeClassifier", "parameters": {"max_depth": 6}}


def report_of(folder: Path, frame: pd.DataFrame, trials: Trials | None = None, **parts: Any) -> Path:
    """Train on the rows, whose target is the column `target`, and return the path of report.html.

    trials: of a search that chose the parameters.
    """
    (folder / "rows").mkdir(parents=True)
    if trials is not None:
        (folder / "work" / "trials").mkdir(parents=True)
        for one in trials.trials:
            (folder / "work" / "trials" / f"{one.index:05}").write_text(json.dumps(asdict(one)))
        parts["search"] = asdict(search_of(trials))
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
