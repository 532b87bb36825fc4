"""A trial measured by folds: each part of the training rows is predicted by a model of the others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from modelmill.contracts.stage import Trial
from modelmill_trainer.failure import StageError, rejected
from modelmill_trainer.fitting import fit
from modelmill_trainer.metrics import evaluate
from modelmill_trainer.models import SklearnModel
from modelmill_trainer.rows import hash_rows, key_of

LEAST = 2
"""Fewest rows of a part: of one row there is no r2."""
Fold = tuple[np.ndarray, np.ndarray]
"""Places of the rows that are trained on and of those that are measured on, ascending."""


def assign(
    frame: pd.DataFrame, kinds: Mapping[str, str], labels: np.ndarray | None, trial: Trial, seed: int
) -> list[Fold]:
    """Return the folds of a trial.

    Random: by a hash of each row's content, so that equal rows are in one part and every trial has the same parts; each label
    is shared out evenly. Latest: the rows are in order, and each part but the first is measured by a model of all before it.
    labels: of a classifier's target; None for numbers. Raises StageError (TooFewRows).
    """
    if trial.strategy == "Latest":
        _require(len(frame), trial.folds + 1, len(frame))
        bounds = np.linspace(0, len(frame), trial.folds + 2).astype(int)
        places = np.arange(len(frame))
        return [(places[:low], places[low:high]) for low, high in pairwise(bounds[1:])]
    digests = hash_rows(frame, kinds, key_of(seed))[:, 1]
    different, first, place = np.unique(digests, return_index=True, return_inverse=True)
    _require(len(different), trial.folds, len(frame))
    codes = np.zeros(len(different), np.int64)
    if labels is not None:
        _, every = np.unique(labels, return_inverse=True)
        codes = every[first]
    part = np.empty(len(different), np.int64)
    part[np.lexsort((different, codes))] = np.arange(len(different)) % trial.folds
    of_row = part[place]
    return [(np.flatnonzero(of_row != fold), np.flatnonzero(of_row == fold)) for fold in range(trial.folds)]


def _require(different: int, parts: int, rows: int) -> None:
    if different < LEAST * parts:
        raise rejected(
            "TooFewRows",
            f"the {rows} rows to train on have {different} different contents, too few for {parts} parts of {LEAST} that "
            "tuning.validation.folds asks for: add data, or use fewer folds",
        )


def measured_by_folds(model: Pipeline, x: pd.DataFrame, y: np.ndarray, folds: Sequence[Fold], into: Path) -> None:
    """Fit a copy of the model for each fold and leave the mean of each metric that every fold has. Raises StageError."""
    found = list(_each(model, x, y, folds))
    common = [name for name in found[0] if all(name in metrics for metrics in found)]
    means = {name: fmean(metrics[name] for metrics in found) for name in common}
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(json.dumps({"metrics": means}), encoding="utf-8")


def _each(model: Pipeline, x: pd.DataFrame, y: np.ndarray, folds: Sequence[Fold]) -> Iterator[dict[str, float]]:
    for number, (trained, measured) in enumerate(folds, 1):
        fitted = clone(model)
        try:
            fit(fitted, x.iloc[trained], y[trained])
        except StageError as error:
            raise StageError(error.reason, f"fold {number}: {' '.join(error.messages)}", final=error.final) from error
        loaded = SklearnModel(fitted, list(x.columns))
        metrics = evaluate(loaded.task, y[measured], loaded.outputs(x.iloc[measured]), loaded.classes)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        print(
            f"train: fold {number} of {len(folds)}: {len(trained)} rows, measured on {len(measured)}: {shown}",
            flush=True,
        )
        yield metrics
