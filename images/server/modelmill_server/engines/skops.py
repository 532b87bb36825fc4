"""scikit-learn estimators from skops files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn import __version__, set_config
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from modelmill.contracts.artifact import SKOPS_TRUSTED, Tensor
from modelmill.contracts.skops import opens_files
from modelmill_server.engines.engine import unloadable
from modelmill_server.engines.matrix import numbers
from modelmill_server.queries.columns import TEXT, Column, Feature

# What an output may be called: others change the model, or tell what is none of the answer.
METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples", "apply")


class SkopsEngine:
    """An estimator from a file that holds trusted types only: skops' own, `SKOPS_TRUSTED`, and those that are named.

    It is given a float64 array when every feature is numeric, else an object array, NaN where missing. An output is what the
    method of its name returns.
    """

    def __init__(
        self,
        path: Path,
        features: tuple[Feature, ...],
        outputs: Sequence[Tensor],
        threads: int,
        trusted: tuple[str, ...] = (),
    ) -> None:
        threadpool_limits(threads, user_api="blas")  # numpy's was loaded before the threads were known
        known = (*SKOPS_TRUSTED, *trusted)
        untrusted = [name for name in skops.io.get_untrusted_types(file=path) if name not in known]
        if untrusted:
            raise unloadable(
                f"{path.name} holds types that are not trusted: {', '.join(untrusted)}; who knows that they are harmless may "
                "name them with --trusted-type or MODELMILL_SKOPS_TRUSTED"
            )
        self.name = f"scikit-learn {__version__}"
        self._model: Any = skops.io.load(path, trusted=list(known))
        opening = opens_files(self._model)
        if opening:
            raise unloadable(f"{path.name} holds a {opening} that opens the files its input names: use input='content'")
        for tensor in outputs:
            if tensor.name not in METHODS:
                raise unloadable(f"the output {tensor.name!r} is no method that answers rows: {', '.join(METHODS)}")
            if not callable(getattr(self._model, tensor.name, None)):
                raise unloadable(
                    f"a {type(self._model).__name__} has no method {tensor.name} for the output of that name"
                )
        self._text = any(feature.family == TEXT for feature in features)
        # The input is an array by construction, and infinite values never get here.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        set_config(assume_finite=False, skip_parameter_validation=True)
        select_by_position(self._model)

    def run(self, columns: list[Column], wanted: tuple[str, ...]) -> list[Any]:
        """Return one array per wanted output."""
        rows = _objects(columns) if self._text else numbers(columns, np.float64)
        return [_dense(getattr(self._model, name)(rows)) for name in wanted]


def _objects(columns: list[Column]) -> Any:
    rows = np.empty((len(columns[0]), len(columns)), np.object_)
    for index, column in enumerate(columns):
        if isinstance(column, np.ndarray) and column.dtype != np.object_:
            rows[:, index] = column
        else:
            rows[:, index] = [np.nan if value is None else value for value in column]
    return rows


def _dense(values: Any) -> Any:
    return values.toarray() if hasattr(values, "toarray") else values  # encoders answer with sparse matrices


def select_by_position(model: Any) -> None:
    """Let every fitted ColumnTransformer in a model select its columns by position instead of by name.

    Names need a data frame, and building one per request costs more than most models do. A ColumnTransformer gets its columns
    in the order in which it got them when it was fitted, wherever in the model it is.
    """
    pending, seen = [model], set()
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
        elif isinstance(item, BaseEstimator) or type(item).__module__.startswith("sklearn."):
            if id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, ColumnTransformer) and hasattr(item, "feature_names_in_"):
                _by_position(item)
            pending.extend(getattr(item, "__dict__", {}).values())


def _by_position(transformer: ColumnTransformer) -> None:
    place = {name: index for index, name in enumerate(transformer.feature_names_in_)}

    def position(columns: Any) -> Any:
        if isinstance(columns, str):
            return place[columns]
        if isinstance(columns, list | np.ndarray) and len(columns) and isinstance(columns[0], str):
            return [place[name] for name in columns]
        return columns

    transformer.transformers_ = [(name, step, position(columns)) for name, step, columns in transformer.transformers_]
