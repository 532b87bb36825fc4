"""profile.json: what the training data looked like, in bins that a server can count; and which features matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, mean_squared_error

from modelmill.contracts.artifact import (
    CATEGORICAL,
    MAGNITUDE_MOST,
    MAGNITUDE_ZERO,
    NUMERIC,
    TEXT,
    FeatureProfile,
    Profile,
    category_text,
)
from modelmill_trainer.model_document import CLASSIFICATION
from modelmill_trainer.models import PREDICT, Model

BINS = 10
MAX_CATEGORIES = 20
MAX_IMPORTANCE_FEATURES = 100
MAX_IMPORTANCE_PREDICTIONS = 200_000
REPEATS = 5


def make_profile(
    frame: pd.DataFrame, target: np.ndarray, predicted: np.ndarray, importance: dict[str, float]
) -> Profile:
    """Return the profile of the rows that were trained on (`kinds.model_frame`), their targets, and the model's predictions."""
    features = {str(name): _feature(frame[name], importance.get(str(name), 0.0)) for name in frame.columns}
    return Profile(
        features=features,
        prediction=profile_of(pd.Series(predicted), 0.0),
        rows=len(frame),
        target=(float(target.min()), float(target.max())) if target.dtype.kind in "fiu" else None,
    )


def _feature(column: pd.Series, importance: float) -> FeatureProfile:
    """Return the profile of a feature: of texts that mostly differ, whose shares would say little, that of their lengths.

    Codes, which mostly differ and are all of one length, stay categories.
    """
    profile = profile_of(column, importance)
    if profile.kind != CATEGORICAL or profile.other_ratio <= sum(profile.ratios):
        return profile
    edges, ratios = _binned(column.dropna().map(category_text).map(len).to_numpy(dtype="float64"), len(column))
    if not edges:
        return profile
    return FeatureProfile(TEXT, ratios, edges, missing_ratio=profile.missing_ratio, importance=importance)


def profile_of(column: pd.Series, importance: float) -> FeatureProfile:
    """Return the shares of a column's values: text and labels by category, numbers by bin."""
    rows = len(column)
    present = column.dropna()
    missing = (rows - len(present)) / rows
    if column.dtype.kind in "fiu":
        values = present.to_numpy(dtype="float64")
        edges, ratios = _binned(values, rows)
        profile = FeatureProfile(NUMERIC, ratios, edges, missing_ratio=missing, importance=importance)
        return replace(profile, **_sizes(values[np.isfinite(values)]))
    counted = present.map(category_text).value_counts()
    ordered = sorted(counted.index, key=lambda value: (-counted[value], value))[:MAX_CATEGORIES]
    shares = tuple(float(counted[value]) / rows for value in ordered)
    return FeatureProfile(
        CATEGORICAL,
        shares,
        categories=tuple(ordered),
        missing_ratio=missing,
        other_ratio=max(0.0, 1.0 - missing - sum(shares)) if len(counted) > len(ordered) else 0.0,
        importance=importance,
    )


def _binned(values: np.ndarray, rows: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the edges of the bins of numbers, and which share of the rows is in each bin."""
    edges = _edges(values)
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return edges, tuple((counts / rows).tolist())


def _sizes(values: np.ndarray) -> dict[str, Any]:
    """Return the range of finite numbers, and the mean and deviation of their magnitudes, as far as there are any."""
    if not len(values):
        return {}
    found = {"least": float(values.min()), "greatest": float(values.max())}
    sizes = np.clip(np.log10(np.abs(values[values != 0])) + MAGNITUDE_ZERO, 0.0, MAGNITUDE_MOST)
    if len(sizes):
        found |= {"magnitude_mean": float(sizes.mean()), "magnitude_deviation": float(sizes.std())}
    return found


def _edges(values: np.ndarray) -> tuple[float, ...]:
    """Return at most nine ascending interior edges: between the values when they are few, else at the deciles."""
    distinct = np.unique(values)
    if len(distinct) <= BINS:
        return tuple(((distinct[:-1] + distinct[1:]) / 2).tolist())
    deciles = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    # An edge at the smallest value would make a bin that nothing is in.
    return tuple(deciles[deciles > distinct[0]].tolist())


def permutation_importance(model: Model, frame: pd.DataFrame, target: np.ndarray, seed: int) -> dict[str, float]:
    """Return by how much the score falls when a feature's values are shuffled, most important first.

    The score is accuracy, or the share of the target's variance (so 0 is none, 1 is all). Rows, repeats and features are capped
    so that at most `MAX_IMPORTANCE_PREDICTIONS` predictions are made; features beyond the cap are absent.
    """
    features = model.features[:MAX_IMPORTANCE_FEATURES]
    random = np.random.default_rng(seed)
    most = max(20, MAX_IMPORTANCE_PREDICTIONS // (len(features) * REPEATS))
    if len(frame) > most:
        chosen = np.sort(random.choice(len(frame), most, replace=False))
        frame, target = frame.iloc[chosen], target[chosen]
    base = _score(model, frame, target)
    found = {}
    for name in features:
        # One call for all repeats: a prediction costs more than its rows.
        tiled = pd.concat([frame] * REPEATS, ignore_index=True)
        tiled[name] = np.concatenate([random.permutation(frame[name].to_numpy()) for _ in range(REPEATS)])
        found[name] = base - _score(model, tiled, np.tile(target, REPEATS))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _score(model: Model, frame: pd.DataFrame, target: Any) -> float:
    predicted = model.outputs(frame)[PREDICT]
    if model.task == CLASSIFICATION:
        return float(
            accuracy_score([str(value) for value in target.tolist()], [str(value) for value in predicted.tolist()])
        )
    spread = float(np.var(target.astype("float64"))) or 1.0
    return -float(mean_squared_error(target, predicted)) / spread
