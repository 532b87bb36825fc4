"""An estimator of scikit-learn, XGBoost or LightGBM by its import path, its parameters checked before it is fitted."""

from __future__ import annotations

import importlib
import inspect
from difflib import get_close_matches
from typing import Any

from sklearn.base import BaseEstimator, is_classifier, is_regressor

from modelmill.contracts.estimators import BOOSTERS
from modelmill.contracts.stage import Estimator
from modelmill_trainer import native
from modelmill_trainer.failure import StageError, meant

TREES = ("Tree", "Forest", "Boost")


def build(wanted: Estimator, seed: int) -> Any:
    """Return the unfitted estimator; `seed` is its random_state unless the parameters have one.

    Raises StageError: EstimatorUnknown with close matches, ParameterInvalid naming the parameter.
    """
    cls = _resolve(wanted.estimator)
    booster = BOOSTERS.get(wanted.estimator)
    # Those of XGBoost and LightGBM take whatever else they are given.
    known = list(inspect.signature(cls).parameters if booster is None else cls().get_params())
    problems = [
        f"train.sklearn.parameters.{name}: {cls.__name__} has no such parameter; {meant(name, known)}"
        for name in wanted.parameters
        if name not in known
    ]
    if booster is not None:
        problems += native.refused_parameters(wanted.parameters)
    if problems:
        raise StageError("ParameterInvalid", *problems)
    parameters = {**native.ALWAYS.get(booster or "", {}), **wanted.parameters}
    if "random_state" in known:
        parameters.setdefault("random_state", seed)
    try:
        made = cls(**parameters)
    except TypeError as error:
        raise StageError("ParameterInvalid", f"train.sklearn.parameters: {error}") from None
    if not (is_classifier(made) or is_regressor(made)):
        raise StageError(
            "EstimatorUnknown", f"train.sklearn.estimator {wanted.estimator} is no classifier and no regressor"
        )
    if booster is None:
        require_valid(made)
    return made


def require_valid(estimator: Any) -> None:
    """Raise StageError (ParameterInvalid) when the estimator itself says that a parameter's value is wrong."""
    try:
        estimator._validate_params()
    except ValueError as error:
        raise StageError("ParameterInvalid", f"train.sklearn.parameters: {error}") from None


def needs_scaling(estimator: Any) -> bool:
    """Return whether the size of a number's unit matters to the estimator."""
    return not any(word in type(estimator).__name__ for word in TREES)


def forget_training(estimator: Any) -> None:
    """Drop what a fitted estimator keeps of its training and does not predict with.

    skops does not trust an optimizer; by the number of threads the same model would have other bytes on another node, and by
    the seeds of its members one of Bagging that grew.
    """
    for name in ("_optimizer", "_seeds"):
        if hasattr(estimator, name):
            delattr(estimator, name)
    if hasattr(estimator, "_bin_mapper"):
        estimator._bin_mapper.n_threads = 1


def _resolve(path: str) -> Any:
    if path in BOOSTERS:
        return native.resolve(path)
    module_name, _, name = path.rpartition(".")
    if not module_name.startswith("sklearn.") and module_name != "sklearn":
        raise StageError(
            "EstimatorUnknown",
            f"train.sklearn.estimator {path!r} is not in scikit-learn, nor one of {', '.join(BOOSTERS)}: use train.container",
        )
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except ImportError:
        found = None
    usable = (
        inspect.isclass(found)
        and issubclass(found, BaseEstimator)
        and found.__module__.startswith("sklearn.")
        and all(hasattr(found, method) for method in ("fit", "predict"))
    )
    if not usable:
        what = "does not exist" if found is None else "is no estimator with fit and predict"
        raise StageError("EstimatorUnknown", f"train.sklearn.estimator {path!r} {what}; {_close(path)}")
    return found


def _close(path: str) -> str:
    from sklearn.utils import all_estimators

    # By the class name, since people mistake the module as often as the class.
    public = {
        name.lower(): f"{'.'.join(part for part in cls.__module__.split('.') if not part.startswith('_'))}.{name}"
        for name, cls in all_estimators(type_filter=["classifier", "regressor"])
    }
    close = get_close_matches(path.rpartition(".")[2].lower(), public, n=1)
    return f"did you mean {public[close[0]]}?" if close else "see the estimators in scikit-learn's API reference"
