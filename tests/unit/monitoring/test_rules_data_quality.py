"""The rules about the data themselves, asked by Prometheus' own evaluator."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from modelmill.monitoring.rules.data_quality import PROBLEM
from modelmill.monitoring.rules.drift import DRIFTED
from tests.unit.monitoring.evaluator import (
    NAME,
    VERSION,
    Evaluator,
    Feature,
    Pod,
    changed,
    expect,
    firing,
    identity,
    near,
)

DRIFT = {"windowSeconds": 600, "minRows": 500, "forSeconds": 120}
HALVES = {"0": 0.5, "1": 0.5}
COLOURS = {"red": 0.5, "green": 0.4, "blue": 0.1, "missing": 0.0, "other": 0.0}
FINE = {"0": 50.0, "1": 50.0}
PREDICTION = Feature(FINE, HALVES)

PROBLEMS = {
    "missing": (Feature({"0": 45, "1": 45, "missing": 10}, {**HALVES, "missing": 0.0}), 0.1),
    "invalid": (Feature(FINE, HALVES, refused=10), 10 / 110),
    "out_of_range": (Feature(FINE, HALVES, far=6), 0.06),
    "unit": (Feature(FINE, HALVES, magnitudes=(18.0 + math.log10(2.54), 0.3, 18.0, 0.3)), 2.54),
    "constant": (Feature({"0": 100, "1": 0}, HALVES, magnitudes=(18.0, 0.0, 18.0, 0.3)), 1.0),
    "vanished": (Feature({"red": 60, "green": 40}, COLOURS), 0.0),
}


@pytest.fixture
def evaluator(promtool: str, tmp_path: Path, service: Any) -> Evaluator:
    return Evaluator(promtool, tmp_path, service(DRIFT))


def labelled(problem: str) -> str:
    return identity(feature="x", problem=problem)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_each_problem_is_told_alone_with_what_was_measured(evaluator: Evaluator, problem: str) -> None:
    feature, value = PROBLEMS[problem]
    evaluator.check(
        [Pod({"x": feature, "y": PREDICTION}, PREDICTION)],
        near(PROBLEM, value, labels=labelled(problem), within=1e-6),
        firing(f'alertname="ModelmillDataQuality",problem="{problem}"', 1, 30),
        firing("", 1, 30),
    )


FAINT = {
    "as many are missing as in training": Feature(
        {"0": 45, "1": 45, "missing": 10}, {"0": 0.45, "1": 0.45, "missing": 0.1}
    ),
    "a few more are missing": Feature({"0": 47, "1": 47, "missing": 6}, {"0": 0.495, "1": 0.495, "missing": 0.01}),
    "few are refused": Feature(FINE, HALVES, refused=5),
    "few are far off": Feature(FINE, HALVES, far=5),
    "another unit with another spread": Feature(FINE, HALVES, magnitudes=(18.6, 0.5, 18.0, 0.3)),
    "kilometres for miles": Feature(FINE, HALVES, magnitudes=(18.0 + math.log10(1.609344), 0.3, 18.0, 0.3)),
    "a factor of two": Feature(FINE, HALVES, magnitudes=(18.3, 0.3, 18.0, 0.3)),
    "a bin that held all": Feature({"0": 100, "1": 0}, {"0": 0.95, "1": 0.05}, magnitudes=(18.0, 0.0, 18.0, 0.3)),
    "one bin with many values": Feature({"0": 100, "1": 0}, HALVES, magnitudes=(18.0, 0.2, 18.0, 0.3)),
    "one bin of a server of an earlier release": Feature({"0": 100, "1": 0}, HALVES),
    "a rare category": Feature({"red": 60, "green": 40}, {**COLOURS, "blue": 0.09, "green": 0.41}),
    "a rest that was frequent": Feature({"red": 60, "green": 40}, {"red": 0.5, "green": 0.3, "other": 0.2}),
    "nearly all missing, as in training": Feature(
        {"red": 1, "missing": 99}, {"red": 0.007, "blue": 0.003, "missing": 0.99, "other": 0.0}
    ),
    "one bin of what was zeros only": Feature({"0": 100, "1": 0}, {"0": 0.8, "1": 0.2}),
    "too few rows": Feature({"0": 40, "missing": 5}, HALVES),
}


def test_what_is_no_problem(evaluator: Evaluator) -> None:
    evaluator.check([Pod(FAINT, PREDICTION)], expect(PROBLEM))


def test_units(evaluator: Evaluator) -> None:
    factors = [0.001, 0.1, 1 / 3.7854118, 0.25, 2.2046226, 3.2808399, 1000]
    features = {
        str(factor): Feature(FINE, HALVES, magnitudes=(18.0 + math.log10(factor), 0.31, 18.0, 0.3))
        for factor in factors
    }
    measured = [
        near(
            f'{PROBLEM}{{feature="{factor}"}} / {max(factor, 1 / factor)!r}',
            1,
            labels=identity(feature=str(factor), problem="unit"),
            within=1e-6,
        )
        for factor in factors
    ]
    evaluator.check([Pod(features)], *measured)


def test_zeros_only_are_constant(evaluator: Evaluator) -> None:
    # Their magnitudes are not counted: the counter stays at 0.
    more = {
        'modelmill_feature_magnitude_count{feature="x"}': "0+0x40",
        'modelmill_feature_reference_magnitude_mean{feature="x"}': "18+0x40",
        'modelmill_feature_reference_magnitude_deviation{feature="x"}': "0.3+0x40",
    }
    pod = Pod({"x": Feature({"0": 100, "1": 0}, HALVES)}, more=more)
    evaluator.check([pod], near(PROBLEM, 1.0, labels=labelled("constant")))


def test_when_all_requests_are_refused_there_is_no_value_and_a_problem(evaluator: Evaluator) -> None:
    refused = Feature({"0": 0, "1": 0}, HALVES, refused=60)
    evaluator.check([Pod({"x": refused})], near(PROBLEM, 1.0, labels=labelled("invalid")))


def test_one_category_only_is_constant_and_the_others_have_vanished(evaluator: Evaluator) -> None:
    only = Feature({"red": 100}, COLOURS)
    evaluator.check([Pod({"x": only})], expect(f"count(count by (problem) ({PROBLEM}))", 2))


def test_the_alert_waits_and_says_what_is_wrong(evaluator: Evaluator) -> None:
    # A quarter of the window is two and a half minutes; 500 values are there after five.
    alert = {
        "exp_labels": {
            "namespace": "ml", "inferenceservice": NAME, "model_version": VERSION, "feature": "x", "problem": "missing",
            "severity": "warning", "modelmill_kind": "DataQuality",
        },
        "exp_annotations": {
            "summary": f"The data of {NAME} are wrong: missing of x.",
            "description": f"What is asked of {VERSION} is not what it was trained on, in a way that no training mends: "
            "measured 0.1 over 600 s. Nothing is retrained, and drift and quality are not judged.",
            "value": "0.100",
            "runbook_url": "docs/operations/alerts.md#modelmilldataquality",
        },
    }  # fmt: skip
    evaluator.check(
        [Pod({"x": PROBLEMS["missing"][0]}, PREDICTION)],
        expect(f"count({PROBLEM})", 1, minute=6),
        firing("", 0, 7),
        alerts=[{"eval_time": "12m", "alertname": "ModelmillDataQuality", "exp_alerts": [alert]}],
    )


def test_drift_is_not_judged_while_the_data_were_wrong_within_the_window(evaluator: Evaluator) -> None:
    """A unit changes at minute 15 and comes back at 25; the values stay away from where they were."""
    rows = 100
    mean, wrong = rows * 18.0, rows * (18.0 + math.log10(2.54))
    squares, wrong_squares = rows * (18.0**2 + 0.09), rows * ((18.0 + math.log10(2.54)) ** 2 + 0.09)

    def there_and_back(a: float, b: float) -> str:
        return f"0+{a}x15 {15 * a + b}+{b}x9 {16 * a + 10 * b}+{a}x50"

    x = Feature({"0": changed(50, 10, minutes=75), "1": changed(50, 90, minutes=75)}, HALVES)
    more = {
        'modelmill_feature_magnitude_count{feature="x"}': f"0+{rows}x75",
        'modelmill_feature_magnitude_sum{feature="x"}': there_and_back(mean, wrong),
        'modelmill_feature_magnitude_squares_total{feature="x"}': there_and_back(squares, wrong_squares),
        'modelmill_feature_reference_magnitude_mean{feature="x"}': "18+0x75",
        'modelmill_feature_reference_magnitude_deviation{feature="x"}': "0.3+0x75",
    }
    drifted = f"max({DRIFTED})"
    evaluator.check(
        [Pod({"x": x}, PREDICTION, more=more)],
        # It is known once the window is full of it, at minute 25, and gone soon after.
        expect("max(inferenceservice:modelmill_data_quality_problems:count)", 1, minute=25),
        expect("inferenceservice:modelmill_data_quality_problems:count", minute=29),
        expect(drifted, 0, minute=26),
        expect(drifted, 0, minute=34),
        expect(drifted, 1, minute=39),
    )
