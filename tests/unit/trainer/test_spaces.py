"""The spaces of `tuning.space: Auto`: what they hold is accepted by the estimators, fits, and is as documented."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import is_classifier

from modelmill.contracts.spaces import DEFAULTS, SPACES, Dimension, space, task_of
from modelmill.contracts.stage import Estimator
from modelmill.training.builders.stage_spec import parameter_value
from modelmill_trainer.estimators import build

ALL = [(task, path) for task, spaces in SPACES.items() for path in spaces]
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "search-spaces.md"


def value(one: Dimension, share: float) -> Any:
    """Return a value of the dimension: 0 is its least, 1 its greatest."""
    if one.choices:
        return parameter_value(one.choices[round(share * (len(one.choices) - 1))])
    low, high = (math.log(one.low), math.log(one.high)) if one.log else (one.low, one.high)
    made = low + share * (high - low)
    made = math.exp(made) if one.log else made
    return round(made) if one.integer else made


@pytest.mark.parametrize(("task", "path"), ALL)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_each_space_are_values_of_its_estimator(task: str, path: str, share: float) -> None:
    made = build(Estimator(path, {one.name: value(one, share) for one in space([path])}), 0)
    assert is_classifier(made) == (task == "classification")
    assert task_of(path) == task


@pytest.mark.parametrize(("task", "path"), ALL)
def test_the_middle_of_each_space_fits_a_small_data_set(task: str, path: str) -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    y = x[:, 0] > 0 if task == "classification" else x[:, 0] * 2 + x[:, 1]
    made = build(Estimator(path, {one.name: value(one, 0.5) for one in space([path])}), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.fit(x, y)
    assert made.score(x, y) > 0.3


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_default_set_is_one_choice_on_which_the_others_hang(task: Any) -> None:
    first, *others = space(DEFAULTS[task])
    assert (first.name, first.choices, first.when) == ("estimator", DEFAULTS[task], None)
    assert len({one.name for one in others}) == len(others)
    for path in DEFAULTS[task]:
        given = {"estimator": path} | {one.name: value(one, 0.5) for one in others if one.when == ("estimator", path)}
        chosen = Estimator("sklearn.dummy.DummyClassifier", given).chosen()
        assert chosen.estimator == path
        assert set(chosen.parameters) == {one.name for one in space([path])}
        made = build(chosen, 0)
        assert task == "regression" or hasattr(made, "predict_proba")


def test_each_dimension_is_one_that_can_be_searched() -> None:
    for one in (one for spaces in SPACES.values() for dimensions in spaces.values() for one in dimensions):
        assert len(set(one.choices)) > 1 if one.choices else one.low < one.high
        assert not one.log or one.low > 0
        assert one.name.isidentifier()


def test_an_estimator_without_a_space_has_none() -> None:
    assert task_of("sklearn.dummy.DummyRegressor") is None
    with pytest.raises(KeyError):
        space(["sklearn.dummy.DummyRegressor"])


def documented(one: Dimension) -> str:
    if one.choices:
        return f"`{one.name}`: {', '.join(one.choices)}"
    scale = ", log" if one.log else ""
    return f"`{one.name}`: {one.low:g} to {one.high:g}{', whole' if one.integer else ''}{scale}"


def test_the_page_has_every_space() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)`[^|]*\| (.+) \|$", PAGE.read_text(), re.MULTILINE))
    expected = {path: "; ".join(documented(one) for one in space([path])) for _, path in ALL}
    assert rows == expected
    marked = re.findall(r"^\| `([\w.]+)` \*", PAGE.read_text(), re.MULTILINE)
    assert marked == [path for paths in DEFAULTS.values() for path in paths]
