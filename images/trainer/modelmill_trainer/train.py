"""The built-in train stage: an estimator behind automatic preprocessing, left as model.skops, or in its library's format."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from modelmill.contracts import names
from modelmill.contracts.metrics import CLASSIFICATION_METRICS, REGRESSION_METRICS
from modelmill.contracts.stage import Estimator, StageSpec
from modelmill_trainer import native
from modelmill_trainer.estimators import build, forget_training, needs_scaling
from modelmill_trainer.facts import TrainingFacts, read_training_facts
from modelmill_trainer.failure import StageError, rejected
from modelmill_trainer.fitting import fit
from modelmill_trainer.folders import Folders
from modelmill_trainer.folds import assign, measured_by_folds
from modelmill_trainer.gates import require_metrics
from modelmill_trainer.kinds import NUMBER, TEXT, model_frame, target_values
from modelmill_trainer.metrics import evaluate
from modelmill_trainer.models import SklearnModel
from modelmill_trainer.prefixes import count_of, fit_by_prefixes
from modelmill_trainer.preprocessing import Plan, choose, pipeline
from modelmill_trainer.reporting import reporter
from modelmill_trainer.tables import read_rows
from modelmill_trainer.trial_pods import fit_each
from modelmill_trainer.warm_start import fit_on

LIBRARIES: Final = {None: "scikit-learn", "xgboost": "xgboost-cpu", "lightgbm": "lightgbm"}
"""Distributions by the format that an estimator is left in; None for skops."""


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
    form = native.format_of(estimator)
    kinds, target = facts.features, facts.target
    _require_task(estimator, target, facts.target_kind)
    # Told before hours of fitting rather than after.
    measured = CLASSIFICATION_METRICS if is_classifier(estimator) else REGRESSION_METRICS
    require_metrics(spec.gates, measured, spec.primary_metric or measured[0])
    frame = rows()
    if chosen.preprocessing == "None":
        plan = Plan(numbers=list(kinds))
        model = Pipeline([("model", native.native(estimator, {}) if form else estimator)])
    else:
        plan = choose(frame, kinds, list(kinds))
        for note in plan.notes:
            print(f"train: {note}", flush=True)
        if not plan.features:
            raise rejected(
                "ColumnMissing", "no column is left as a feature: see the lines before this one", *plan.notes
            )
        if form:
            model = Pipeline([("model", native.native(estimator, plan.categories))])
        else:
            model = pipeline(plan, estimator, scale=needs_scaling(estimator))
    library = LIBRARIES[form]
    print(
        f"train: {type(estimator).__name__} of {library} {version(library)} on {len(frame)} rows, "
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
    model = _fitted(spec, folders, facts, model, x, y)
    print(f"train: fitted in {time.monotonic() - fitting:.2f} s", flush=True)
    if form:
        path = folders.output / native.leave(model.steps[-1][1], folders)
        print(f"train: {path.name}, {path.stat().st_size} bytes, {time.monotonic() - begin:.2f} s", flush=True)
        return
    # Late: it imports the whole of scikit-learn, and a parameter that is wrong should be told before.
    from modelmill_trainer import skops_file

    path = folders.output / names.SKOPS_FILE
    forget_training(model.steps[-1][1])
    skops_file.write(model, path)
    print(f"train: {path.name}, {path.stat().st_size} bytes, {time.monotonic() - begin:.2f} s", flush=True)


def _fitted(
    spec: StageSpec, folders: Folders, facts: TrainingFacts, model: Pipeline, x: pd.DataFrame, y: np.ndarray
) -> Pipeline:
    """Return the fitted model: reported on its way in a trial that can be stopped, else the champion's with a warm start."""
    sender = reporter() if spec.trial is not None else None
    if sender is None:
        if spec.warm_start:
            return fit_on(spec, folders, model, x, y)
        fit(model, x, y)
        return model
    estimator = model.steps[-1][1]
    if count_of(estimator) is None:
        print(f"train: {type(estimator).__name__} has no iterations to report after: it is not pruned", flush=True)
    kinds = facts.features
    validation = read_rows(folders.held_out(facts.form), facts.form, {**kinds, facts.target: facts.target_kind})
    held = model_frame(validation, list(x.columns), kinds), target_values(validation[facts.target], facts.target_kind)
    return fit_by_prefixes(model, x, y, partial(_value, spec.primary_metric, *held), sender.report)


def _value(metric: str | None, x: pd.DataFrame, y: np.ndarray, model: Pipeline) -> float | None:
    """Return the objective's metric on the validation rows; None when it is none of ours."""
    loaded = SklearnModel(model, list(x.columns))
    return evaluate(loaded.task, y, loaded.outputs(x), loaded.classes).get(metric or "")


def _require_task(estimator: Any, target: str, kind: str) -> None:
    if is_classifier(estimator) or kind == NUMBER:
        return
    what = "labels" if kind == TEXT else "true and false"
    raise rejected(
        "TargetInvalid",
        f"data.target {target!r} has {what}, and {type(estimator).__name__} predicts numbers: use a classifier",
    )
