"""Search spaces of estimators (`tuning.space: Auto`): for each, the parameters that matter and where good values mostly lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelmill.contracts.metrics import Task, task_measured_by
from modelmill.contracts.stage import CHOICE, MEANT_FOR


@dataclass(frozen=True, slots=True)
class Dimension:
    """One parameter of a space: numbers from `low` to `high`, both included, or one of `choices`.

    integer: whole numbers. log: orders of magnitude are equally likely. choices: texts as the resource has them, "1.0", "null".
    when: (parameter, value) that it hangs on; None for one that every trial has.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    integer: bool = False
    log: bool = False
    choices: tuple[str, ...] = ()
    when: tuple[str, str] | None = None


def _real(name: str, low: float, high: float, *, log: bool = True) -> Dimension:
    return Dimension(name, low, high, log=log)


def _whole(name: str, low: int, high: int, *, log: bool = True) -> Dimension:
    return Dimension(name, low, high, integer=True, log=log)


def _one_of(name: str, *choices: str) -> Dimension:
    return Dimension(name, choices=choices)


_STRENGTH: Final = (_real("C", 1e-3, 1e3),)
_SHRINKAGE: Final = (_real("alpha", 1e-3, 1e3),)
_TREE: Final = (_whole("max_depth", 2, 20), _whole("min_samples_leaf", 1, 32))
_FOREST: Final = (
    _whole("n_estimators", 50, 300),
    _whole("min_samples_leaf", 1, 16),
    _one_of("max_features", "sqrt", "0.5", "1.0"),
)
_BOOSTING: Final = (
    _whole("n_estimators", 50, 300),
    _real("learning_rate", 0.01, 0.3),
    _whole("max_depth", 2, 6, log=False),
    _real("subsample", 0.5, 1.0, log=False),
)
_HISTOGRAMS: Final = (
    _whole("max_iter", 50, 300),
    _real("learning_rate", 0.01, 0.3),
    _whole("max_leaf_nodes", 7, 63),
    _whole("min_samples_leaf", 4, 64),
    _real("l2_regularization", 1e-4, 10.0),
)
_NEIGHBORS: Final = (_whole("n_neighbors", 1, 20), _one_of("weights", "uniform", "distance"), _one_of("p", "1", "2"))
_KERNEL: Final = (_real("C", 1e-2, 1e3), _real("gamma", 1e-4, 1.0))
_NETWORK: Final = (_real("alpha", 1e-6, 1e-1), _real("learning_rate_init", 1e-4, 1e-2))

SPACES: Final[dict[Task, dict[str, tuple[Dimension, ...]]]] = {
    "classification": {
        "sklearn.linear_model.LogisticRegression": _STRENGTH,
        "sklearn.neighbors.KNeighborsClassifier": _NEIGHBORS,
        "sklearn.ensemble.RandomForestClassifier": _FOREST,
        "sklearn.ensemble.ExtraTreesClassifier": _FOREST,
        "sklearn.ensemble.HistGradientBoostingClassifier": _HISTOGRAMS,
        "sklearn.ensemble.GradientBoostingClassifier": _BOOSTING,
        "sklearn.tree.DecisionTreeClassifier": _TREE,
        "sklearn.svm.SVC": _KERNEL,
        "sklearn.svm.LinearSVC": _STRENGTH,
        "sklearn.naive_bayes.GaussianNB": (_real("var_smoothing", 1e-12, 1e-2),),
        "sklearn.neural_network.MLPClassifier": _NETWORK,
    },
    "regression": {
        "sklearn.linear_model.Ridge": _SHRINKAGE,
        "sklearn.neighbors.KNeighborsRegressor": _NEIGHBORS,
        "sklearn.ensemble.RandomForestRegressor": _FOREST,
        "sklearn.ensemble.ExtraTreesRegressor": _FOREST,
        "sklearn.ensemble.HistGradientBoostingRegressor": _HISTOGRAMS,
        "sklearn.ensemble.GradientBoostingRegressor": _BOOSTING,
        "sklearn.tree.DecisionTreeRegressor": _TREE,
        "sklearn.svm.SVR": (*_KERNEL, _real("epsilon", 1e-3, 1.0)),
        "sklearn.linear_model.Lasso": (_real("alpha", 1e-4, 1e2),),
        "sklearn.linear_model.ElasticNet": (_real("alpha", 1e-4, 1e2), _real("l1_ratio", 0.05, 0.95, log=False)),
        "sklearn.neural_network.MLPRegressor": _NETWORK,
    },
}
"""By task and import path."""

DEFAULTS: Final[dict[Task, tuple[str, ...]]] = {
    "classification": tuple(SPACES["classification"])[:5],
    "regression": tuple(SPACES["regression"])[:5],
}
"""The estimators that a search with `space: Auto` chooses from: a linear one, neighbours, two forests, boosting.

Each of the classifiers has probabilities, so that every metric is measured whichever is chosen.
"""


AUTO: Final = "Auto"


def estimators_of(estimator: str, metric: str) -> tuple[str, ...]:
    """Return the estimators that a search with `space: Auto` chooses from.

    estimator: the resource's; its own space is searched, and with Auto the default set of the task that has the metric.
    Raises ValueError for an estimator without a space, and for a metric that tells no task.
    """
    if estimator != AUTO:
        if task_of(estimator) is None:
            raise ValueError(f"{estimator} has no space: list spec.tuning.parameters in place of spec.tuning.space")
        return (estimator,)
    task = task_measured_by(metric)
    if task is None:
        raise ValueError(f"the metric {metric} does not tell the task: name spec.train.sklearn.estimator")
    return DEFAULTS[task]


def task_of(estimator: str) -> Task | None:
    """Return the task of an estimator that has a space, None of another."""
    return next((task for task, spaces in SPACES.items() if estimator in spaces), None)


def space(estimators: Sequence[str]) -> tuple[Dimension, ...]:
    """Return the space of some estimators. Raises KeyError for one without a space.

    Of one it is that estimator's; of several the first dimension chooses among them, and the others hang on it, each under the
    name by which `stage.Estimator.chosen` gives it to its estimator alone.
    """
    known = {path: parameters for spaces in SPACES.values() for path, parameters in spaces.items()}
    if len(estimators) == 1:
        return known[estimators[0]]
    hanging = [
        replace(one, name=f"{path.rpartition('.')[2]}{MEANT_FOR}{one.name}", when=(CHOICE, path))
        for path in estimators
        for one in known[path]
    ]
    return (Dimension(CHOICE, choices=tuple(estimators)), *hanging)
