"""A trial measured by folds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from modelmill.contracts.stage import Trial
from modelmill_trainer.failure import StageError
from modelmill_trainer.folds import assign, measured_by_folds

KINDS = {"x": "number", "y": "number"}


def rows(count: int, different: int | None = None) -> pd.DataFrame:
    x = np.arange(float(count)) % (different or count)
    return pd.DataFrame({"x": x, "y": (x % 3 == 0).astype(float)})


def test_each_row_is_measured_once_by_a_model_that_has_not_seen_its_like() -> None:
    frame = rows(90, different=30)
    folds = assign(frame, KINDS, None, Trial(0, folds=5), 1)
    assert sorted(np.concatenate([measured for _, measured in folds]).tolist()) == list(range(90))
    for trained, measured in folds:
        assert not set(frame["x"].iloc[trained]) & set(frame["x"].iloc[measured])
        assert len(trained) + len(measured) == 90


def test_labels_are_shared_out_evenly() -> None:
    frame = rows(60)
    folds = assign(frame, KINDS, frame["y"].to_numpy(), Trial(0, folds=4), 1)
    assert {int(frame["y"].iloc[measured].sum()) for _, measured in folds} == {5}


def test_the_folds_hang_on_the_rows_and_the_seed_and_not_on_their_order() -> None:
    frame = rows(40)
    turned = frame.iloc[::-1]
    found = [{*frame["x"].iloc[measured]} for _, measured in assign(frame, KINDS, None, Trial(0, folds=4), 1)]
    again = [{*turned["x"].iloc[measured]} for _, measured in assign(turned, KINDS, None, Trial(7, folds=4), 1)]
    other = [{*frame["x"].iloc[measured]} for _, measured in assign(frame, KINDS, None, Trial(0, folds=4), 2)]
    assert found == again != other


def test_folds_by_time_are_measured_by_what_came_before() -> None:
    folds = assign(rows(20), KINDS, None, Trial(0, folds=4, strategy="Latest", column="t"), 1)
    assert [(trained.tolist(), measured.tolist()) for trained, measured in folds] == [
        (list(range(low)), list(range(low, low + 4))) for low in (4, 8, 12, 16)
    ]


@pytest.mark.parametrize(
    ("frame", "trial"),
    [
        (rows(30, different=9), Trial(0, folds=5)),
        (rows(11), Trial(0, folds=5, strategy="Latest", column="t")),
    ],
)
def test_too_few_rows_are_told(frame: pd.DataFrame, trial: Trial) -> None:
    with pytest.raises(StageError, match="use fewer folds") as caught:
        assign(frame, KINDS, None, trial, 1)
    assert (caught.value.reason, caught.value.rejected) == ("TooFewRows", True)


def test_the_means_are_left(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0)})
    y = frame["x"].to_numpy() ** 2
    folds = assign(frame.assign(y=y), KINDS, None, Trial(0, folds=4), 1)
    measured_by_folds(Pipeline([("model", Ridge())]), frame, y, folds, tmp_path / "metrics.json")
    metrics = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    singly = []
    for fold in folds:
        measured_by_folds(Pipeline([("model", Ridge())]), frame, y, [fold], tmp_path / "one.json")
        singly.append(json.loads((tmp_path / "one.json").read_text())["metrics"])
    assert metrics["mae"] == pytest.approx(sum(one["mae"] for one in singly) / 4)
    assert set(metrics) == set.intersection(*(set(one) for one in singly)) == {"r2", "mae", "rmse"}  # a target is 0
    assert any("mape" in one for one in singly)


def test_a_fold_that_cannot_be_fitted_is_named(tmp_path: Path) -> None:
    frame, labels = pd.DataFrame({"x": np.arange(20.0)}), np.array([0] * 15 + [1] * 5)
    folds = assign(frame, {"x": "number"}, None, Trial(0, folds=3, strategy="Latest", column="t"), 1)
    with pytest.raises(StageError, match=r"fold 1: LogisticRegression\.fit: ValueError") as caught:
        measured_by_folds(Pipeline([("model", LogisticRegression())]), frame, labels, folds, tmp_path / "m.json")
    assert caught.value.reason == "TrainingFailed"
