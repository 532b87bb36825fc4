"""Fitted estimators with the rows that they were fitted on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def diabetes() -> tuple[pd.DataFrame, Any]:
    data = load_diabetes(as_frame=True)
    return data.data, data.target


def iris(labels: Callable[[Any], Any]) -> tuple[pd.DataFrame, Any]:
    data = load_iris(as_frame=True)
    return data.data.set_axis(["sepal_length", "sepal_width", "petal_length", "petal_width"], axis=1), labels(
        data.target
    )


def iris_numbers() -> tuple[pd.DataFrame, Any]:
    return iris(lambda target: target.to_numpy())


def iris_flags() -> tuple[pd.DataFrame, Any]:
    return iris(lambda target: target.to_numpy() == 1)


def cars(missing_text: Any = np.nan) -> tuple[pd.DataFrame, Any]:
    """Return made-up cars: numbers with gaps, whole numbers, and categories, which have gaps where `missing_text` is NaN."""
    random = np.random.default_rng(1)
    power = random.normal(100.0, 30.0, 200)
    cylinders = random.integers(3, 9, 200)
    origin = random.choice(["Europe", "Japan", "USA"], 200)
    mileage = 60.0 - 0.2 * power - 2.0 * cylinders + np.where(origin == "Japan", 5.0, 0.0)
    power[::9] = np.nan
    words = origin.astype(object)
    words[::7] = missing_text
    return pd.DataFrame({"power": power, "cylinders": cylinders, "origin": words}), mileage


def on_columns(estimator: BaseEstimator, frame: pd.DataFrame) -> Pipeline:
    """Return a pipeline that imputes and scales numbers and one-hot encodes text, selecting columns by name."""
    numbers = [name for name in frame if frame[name].dtype != object]
    words = [name for name in frame if frame[name].dtype == object]
    steps = [("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers)]
    if words:
        coder: Any = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        if frame[words].isna().any(axis=None):
            coder = make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), coder)
        steps.append(("words", coder, words))
    return make_pipeline(ColumnTransformer(steps), estimator)
