"""Data sets of scikit-learn and vega-datasets, shaped as tables that a run would train on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn import datasets
from vega_datasets import data as vega

TARGET = "target"


def table(name: str) -> pd.DataFrame:
    """Return the rows of a data set; its target is the column `target`. Raises KeyError."""
    return {
        "diabetes": diabetes,
        "iris": iris,
        "wine": lambda: datasets.load_wine(as_frame=True).frame,
        "tumours": tumours,
        "digits": digits,
        "weather": weather,
        "yields": lambda: barley("yield"),
        "sites": lambda: barley("site"),
        "cars": cars,
        "cars with gaps": cars_with_gaps,
        "cars, numbers": lambda: cars().drop(columns=["Brand", "Origin"]),
        "origins": origins,
        "two origins": lambda: origins().query("target != 'Europe'"),
    }[name]()


def diabetes() -> pd.DataFrame:
    """Numbers in their own units; a number to predict."""
    made = datasets.load_diabetes(as_frame=True, scaled=False).frame
    return made[["age", "bmi", "bp", "s1", "s2", "s5", TARGET]]


def iris() -> pd.DataFrame:
    """Four lengths; three names."""
    loaded = datasets.load_iris(as_frame=True)
    return loaded.data.assign(target=loaded.target_names[loaded.target])


def tumours() -> pd.DataFrame:
    """Numbers of very different size; true or false."""
    loaded = datasets.load_breast_cancer(as_frame=True)
    return loaded.data.iloc[:, :10].assign(target=loaded.target == 1)


def digits() -> pd.DataFrame:
    """Counts from 0 to 16; ten whole numbers."""
    loaded = datasets.load_digits(as_frame=True)
    return loaded.data.iloc[:600, 2::5].assign(target=loaded.target[:600])


def weather() -> pd.DataFrame:
    """Days as Unix time, which single precision cannot tell apart within two minutes; a temperature to predict."""
    made = vega.seattle_weather().iloc[:500]
    stamp = made.pop("date").astype("int64") // 10**9 + np.arange(len(made)) * 7919 % 86400
    return made.assign(stamp=stamp).rename(columns={"temp_max": TARGET}).drop(columns="weather")


def barley(target: str) -> pd.DataFrame:
    """Text only; a yield to predict, or the site."""
    made = vega.barley()
    made["year"] = "in " + made["year"].astype(str)
    return made.rename(columns={target: TARGET}).drop(columns="yield", errors="ignore")


def cars() -> pd.DataFrame:
    """Numbers, some missing, and text with rare values; fuel economy to predict."""
    made = vega.cars().drop(columns="Year").rename(columns={"Miles_per_Gallon": TARGET})
    made.insert(0, "Brand", made.pop("Name").str.split().str[0])
    return made


def cars_with_gaps() -> pd.DataFrame:
    """Cars of which some lack the text, or whether they are heavy."""
    made = cars()
    made.insert(0, "Heavy", (made["Weight_in_lbs"] > 3000).astype(object))
    made.loc[::13, "Heavy"] = np.nan
    made.loc[::7, "Origin"] = np.nan
    made.loc[::11, "Brand"] = np.nan
    return made


def origins() -> pd.DataFrame:
    """Cars with three names to predict."""
    return cars().rename(columns={TARGET: "Miles_per_Gallon", "Origin": TARGET})
