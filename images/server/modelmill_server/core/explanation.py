"""V1 `:explain`: how far each feature of a row moves its prediction away from that of a typical value.

Method: one feature at a time is replaced by its typical value in the training data (the median of a number, the most frequent
category or truth value), and the change of the prediction is told; known as occlusion or one-at-a-time sensitivity. These are
no Shapley values: what two features do only together is told for both or for none, and the numbers do not add up to the
prediction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelmill.contracts.artifact import CATEGORICAL, TEXT, FeatureProfile
from modelmill_server.core.model import PROBABILITIES, Output, ServedModel
from modelmill_server.queries.columns import BOOL, FLOAT, INT, Column, Feature, RejectedError
from modelmill_server.queries.query import Query

METHOD = "occlusion"


class Explainer:
    """Explains predictions of one model."""

    def __init__(self, model: ServedModel, max_rows: int) -> None:
        self._model = model
        self._max_rows = max_rows
        profiles = model.artifact.profile.features
        self._typical: list[tuple[Feature, Any]] = []
        for feature in model.features:
            profile = profiles.get(feature.name)
            value = None if profile is None else typical(feature, profile)
            if value is not None:
                self._typical.append((feature, value))
        self._classifies = model.artifact.manifest.signature.task == "classification"
        self._wanted = (model.primary, PROBABILITIES) if PROBABILITIES in model.outputs else (model.primary,)

    def explain(self, query: Query) -> dict[str, Any]:
        """Return the body of the answer.

        predictions: as of `:predict`. explanations: for each row, the change by feature: of the prediction of a regressor, of
        the predicted class's probability of a classifier, or 1 where the class would be another when there are no
        probabilities. baseline: the typical values. Raises RejectedError (413) when rows times features are too many.
        """
        rows = query.rows
        asked = rows * (len(self._typical) + 1)
        if asked > self._max_rows:
            raise RejectedError(
                413,
                f"explaining {rows} rows takes {asked} predictions: at most {self._max_rows} are made at once",
            )
        columns = [_plain(column) * (len(self._typical) + 1) for column in query.columns]
        for place, (feature, value) in enumerate(self._typical, start=1):
            columns[feature.index][place * rows : (place + 1) * rows] = [value] * rows
        outputs = self._model.predict(Query(columns, asked, self._wanted))
        changes = self._changes(outputs, rows)
        names = [feature.name for feature, _ in self._typical]
        return {
            "predictions": outputs[0].array[:rows].tolist(),
            "explanations": [dict(zip(names, row, strict=True)) for row in changes.tolist()],
            "method": METHOD,
            "baseline": {feature.name: value for feature, value in self._typical},
        }

    def _changes(self, outputs: list[Output], rows: int) -> Any:
        """Return an array [rows, features]: the row's own score minus the one with the feature's typical value."""
        first = outputs[0].array
        if len(outputs) > 1:
            scores = outputs[1].array.reshape(-1, rows, outputs[1].array.shape[1])
            best = scores[0].argmax(axis=1)
            chosen = np.take_along_axis(scores, best[None, :, None], axis=2)[:, :, 0]
        elif self._classifies:
            labels = first.reshape(-1, rows)
            chosen = (labels == labels[0]).astype(np.float64)
        else:
            if first.ndim != 1 or first.dtype.kind not in "fiu":
                raise RejectedError(
                    501, f"output {self._model.primary!r} is not one number for each row: no explanation"
                )
            chosen = first.reshape(-1, rows).astype(np.float64)
        return (chosen[:1] - chosen[1:]).T


def typical(feature: Feature, profile: FeatureProfile) -> Any:
    """Return the typical value of a feature as a request has it; None when the profile knows none."""
    if profile.kind == CATEGORICAL:
        if not profile.categories:
            return None
        text = profile.categories[0]
        if feature.family == BOOL:
            return text in ("true", "True")  # profiles of older artifacts have it as Python writes it
        if feature.family == INT:
            return int(float(text))
        return float(text) if feature.family == FLOAT else text
    if profile.kind == TEXT or not profile.edges:
        return None
    if feature.family == BOOL:
        return profile.ratios[-1] > profile.ratios[0]
    middle = profile.edges[len(profile.edges) // 2]
    return round(middle) if feature.family == INT else middle


def _plain(column: Column) -> list[Any]:
    if isinstance(column, np.ndarray):
        return [None if value != value else value for value in column.tolist()]
    return list(column)
