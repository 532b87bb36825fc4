"""Versions of a model as a run makes them: trained, measured on a hold-out beside the champion, profiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from modelmill.contracts.artifact import Profile
from modelmill_trainer.metrics import evaluate
from modelmill_trainer.model_document import CLASSIFICATION, REGRESSION
from modelmill_trainer.models import PREDICT, Outputs
from modelmill_trainer.reference import make_profile, permutation_importance
from tests.verdicts.stories import Rows

HOLDOUT = 0.25


class Forest:
    """A random forest over numbers, with texts as the places of their words; a model of `modelmill_trainer.models`."""

    def __init__(self, rows: Rows, classes: bool, seed: int) -> None:
        frame, target = rows
        self.task = CLASSIFICATION if classes else REGRESSION
        self.features = [str(name) for name in frame.columns]
        self._words = {
            name: {word: place for place, word in enumerate(sorted(set(frame[name])))}
            for name in self.features
            if frame[name].dtype.kind not in "fiu"
        }
        made = RandomForestClassifier if classes else RandomForestRegressor
        self._forest = made(n_estimators=20, min_samples_leaf=3, random_state=seed).fit(self._numbers(frame), target)
        self.classes: tuple[Any, ...] = tuple(self._forest.classes_.tolist()) if classes else ()

    def outputs(self, frame: pd.DataFrame) -> Outputs:
        """Return the predictions."""
        return {PREDICT: self._forest.predict(self._numbers(frame))}

    def _numbers(self, frame: pd.DataFrame) -> np.ndarray:
        columns = [
            frame[name].map(self._words[name]).fillna(-1).to_numpy("float64")
            if name in self._words
            else frame[name].to_numpy("float64")
            for name in self.features
        ]
        return np.column_stack(columns)


@dataclass(frozen=True)
class Version:
    """A version of the model. metrics: on `holdout` rows. profile: of the rows that it was trained on."""

    name: str
    model: Forest
    profile: Profile
    metrics: dict[str, float]
    holdout: int
    trained: float

    def error(self, rows: Rows) -> float:
        """Return the share of wrong predictions, or the mean absolute error."""
        frame, target = rows
        predicted = self.model.outputs(frame)[PREDICT]
        wrong = predicted != target if self.model.classes else np.abs(predicted - target)
        return float(np.mean(wrong))


def train(name: str, rows: Rows, classes: bool, seed: int, moment: float) -> tuple[Version, Rows]:
    """Return a version of the rows, and the newest quarter of them that it was measured on."""
    frame, target = rows
    cut = int(len(frame) * (1 - HOLDOUT))
    training, holdout = (frame.iloc[:cut], target[:cut]), (frame.iloc[cut:], target[cut:])
    model = Forest(training, classes, seed)
    importance = permutation_importance(model, *holdout, seed)
    profile = make_profile(training[0], training[1], model.outputs(training[0])[PREDICT], importance)
    metrics = evaluate(model.task, holdout[1], model.outputs(holdout[0]), model.classes)
    return Version(name, model, profile, metrics, len(holdout[1]), moment), holdout
