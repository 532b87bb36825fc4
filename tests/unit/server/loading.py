"""Frames, signatures and the loading of engines, for their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmill.contracts.artifact import Tensor
from modelmill_server.engines import Engine, load_engine
from modelmill_server.failure import StartError
from modelmill_server.queries.columns import features_of

ROWS = 240


def frame_with_gaps() -> pd.DataFrame:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"a": random.normal(size=ROWS), "b": random.normal(size=ROWS), "c": random.normal(size=ROWS)})
    frame.loc[::7, "a"] = np.nan
    return frame


def with_categories() -> pd.DataFrame:
    random = np.random.default_rng(4)
    frame = frame_with_gaps()
    frame["size"] = pd.Categorical(random.choice([3, 7, 11], ROWS))
    frame["colour"] = pd.Categorical(random.choice(["blue", "green", "red"], ROWS))
    frame.loc[::11, "colour"] = np.nan
    return frame


def target(frame: pd.DataFrame, classes: int) -> Any:
    score = frame["a"].fillna(0.5) + frame["b"] ** 2
    if "colour" in frame:
        score += frame["colour"].cat.codes
    return pd.qcut(score, classes, labels=False).to_numpy() if classes else score.to_numpy()


def inputs(frame: pd.DataFrame) -> tuple[Tensor, ...]:
    made = []
    for name in frame:
        categorical = frame[name].dtype == "category"
        text = categorical and frame[name].cat.categories.dtype == object
        datatype = "BYTES" if text else "INT64" if categorical else "FP64"
        made.append(Tensor(str(name), datatype, (-1,), "categorical" if categorical else "numeric", True))
    return tuple(made)


def outputs(classes: tuple[Any, ...]) -> tuple[Tensor, ...]:
    if not classes:
        return (Tensor("predict", "FP64", (-1,)),)
    return (
        Tensor("predict", "BYTES", (-1,), classes=classes),
        Tensor("predict_proba", "FP64", (-1, len(classes)), classes=classes),
    )


def lists(frame: pd.DataFrame) -> list[Any]:
    return [[None if pd.isna(value) else value for value in frame[name].tolist()] for name in frame]


def load(form: str, path: Path, frame: pd.DataFrame, classes: tuple[Any, ...] = (), **options: Any) -> Engine:
    threads = options.pop("threads", 1)
    return load_engine(form, path, features_of(inputs(frame)), outputs(classes), threads, **options)


def refusal(form: str, path: Path, frame: pd.DataFrame, classes: tuple[Any, ...] = (), **options: Any) -> str:
    reason = options.pop("reason", "ModelLoadFailed")
    with pytest.raises(StartError) as caught:
        load(form, path, frame, classes, **options)
    assert caught.value.reason == reason
    return caught.value.message
