"""Public data that come inside of wheels: scikit-learn's and vega_datasets'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes
from vega_datasets import local_data


@dataclass(frozen=True)
class Dataset:
    """Rows to draw from. features: a column each. target: numbers, or labels of classes."""

    name: str
    features: pd.DataFrame
    target: np.ndarray
    classes: bool


def diabetes() -> Dataset:
    """442 patients, ten measurements; how far the disease has gone after a year (Efron et al. 2004)."""
    found = load_diabetes(as_frame=True, scaled=False)
    return Dataset("diabetes", found.data.astype("float64"), found.target.to_numpy(), classes=False)


def breast_cancer() -> Dataset:
    """569 samples of cells, 30 measurements; whether they are malignant (Street et al. 1993)."""
    found = load_breast_cancer(as_frame=True)
    labels = np.array(["malignant", "benign"])[found.target.to_numpy()]
    return Dataset("breast-cancer", found.data.astype("float64"), labels, classes=True)


def weather() -> Dataset:
    """1,461 days in Seattle; the greatest temperature by the least, the month, rain, wind, a word and the day of the month."""
    found = local_data.seattle_weather()
    frame = found[["precipitation", "temp_min", "wind", "weather"]].copy()
    frame["month"] = found["date"].dt.month.astype("float64")
    frame["day"] = found["date"].dt.day.astype("float64")
    return Dataset("seattle-weather", frame, found["temp_max"].to_numpy(), classes=False)


DATASETS: Final[dict[str, Callable[[], Dataset]]] = {
    "diabetes": diabetes,
    "breast-cancer": breast_cancer,
    "seattle-weather": weather,
}
