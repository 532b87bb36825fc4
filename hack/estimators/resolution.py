"""For which numbers an ONNX form in single precision cannot tell what an estimator decides, told from its parts."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder
from sklearn.tree import BaseDecisionTree

AT, BESIDE = "at splits", "beside splits"
IN_DOUBLE = (HistGradientBoostingClassifier, HistGradientBoostingRegressor, KBinsDiscretizer)
IN_SINGLE = (
    AdaBoostClassifier, AdaBoostRegressor, BaggingClassifier, BaggingRegressor, BaseDecisionTree, ExtraTreesClassifier,
    ExtraTreesRegressor, GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor,
)  # fmt: skip
PASSING = (ColumnTransformer, OneHotEncoder, OrdinalEncoder, SimpleImputer)  # numbers leave them as they came


def undecided(estimator: Any, computed: bool = False) -> frozenset[str]:
    """Return the kinds of edge rows for which its ONNX form may differ. computed: its numbers come out of arithmetic."""
    found: frozenset[str] = frozenset()
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            found |= undecided(step, computed)
            computed = computed or not isinstance(step, (*PASSING, str))
        return found
    if isinstance(estimator, IN_DOUBLE):
        found |= {BESIDE}
    if computed and isinstance(estimator, (*IN_DOUBLE, *IN_SINGLE)):
        found |= {AT, BESIDE}
    for part in _parts(estimator):
        found |= undecided(part, computed)
    return found


def _parts(estimator: Any) -> list[Any]:
    if not isinstance(estimator, BaseEstimator):
        return []
    found = []
    for value in estimator.get_params(deep=False).values():
        items = [item[1] for item in value if isinstance(item, tuple)] if isinstance(value, list) else [value]
        found += [item for item in items if isinstance(item, BaseEstimator)]
    return found
