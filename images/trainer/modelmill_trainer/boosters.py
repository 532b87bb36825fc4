"""Boosters of XGBoost and LightGBM in their own formats, as the server's engines answer with them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from modelmill.artifacts.heads import (
    UNNAMED,
    UNSEEN,
    UNSEEN_MISSING,
    Categories,
    read_lightgbm,
    xgboost_categories,
)
from modelmill_trainer.failure import StageError
from modelmill_trainer.model_document import CLASSIFICATION, REGRESSION, Said
from modelmill_trainer.models import MAX_THREADS, PREDICT, PROBABILITIES, Outputs

Range = tuple[float, float] | None
"""The least and the greatest value of a feature that the trees know; None where they say none."""

_LEAF: Final = -1  # the left child of a leaf


def load_booster(path: Path, form: str, features: Sequence[str], labels: Sequence[Any]) -> XGBoostModel | LightGBMModel:
    """Return the booster of a published artifact. features, labels: as its signature has them."""
    kind = XGBoostModel if form == "xgboost" else LightGBMModel
    return kind(path, features, labels)


def load_left_booster(
    path: Path, form: str, said: Said, features: Sequence[str], labels: Sequence[Any]
) -> XGBoostModel | LightGBMModel:
    """Return the booster that a train stage left. features, labels: of the data, where neither file nor document has some.

    Raises StageError (ModelInvalid).
    """
    kind = XGBoostModel if form == "xgboost" else LightGBMModel
    try:
        model = kind(path)
        named = list(said.features or (model.features if model.named else features))
        classes = said.classes or (labels if model.task == CLASSIFICATION else ())
        model = kind(path, named, classes)
    except (StageError, MemoryError):
        raise
    except Exception as error:  # a broken file breaks its library in any way
        text = " ".join(str(error).partition("Stack trace")[0].split())[:400]
        raise StageError("ModelInvalid", f"{path.name} cannot be loaded: {type(error).__name__}: {text}") from None
    said.require_task(model.task)
    return model


class _Booster:
    """What both have: categories to codes, and scores to outputs.

    named: whether the file has names for the features; x0, x1, … where it has none and none are given.
    """

    def __init__(
        self,
        names: Sequence[str],
        categories: Sequence[Categories],
        classes: int,
        features: Sequence[str] | None,
        labels: Sequence[Any] | None,
        unseen: float | None,
    ) -> None:
        """features: what the features are called instead. labels: of the classes, by number where None."""
        self.named = bool(names)
        self.features = list(features or names or (f"x{place}" for place in range(len(categories))))
        if len(self.features) != len(categories):
            raise StageError(
                "ModelInvalid", f"the model takes {len(categories)} features, named are {len(self.features)}"
            )
        self.categories = list(categories)
        self.task = CLASSIFICATION if classes else REGRESSION
        self.classes: tuple[Any, ...] = tuple(labels or range(classes)) if classes else ()
        if len(self.classes) != classes:
            raise StageError("ModelInvalid", f"the model tells {classes} classes apart, named are {len(self.classes)}")
        self._tables = [
            None if known is None else {value: float(code) for code, value in enumerate(known)} for known in categories
        ]
        self._unseen = unseen

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the rows as numbers [rows, features], NaN where missing."""
        made = np.empty((len(frame), len(self.features)))
        for place, (name, table) in enumerate(zip(self.features, self._tables, strict=True)):
            column = frame[name]
            made[:, place] = column.to_numpy(dtype="float64") if table is None else self._coded(name, column, table)
        return made

    def _coded(self, name: str, column: pd.Series, table: dict[Any, float]) -> list[float]:
        coded = []
        for value in column.tolist():
            code = np.nan if value is None or value != value else table.get(value, self._unseen)
            if code is None:
                raise StageError("ModelInvalid", f"the model knows no category {str(value)[:100]!r} of {name!r}")
            coded.append(code)
        return coded

    def _outputs(self, scores: np.ndarray) -> Outputs:
        """Return the outputs for predictions [rows], second classes' probabilities [rows] or probabilities [rows, classes]."""
        if self.task == REGRESSION:
            if scores.ndim != 1:
                raise StageError(
                    "ModelInvalid",
                    f"the model predicts an array of shape {scores.shape}: one value for each row is supported",
                )
            return {PREDICT: scores}
        labels = np.array(list(self.classes))
        if scores.ndim == 1:
            return {
                PREDICT: labels[(scores > 0.5).astype(np.intp)],
                PROBABILITIES: np.stack([1 - scores, scores], axis=1),
            }
        return {PREDICT: labels[scores.argmax(axis=1)], PROBABILITIES: scores}


class XGBoostModel(_Booster):
    """A booster from model.ubj or model.json. ranges: between the thresholds of its trees."""

    def __init__(self, path: Path, features: Sequence[str] | None = None, labels: Sequence[Any] | None = None) -> None:
        """Load it. Raises StageError (ModelInvalid) for what the server does not serve, or whatever XGBoost raises."""
        import xgboost

        self._booster = xgboost.Booster({"nthread": _threads()})
        self._booster.load_model(path)
        learner = json.loads(self._booster.save_raw("json"))["learner"]
        gradient = learner["gradient_booster"]
        model = (gradient.get("gbtree") or gradient)["model"]
        count = int(learner["learner_model_param"]["num_feature"])
        stored = (model.get("cats") or {}).get("enc") or []
        known = [xgboost_categories(one["values"], one.get("offsets")) for one in stored] or [None] * count
        objective = learner["objective"]["name"]
        classes = 2 if objective in ("binary:logistic", "binary:hinge") else 0
        if objective.startswith("multi:"):
            classes = int(learner["learner_model_param"]["num_class"])
        types = learner.get("feature_types") or []
        known = [one if "c" in types else None for one in known]
        _require_ascii(known)
        unseen = np.nan if self._booster.attr(UNSEEN) == UNSEEN_MISSING else None
        super().__init__(learner.get("feature_names") or [], known, classes, features, labels, unseen)
        self.ranges = _thresholds(model["trees"], count)
        self._margin = objective == "multi:softmax"  # its value is the label only
        best = self._booster.attr("best_iteration")
        self._rounds = (0, 0 if best is None else int(best) + 1)

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        """Return `predict`, and `predict_proba` of a classifier."""
        scores = self._booster.inplace_predict(
            self._matrix(frame).astype(np.float32),
            iteration_range=self._rounds,
            predict_type="margin" if self._margin else "value",
            validate_features=False,
        )
        if self._margin:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        return self._outputs(np.asarray(scores))


class LightGBMModel(_Booster):
    """A booster from model.txt. ranges: of its training data."""

    def __init__(self, path: Path, features: Sequence[str] | None = None, labels: Sequence[Any] | None = None) -> None:
        """Load it. Raises StageError (ModelInvalid), or whatever LightGBM raises."""
        import lightgbm

        head = read_lightgbm(path)
        unnamed = head.names == [f"{UNNAMED}{place}" for place in range(len(head.names))]
        known = [None if values is None else list(values) for values in head.categories()]
        super().__init__([] if unnamed else head.names, known, head.classes, features, labels, unseen=np.nan)
        self.ranges: list[Range] = list(head.ranges) or [None] * len(head.names)
        self._booster = lightgbm.Booster(model_file=str(path))

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        """Return `predict`, and `predict_proba` of a classifier."""
        made = self._booster.predict(self._matrix(frame), num_threads=_threads(), validate_features=False)
        return self._outputs(np.asarray(made))


def _require_ascii(categories: Sequence[Categories]) -> None:
    """Raise StageError (ModelInvalid) for categories that XGBoost may have stored cut at the wrong places.

    Its Python package counted letters where bytes were meant. Source: dmlc/xgboost, pull request 12371.
    """
    for known in categories:
        if known and not all(str(value).isascii() for value in known):
            raise StageError(
                "ModelInvalid",
                "the model has categories that are not ASCII, which versions of XGBoost store wrongly: give them ASCII names",
            )


def _thresholds(trees: Sequence[Any], count: int) -> list[Range]:
    """Return the least and the greatest threshold of each feature in the trees of an XGBoost document."""
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    for tree in trees:
        inner = np.asarray(tree["left_children"]) != _LEAF
        places, values = np.asarray(tree["split_indices"])[inner], np.asarray(tree["split_conditions"], float)[inner]
        np.minimum.at(low, places, values)
        np.maximum.at(high, places, values)
    return [
        (float(least), float(most)) if np.isfinite(least) and np.isfinite(most) else None
        for least, most in zip(low, high, strict=True)
    ]


def _threads() -> int:
    return min(MAX_THREADS, os.cpu_count() or 1)
