"""Estimators of XGBoost and LightGBM: fitted with the library's own handling of categories and gaps, left in its own format.

Texts that are no category of the rows to train on, the rare ones among them, are missing: when it is fitted and when it is
served.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone, is_classifier

from modelmill.artifacts.heads import UNNAMED, UNSEEN, UNSEEN_MISSING
from modelmill.contracts.artifact import MODEL_FILES
from modelmill.contracts.estimators import BOOSTERS
from modelmill_trainer.failure import StageError, rejected
from modelmill_trainer.folders import Folders
from modelmill_trainer.model_document import CLASSIFICATION, MODEL_DOCUMENT, REGRESSION

PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]+")
"""Names of columns that both libraries store as they are."""
# One thread, whose sums are always in the same order: the same data give the same bytes on every node.
ALWAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "xgboost": {"n_jobs": 1},
    "lightgbm": {"n_jobs": 1, "deterministic": True, "force_row_wise": True, "verbose": -1},
}
REFUSED: Final[Mapping[str, str]] = {
    "booster": "trees of gbtree or dart are served only",
    "missing": "a gap in the data is what is missing",
    "enable_categorical": "the stage says it, where there are categories",
    "callbacks": "a callback is code",
}
SERVED: Final = ("gbtree", "dart")


def format_of(estimator: Any) -> str | None:
    """Return the format that an unfitted estimator is published in; None for one of scikit-learn."""
    cls = type(estimator)
    return BOOSTERS.get(f"{cls.__module__.partition('.')[0]}.{cls.__name__}")


def resolve(path: str) -> Any:
    """Return the class of one of BOOSTERS."""
    module, _, name = path.partition(".")
    if module == "xgboost":
        import xgboost

        return getattr(xgboost, name)
    import lightgbm

    return getattr(lightgbm, name)


def refused_parameters(parameters: Mapping[str, Any]) -> list[str]:
    """Return, for each parameter that the stage decides, a sentence that says why."""
    return [
        f"train.sklearn.parameters.{name}: {why}; leave it out"
        for name, why in REFUSED.items()
        if name in parameters and not (name == "booster" and parameters[name] in SERVED)
    ]


class _Native(BaseEstimator):  # type: ignore[misc]
    """An estimator of another library that takes the frame of `kinds.model_frame`.

    estimator: unfitted. categories: by column of text, what is told apart.
    """

    def __init__(self, estimator: Any, categories: dict[str, list[str]] | None = None) -> None:
        self.estimator = estimator
        self.categories = categories

    def _fit(self, x: pd.DataFrame, y: np.ndarray) -> None:
        self.feature_names_in_ = np.array([str(name) for name in x.columns], dtype=object)
        self.estimator_ = clone(self.estimator)
        if self.categories and format_of(self.estimator) == "xgboost":
            self.estimator_.set_params(enable_categorical=True)
        self.estimator_.fit(self._rows(x), y)

    def _rows(self, x: pd.DataFrame) -> pd.DataFrame:
        made = {}
        for called, name in zip(
            _called(self.feature_names_in_.tolist(), format_of(self.estimator)), x.columns, strict=True
        ):
            known = (self.categories or {}).get(str(name))
            made[called] = x[name] if known is None else pd.Categorical(x[name], categories=sorted(known))
        return pd.DataFrame(made, index=x.index)


class NativeClassifier(ClassifierMixin, _Native):  # type: ignore[misc]
    """A classifier, for labels of any kind."""

    def fit(self, x: pd.DataFrame, y: np.ndarray) -> NativeClassifier:
        """Fit it; the library sees the labels by number."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        self._fit(x, codes)
        return self

    def predict(self, x: pd.DataFrame) -> Any:
        """Return the label of the likeliest class of each row."""
        return self.classes_[self.predict_proba(x).argmax(axis=1)]

    def predict_proba(self, x: pd.DataFrame) -> Any:
        """Return [rows, classes]."""
        return np.asarray(self.estimator_.predict_proba(self._rows(x)))


class NativeRegressor(RegressorMixin, _Native):  # type: ignore[misc]
    """A regressor."""

    def fit(self, x: pd.DataFrame, y: np.ndarray) -> NativeRegressor:
        """Fit it."""
        self._fit(x, y)
        return self

    def predict(self, x: pd.DataFrame) -> Any:
        """Return [rows]."""
        return np.asarray(self.estimator_.predict(self._rows(x)))


def native(estimator: Any, categories: dict[str, list[str]]) -> NativeClassifier | NativeRegressor:
    """Return the unfitted estimator for rows with these categories. Raises StageError (ColumnInvalid)."""
    if format_of(estimator) == "xgboost":
        for name, texts in categories.items():
            strange = next((text for text in texts if not text.isascii()), None)
            if strange is not None:
                raise rejected(
                    "ColumnInvalid",
                    f"column {name!r} has the text {strange[:50]!r}, and XGBoost stores categories that are not ASCII wrongly: "
                    "use lightgbm or an estimator of scikit-learn, or exclude the column",
                )
    return (NativeClassifier if is_classifier(estimator) else NativeRegressor)(estimator, categories)


def leave(model: NativeClassifier | NativeRegressor, folders: Folders) -> str:
    """Write the fitted model and its document, and return the file's name."""
    form = format_of(model.estimator)
    if form is None:
        raise StageError("InternalError", f"{type(model.estimator).__name__} is no estimator of {', '.join(BOOSTERS)}")
    name = MODEL_FILES[form][0]
    path = folders.output / name
    if form == "xgboost":
        booster = model.estimator_.get_booster()
        if _called(names := model.feature_names_in_.tolist(), form) != names:
            booster.feature_names = None
        booster.set_attr(**{UNSEEN: UNSEEN_MISSING})
        booster.save_model(path)
    else:
        model.estimator_.booster_.save_model(path)
    said: dict[str, Any] = {
        "format": form,
        "file": name,
        "features": model.feature_names_in_.tolist(),
        "task": REGRESSION if isinstance(model, NativeRegressor) else CLASSIFICATION,
    }
    if isinstance(model, NativeClassifier):
        said["classes"] = model.classes_.tolist()
    (folders.output / MODEL_DOCUMENT).write_text(json.dumps(said), encoding="utf-8")
    return name


def _called(names: Sequence[str], form: str | None) -> list[str]:
    """Return what the library is told that the columns are called: their names, or none where it would change one."""
    if all(PLAIN.fullmatch(name) for name in names):
        return list(names)
    return [f"{UNNAMED if form == 'lightgbm' else 'f'}{place}" for place in range(len(names))]
