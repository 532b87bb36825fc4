"""Specs and facts of a run for unit tests."""

from __future__ import annotations

from typing import Any

from modelmill.contracts.stage import Data, Estimator, StageSpec, Store
from modelmill_trainer.facts import Facts, ObjectFacts


def spec_of(folder: str = "/nowhere", **changes: Any) -> StageSpec:
    """Return what the stages of a run of the model `fuel` are told."""
    parts: dict[str, Any] = {
        "namespace": "demo",
        "training_job": "fuel",
        "run": 3,
        "run_uid": "uid-3",
        "model": "fuel",
        "version": "fuel-3",
        "store": Store(f"file://{folder}/models"),
        "data": Data(f"file://{folder}/rows/", "csv", "y"),
        "estimator": Estimator("sklearn.linear_model.Ridge", {"alpha": 0.5}),
        "seed": 7,
    }
    return StageSpec(**(parts | changes))


def facts_of(**changes: Any) -> Facts:
    """Return facts about a table with the columns x (number), flag (boolean), kind (text) and the target y (number)."""
    parts: dict[str, Any] = {
        "uri": "file:///rows/",
        "holdout_uri": None,
        "format": "csv",
        "digest": "sha256:1",
        "objects": (ObjectFacts("a.csv", 12, "ab"),),
        "holdout_objects": (),
        "target": "y",
        "features": ("x", "flag", "kind"),
        "excluded": (),
        "kinds": {"x": "number", "flag": "boolean", "kind": "text", "y": "number"},
        "missing": {"x": 0, "flag": 2, "kind": 0},
        "rows": 100,
        "holdout_rows": 25,
        "dropped_rows": 0,
        "holdout": "by a hash",
        "notes": (),
        "train_sha256": "sha256:2",
    }
    return Facts(**(parts | changes))
