"""The built-in train stage: a scikit-learn estimator behind automatic preprocessing, left as model.skops."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import pandas as pd
import sklearn
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from modelmill.contracts import names
from modelmill.contracts.metrics import CLASSIFICATION_METRICS, REGRESSION_METRICS
from modelmill.contracts.stage import Estimator, StageSpec
from modelmill_trainer.estimators import build, forget_training, needs_scaling
from modelmill_trainer.facts import TrainingFacts, read_training_facts
from modelmill_trainer.failure import StageError, rejected
from modelmill_trainer.fitting import fit
from modelmill_trainer.folders import Folders
from modelmill_trainer.folds import assign, measured_by_folds
from modelmill_trainer.gates import require_metrics
from modelmill_trainer.kinds import NUMBER, TEXT, model_frame, target_values
from modelmill_trainer.preprocessing import Plan, choose, pipeline
from modelmill_trainer.tables import read_rows
from modelmill_trainer.trial_pods import fit_each


def train(spec: StageSpec, folders: Folders) -> None:
    """Fit the estimator of the spec on the fetched rows; a trial with folds leaves its metrics only. Raises StageError."""
    chosen = _chosen(spec)
    facts = read_training_facts(folders.params)
    form, kinds = facts.form, {**facts.features, facts.target: facts.target_kind}
    rows = cache(lambda: read_rows(folders.train(form), form, kinds))
    if spec.trial is None or not spec.trial.pod:
        _train(chosen, spec, folders, facts, rows)
        return
    # An estimator may write into the rows that it is given.
    fit_each(spec, folders, lambda one, where: _train(_chosen(one), one, where, facts, lambda: rows().copy()))


def _chosen(spec: StageSpec) -> Estimator:
    if spec.estimator is None:
        raise StageError("SpecInvalid", "train.sklearn is not set: this stage trains scikit-learn estimators only")
    return spec.estimator.chosen()


def _train(
    chosen: Estimator, spec: StageSpec, folders: Folders, facts: TrainingFacts, rows: Callable[[], pd.DataFrame]
) -> None:
    begin = time.monotonic()
    estimator = build(chosen, spec.seed)
    kinds, target = facts.features, facts.target
    _require_task(estimator, target, facts.target_kind)
    # Told before hours of fitting rather than after.
    measured = CLASSIFICATION_METRICS if is_classifier(estimator) else REGRESSION_METRICS
    require_metrics(spec.gates, measured, spec.primary_metric or measured[0])
    frame = rows()
    if chosen.preprocessing == "None":
        plan = Plan(numbers=list(kinds))
        model = Pipeline([("model", estimator)])
    else:
        plan = choose(frame, kinds, list(kinds))
        for note in plan.notes:
            print(f"train: {note}", flush=True)
        if not plan.features:
            raise rejected(
                "ColumnMissing", "no column is left as a feature: see the lines before this one", *plan.notes
            )
        model = pipeline(plan, estimator, scale=needs_scaling(estimator))
    print(
        f"train: {type(estimator).__name__} of scikit-learn {sklearn.__version__} on {len(frame)} rows, "
        f"{len(plan.numbers)} numbers and {len(plan.categories)} categories, seed {spec.seed}",
        flush=True,
    )
    features = [name for name in kinds if name in plan.features]
    x = model_frame(frame, features, kinds)
    y = target_values(frame[target], facts.target_kind)
    folders.output.mkdir(parents=True, exist_ok=True)
    if spec.trial is not None and spec.trial.folds:
        labels = y if is_classifier(estimator) else None
        folds = assign(frame, {**kinds, target: facts.target_kind}, labels, spec.trial, spec.seed)
        measured_by_folds(model, x, y, folds, folders.metrics)
        return
    fitting = time.monotonic()
    fit(model, x, y)
    print(f"train: fitted in {time.monotonic() - fitting:.2f} s", flush=True)
    # Late: it imports the whole of scikit-learn, and a parameter that is wrong should be told before.
    from modelmill_trainer import skops_file

    path = folders.output / names.SKOPS_FILE
    forget_training(estimator)
    skops_file.write(model, path)
    print(f"train: {path.name}, {path.stat().st_size} bytes, {time.monotonic() - begin:.2f} s", flush=True)


def _require_task(estimator: Any, target: str, kind: str) -> None:
    if is_classifier(estimator) or kind == NUMBER:
        return
    what = "labels" if kind == TEXT else "true and false"
    raise rejected(
        "TargetInvalid",
        f"data.target {target!r} has {what}, and {type(estimator).__name__} predicts numbers: use a classifier",
    )
