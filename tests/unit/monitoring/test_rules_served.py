"""The rules about labels, failed requests and age, asked by Prometheus' own evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelmill.api.monitoring import QualityMonitoring
from modelmill.contracts.verdict import Holdout
from modelmill.monitoring.rules.served import AGE, ERROR, FAILED, LABELS, Limit, limit_of
from tests.unit.monitoring.evaluator import (
    NAME,
    PODS,
    VERSION,
    Evaluator,
    Feature,
    Pod,
    changed,
    expect,
    firing,
    identity,
    model_version,
    near,
)

QUALITY = {"windowSeconds": 1200, "minLabels": 100}
ACCURATE = model_version({"accuracy": "0.9"})
PRECISE = model_version({"mae": "2.0", "rmse": "3.0"})


def evaluated(
    promtool: str, folder: Path, parent: dict[str, Any], version: dict[str, Any] | None = None, **monitoring: Any
) -> Evaluator:
    parent["spec"]["monitoring"] |= {"quality": QUALITY, **monitoring}
    return Evaluator(promtool, folder, parent, version)


def labelled(correct: float, wrong: float, **more: Any) -> Pod:
    return Pod(
        more={
            'modelmill_feedback_total{result="correct"}': f"0+{correct}x40",
            'modelmill_feedback_total{result="wrong"}': f"0+{wrong}x40",
        },
        **more,
    )


def scored(rows: float, error: float, squared: float) -> Pod:
    return Pod(
        more={
            'modelmill_feedback_total{result="scored"}': f"0+{rows}x40",
            "modelmill_feedback_absolute_error_count": f"0+{rows}x40",
            "modelmill_feedback_absolute_error_sum": f"0+{rows * error}x40",
            "modelmill_feedback_squared_error_sum": f"0+{rows * squared}x40",
        }
    )


def test_limits() -> None:
    default = QualityMonitoring()
    holdout = Holdout(0.1, 9e-5, classes=True)
    assert limit_of(default, holdout) == Limit(pytest.approx(0.15), pytest.approx(1.5**2 * 9e-5))
    assert limit_of(default, Holdout(0.0, 0.0, classes=True)) == Limit(0.05, 0.0)
    assert limit_of(default, Holdout(2.0, 5e-3, classes=False)) == Limit(2.5, pytest.approx(1.25**2 * 5e-3))
    assert limit_of(default, None) is None
    assert limit_of(QualityMonitoring(maximum="0.3"), holdout) == Limit(0.3, 0.0)


def test_more_wrong_labels_than_on_the_hold_out(promtool: str, tmp_path: Path, service: Any) -> None:
    # 1200 of 6000: a share of 0.2 and a limit of 0.15, with an error of 3 * 0.015.
    evaluator = evaluated(promtool, tmp_path, service(), ACCURATE)
    alert = {
        "exp_labels": {
            "namespace": "ml", "inferenceservice": NAME, "model_version": VERSION, "severity": "warning",
            "modelmill_kind": "Quality",
        },
        "exp_annotations": {
            "summary": f"{VERSION}, which {NAME} serves, is worse than its limit.",
            "description": "By the labels of 1200 s its error is 0.2001, and the limit 0.15.",
            "value": "0.2001",
            "runbook_url": "docs/operations/alerts.md#modelmillquality",
        },
    }  # fmt: skip
    evaluator.check(
        [labelled(120, 30), labelled(120, 30, name=f"{NAME}-ffffffffff-7c9d8b6f5-abcde")],
        near(ERROR, 1201 / 6002, labels=identity(), within=1e-6),
        near(LABELS, 6000, labels=identity(), within=1e-6),
        alerts=[{"eval_time": "30m", "alertname": "ModelmillQuality", "exp_alerts": [alert]}],
    )


@pytest.mark.parametrize(
    ("pod", "value"),
    [
        pytest.param(labelled(270, 30), 601 / 6002, id="as on the hold-out"),
        pytest.param(labelled(246, 54), 1081 / 6002, id="worse by what chance can do"),
        pytest.param(labelled(0, 4), 81 / 82, id="too few labels"),
    ],
)
def test_no_worse_than_it_may_be(promtool: str, tmp_path: Path, service: Any, pod: Pod, value: float) -> None:
    evaluator = evaluated(promtool, tmp_path, service(), ACCURATE)
    evaluator.check([pod], near(ERROR, value, labels=identity(), within=1e-6), firing("", 0, 35))


@pytest.mark.parametrize(("error", "alerts"), [(3.0, 1), (2.5, 0)])
def test_greater_errors_than_on_the_hold_out(
    promtool: str, tmp_path: Path, service: Any, error: float, alerts: int
) -> None:
    # The limit is 2.5; the error of what is compared is 3 * sqrt(9 / 6000 + 1.25 ** 2 * 5 / 1000) = 0.29.
    evaluator = evaluated(promtool, tmp_path, service(), PRECISE)
    pod = scored(300, error, error**2 + 9)
    evaluator.check(
        [pod],
        near(ERROR, error, labels=identity(), within=1e-6),
        near("inferenceservice:modelmill_feedback_error:variance", 9 / 6000, labels=identity(), within=1e-6),
        firing('alertname="ModelmillQuality"', alerts, 35),
    )


@pytest.mark.parametrize(
    ("pod", "alerts"), [(labelled(120, 30), 1), (scored(300, 0.15, 0.03), 1), (labelled(280, 20), 0)]
)
def test_a_maximum_needs_no_version(promtool: str, tmp_path: Path, service: Any, pod: Pod, alerts: int) -> None:
    evaluator = evaluated(promtool, tmp_path, service(), quality={**QUALITY, "maximum": "0.1"})
    evaluator.check([pod], firing('alertname="ModelmillQuality"', alerts, 35))


def test_without_a_version_and_a_maximum_labels_are_counted_and_not_judged(
    promtool: str, tmp_path: Path, service: Any
) -> None:
    evaluator = evaluated(promtool, tmp_path, service())
    assert "ModelmillQuality" not in [rule.get("alert") for rule in evaluator.group["rules"]]
    evaluator.check([labelled(0, 300)], near(LABELS, 6000, labels=identity(), within=1e-6), expect("ALERTS"))


def test_all_labels_right_have_an_error_all_the_same(promtool: str, tmp_path: Path, service: Any) -> None:
    evaluator = evaluated(promtool, tmp_path, service(), ACCURATE)
    right = Pod(more={'modelmill_feedback_total{result="correct"}': "0+5x40"})
    evaluator.check([right], near(ERROR, 1 / 102, labels=identity(), within=1e-6))


def test_quality_is_not_judged_while_the_data_are_wrong(promtool: str, tmp_path: Path, service: Any) -> None:
    evaluator = evaluated(promtool, tmp_path, service({"windowSeconds": 600}), ACCURATE)
    half = {"0": 0.5, "missing": 0.5}
    wrong = labelled(120, 30, features={"x": Feature({"0": 10, "missing": 90}, half)})
    evaluator.check(
        [wrong], firing('alertname="ModelmillQuality"', 0, 35), firing('alertname="ModelmillDataQuality"', 1, 35)
    )


def test_labels_of_wrong_data_are_not_judged_when_the_data_are_right_again(
    promtool: str, tmp_path: Path, service: Any
) -> None:
    evaluator = evaluated(
        promtool, tmp_path, service({"windowSeconds": 600}), ACCURATE, quality={"windowSeconds": 1800, "minLabels": 100}
    )
    healed = {"0": changed(10, 100, 12, 70), "missing": changed(90, 1, 12, 70)}
    labels = {f'modelmill_feedback_total{{result="{result}"}}': "0+50x70" for result in ("correct", "wrong")}
    pod = Pod(features={"x": Feature(healed, {"0": 0.5, "missing": 0.5}, importance=0)}, more=labels)
    data, quality = 'alertname="ModelmillDataQuality"', 'alertname="ModelmillQuality"'
    evaluator.check([pod], firing(data, 1, 15), firing(data, 0, 30), firing(quality, 0, 45), firing(quality, 1, 65))


def answered(**codes: float) -> Pod:
    return Pod(
        more={f'modelmill_requests_total{{code="{code[1:]}"}}': f"0+{count}x40" for code, count in codes.items()}
    )


@pytest.mark.parametrize(
    ("pod", "alerts"),
    [
        pytest.param(answered(c200=90, c503=10), 1, id="one in ten"),
        pytest.param(answered(c200=95, c500=5), 0, id="one in twenty"),
        pytest.param(answered(c500=100), 1, id="all"),
        pytest.param(answered(c200=50, c400=50), 0, id="the client's fault"),
        pytest.param(answered(c500=10), 0, id="few requests"),
        pytest.param(answered(c200=100), 0, id="none"),
    ],
)
def test_errors(promtool: str, tmp_path: Path, service: Any, pod: Pod, alerts: int) -> None:
    evaluator = evaluated(promtool, tmp_path, service(), ACCURATE)
    evaluator.check([pod], firing('alertname="ModelmillErrors"', alerts, 30), firing("", alerts, 30))


def test_failed_requests_are_a_share(promtool: str, tmp_path: Path, service: Any) -> None:
    evaluator = evaluated(promtool, tmp_path, service(), ACCURATE)
    evaluator.check([answered(c200=90, c503=10)], near(FAILED, 51 / 502, labels=identity(), within=1e-6))


def test_an_old_model(promtool: str, tmp_path: Path, service: Any) -> None:
    evaluator = evaluated(promtool, tmp_path, service(), staleness={"maxAgeSeconds": 1200})
    # Trained at minute 0 of the test; a pod in the place of another leaves a gap.
    pods = [
        Pod(more={"modelmill_model_trained_timestamp_seconds": "0+0x20 stale"}),
        Pod(more={"modelmill_model_trained_timestamp_seconds": "_x25 0+0x20"}, name=PODS[1]),
    ]
    evaluator.check(
        pods,
        expect(f"max({AGE})", 900, minute=15),
        firing("", 0, 20),
        *(firing('alertname="ModelmillStaleness"', 1, minute) for minute in range(21, 40)),
    )


def test_no_age_is_too_old_where_none_is_given(promtool: str, tmp_path: Path, service: Any) -> None:
    evaluator = evaluated(promtool, tmp_path, service())
    assert "ModelmillStaleness" not in [rule.get("alert") for rule in evaluator.group["rules"]]
