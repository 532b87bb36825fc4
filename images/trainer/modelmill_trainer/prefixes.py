"""A trial that can be stopped: the estimator is fitted with few iterations first, measured, reported, and then with more.

With its random_state an estimator that does N iterations begins with the same ones whatever N is. So each fit is the beginning
of the last one, which is the fit that a trial without pruning makes. Ensembles that can go on from where they are
(`warm_start`) cost nothing more; the others begin anew with four times as many, which costs a third more at most.
Source: scikit-learn, glossary, `warm_start`; user guide, 1.11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from modelmill_trainer.failure import StageError
from modelmill_trainer.fitting import fit

COUNTS: Final = ("n_estimators", "max_iter")
"""Parameters that say how many iterations there are."""
GROWING: Final = frozenset(
    f"{name}{kind}"
    for name in ("RandomForest", "ExtraTrees", "Bagging", "GradientBoosting", "HistGradientBoosting")
    for kind in ("Classifier", "Regressor")
)
"""Ensembles to which warm_start adds members as a longer fit would."""
STOPS_EARLY: Final = ("n_iter_no_change", "early_stopping")

Measure = Callable[[Pipeline], float | None]
Report = Callable[[int, float], None]


def count_of(estimator: Any) -> str | None:
    """Return the name of the parameter that says how many iterations there are; None where nothing can be reported."""
    given = estimator.get_params(deep=False)
    return next((name for name in COUNTS if isinstance(given.get(name), int) and given[name] > 1), None)


def fit_by_prefixes(model: Pipeline, x: pd.DataFrame, y: Any, measure: Measure, report: Report) -> Pipeline:
    """Return the model fitted as `fit` does, having reported its value after 1, 2, 4, … (or 1, 4, 16, …) iterations.

    measure: value of the objective of a fitted model; None ends the reports. Raises StageError from the last fit only.
    """
    estimator = model.steps[-1][1]
    name, grows = count_of(estimator), _grows(estimator)
    if name is None:
        fit(model, x, y)
        return model
    given = estimator.get_params(deep=False)
    part, step = clone(model), 1
    while step < given[name]:
        part = part if grows else clone(model)
        part.steps[-1][1].set_params(**{name: step}, **({"warm_start": True} if grows else {}))
        value = _measured(part, x, y, measure)
        if value is None:
            break
        report(step, value)
        step *= 2 if grows else 4
    if not grows or step == 1:
        part = model
    part.steps[-1][1].set_params(**{name: given[name]})
    fit(part, x, y)
    if grows:
        part.steps[-1][1].set_params(warm_start=given["warm_start"])
    return part


def _measured(model: Pipeline, x: pd.DataFrame, y: Any, measure: Measure) -> float | None:
    """Return the value of a fit with few iterations; None when there is none, which the whole fit may yet have."""
    try:
        fit(model, x, y, told=False)
        return measure(model)
    except StageError:
        return None


def _grows(estimator: Any) -> bool:
    given = estimator.get_params(deep=False)
    stops = any(given.get(name) not in (None, False) for name in STOPS_EARLY)
    return type(estimator).__name__ in GROWING and not stops
