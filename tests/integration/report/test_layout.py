"""No words of a report lie over each other, on a desk and on a telephone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.integration.report.layout import WIDTHS, problems
from tests.integration.report.runs import labelled, report_of
from tests.support.made_trials import made_trials

HOSTILE = ["<script>alert(1)</script>", "W" * 80, "a\nb\tc", "قطة", '$x^2$ & "q"', "x" * 3000, "}}{{7*7}}{%"]
MAX_BYTES = 800_000


def hostile(random: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    frame = pd.DataFrame(random.normal(size=(200, len(HOSTILE))), columns=HOSTILE)
    frame["</svg><b>kind"] = random.choice(["<img src=x>", "W" * 18, "", "고양이 고양이 고양이", "y" * 500], 200)
    frame["target"] = frame[HOSTILE[0]] + 2 * frame[HOSTILE[1]] + 3 * (frame["</svg><b>kind"] == "") + 1e7
    return frame, {"estimator": {"estimator": "sklearn.tree.DecisionTreeRegressor"}}


def wide(random: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    """300 features, and a search of 150 trials."""
    frame = pd.DataFrame(random.normal(size=(200, 300)), columns=[f"measurement of sensor {n:03}" for n in range(300)])
    frame["target"] = 3 * frame.iloc[:, 0] + frame.iloc[:, 1]
    return frame, {"estimator": {"estimator": "sklearn.linear_model.Ridge"}, "trials": made_trials(150)}


def many(_: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    frame = labelled([f"class number {number}" for number in range(30)], 600)
    return frame, {"estimator": {"estimator": "sklearn.naive_bayes.GaussianNB"}}


def little(random: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One feature, whose every value is the same in half the rows, and two classes."""
    frame = pd.DataFrame({"x": np.where(np.arange(24) % 2, random.normal(size=24), 1e7)})
    frame["target"] = np.where(frame["x"] > 1e6, "far", "near")
    return frame, {"estimator": {"estimator": "sklearn.linear_model.LogisticRegression"}}


def test_nothing_lies_over_anything_and_nothing_is_cut_off(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    pages = {}
    makers: list[Callable[[np.random.Generator], tuple[pd.DataFrame, dict[str, Any]]]] = [hostile, wide, many, little]
    for make in makers:
        frame, parts = make(random)
        pages[make.__name__] = report_of(tmp_path / make.__name__, frame, **parts)
    for name, told in problems(pages, tmp_path).items():
        assert told["said"] == [], name
        assert told["texts"] > 30, name
    assert "Parallel coordinates" in pages["wide"].read_text(encoding="utf-8")
    assert max(page.stat().st_size for page in pages.values()) < MAX_BYTES


def test_words_that_lie_over_each_other_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "planted.html"
    page.write_text(
        '<!doctype html><body><svg width="200" height="100"><title>T</title><text x="10" y="50">below</text>'
        '<text x="20" y="52">above</text><text x="190" y="20">cut here</text><text x="60" y="95" transform="rotate(-45 60 95)">'
        'turned</text><text x="100" y="95" transform="rotate(-45 100 95)">beside</text></svg>'
        '<p>one word</p><p style="margin-top:-34px">another</p><div style="width:1500px">wide</div></body>'
    )
    found = problems({"planted": page}, tmp_path)
    for width in WIDTHS:
        said = " ".join(found[f"planted at {width}"]["said"])
        for problem in ('"below" and "above"', '"cut here" is cut off', '"one word" and "another"', "1508 pixels wide"):
            assert problem in said
        assert "turned" not in said
