"""The rules, asked by Prometheus' own evaluator."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelmill.api.objects import read_inference_service
from modelmill.monitoring.promql import literal, matchers, number, quoted
from modelmill.monitoring.rules import build_rules as build_typed

NAME = "fuel-economy"
VERSION = "fuel-economy-1"
STABLE_PODS = (f"{NAME}-0123456789-7c9d8b6f5-abcde", f"{NAME}-0123456789-7c9d8b6f5-fghij")
PSI = "inferenceservice_feature:modelmill_feature_psi:sum"
ROWS = "inferenceservice_feature:modelmill_feature_rows:increase"
PREDICTION_PSI = "inferenceservice:modelmill_prediction_psi:sum"
DRIFT = {"windowSeconds": 300, "minRows": 200, "psiThreshold": "0.2", "forSeconds": 60}


def build_rules(parent: dict[str, Any]) -> dict[str, Any] | None:
    return build_typed(read_inference_service(parent))


def series(
    pod: str,
    rows_per_minute: Mapping[str, int],
    reference: Mapping[str, float],
    *,
    feature: str | None = "Horsepower",
    version: str = VERSION,
    namespace: str = "ml",
) -> list[dict[str, str]]:
    """Twenty minutes of one pod's counters, one sample a minute, and its reference."""
    what = "feature" if feature is not None else "prediction"
    labels = f'namespace="{namespace}",pod="{pod}",model_name="{NAME}",model_version="{version}"'
    if feature is not None:
        labels += f',feature="{feature}"'
    counters = [
        {"series": f'modelmill_{what}_bin_total{{{labels},bin="{name}"}}', "values": f"0+{rows}x20"}
        for name, rows in rows_per_minute.items()
    ]
    ratios = [
        {"series": f'modelmill_{what}_reference_ratio{{{labels},bin="{name}"}}', "values": f"{share}+0x20"}
        for name, share in reference.items()
    ]
    return counters + ratios


def psi(live: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """The definition, over the reference's bins."""
    total = 0.0
    for name, share in reference.items():
        p, q = max(share, 1e-4), max(live.get(name, 0.0), 1e-4)
        total += (q - p) * math.log(q / p)
    return total


class Evaluator:
    """Runs `promtool test rules` on the rules of one service."""

    def __init__(self, promtool: str, folder: Path, parent: dict[str, Any]) -> None:
        self.promtool = promtool
        self.folder = folder
        rules = build_rules(parent)
        assert rules is not None
        (content,) = rules["data"].values()
        (folder / "rules.yaml").write_text(content)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.promtool, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)

    def check(self, inputs: list[dict[str, str]], **tests: Any) -> None:
        document = {
            "rule_files": ["rules.yaml"],
            "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": inputs, **tests}],
        }
        (self.folder / "test.yaml").write_text(yaml.safe_dump(document))
        done = self.run("test", "rules", "test.yaml")
        assert done.returncode == 0, done.stdout + done.stderr


def expect(expression: str, *values: float, labels: str = "{}", minute: int = 15) -> dict[str, Any]:
    samples = [{"labels": labels, "value": value} for value in values]
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples}


def near(metric: str, value: float) -> dict[str, Any]:
    """Expect one sample of `metric`, equal up to rounding."""
    return expect(f"abs({metric} - {value!r}) < bool 1e-9", 1, labels=IDENTITY)


IDENTITY = f'{{namespace="ml",inferenceservice="{NAME}",model_version="{VERSION}",feature="Horsepower"}}'


def alert(minute: int, *exp: dict[str, Any], name: str = "ModelmillFeatureDrift") -> dict[str, Any]:
    return {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": list(exp)}


@pytest.fixture
def evaluator(promtool: str, tmp_path: Path, service: Any) -> Evaluator:
    return Evaluator(promtool, tmp_path, service(DRIFT))


HALVES = {"0": 0.5, "1": 0.5}
# 0.25 and 0.75 against halves: -0.25 * ln(0.5) + 0.25 * ln(1.5) = 0.173287 + 0.101366
DRIFTED_PSI = 0.274653
# Two replicas that are each further off, or less, than both together: 15 of 60 and 45 of 60 rows a minute.
DRIFTED = series(STABLE_PODS[0], {"0": 5, "1": 25}, HALVES) + series(STABLE_PODS[1], {"0": 10, "1": 20}, HALVES)


def test_prometheus_accepts_the_rules(evaluator: Evaluator) -> None:
    done = evaluator.run("check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stderr
    assert "10 rules found" in done.stdout


def test_psi_over_all_replicas_fires(evaluator: Evaluator) -> None:
    assert psi({"0": 0.25, "1": 0.75}, HALVES) == pytest.approx(DRIFTED_PSI, abs=1e-6)
    fires = {
        "exp_labels": {
            "namespace": "ml",
            "inferenceservice": NAME,
            "model_version": VERSION,
            "feature": "Horsepower",
            "severity": "warning",
            "modelmill_kind": "Drift",
        },
        "exp_annotations": {
            "summary": f"Feature Horsepower of {NAME} drifted from the training data of {VERSION}: "
            "PSI 0.275 above 0.2 over 300 s.",
            "value": "0.275",
        },
    }
    evaluator.check(
        DRIFTED,
        promql_expr_test=[
            near(PSI, psi({"0": 0.25, "1": 0.75}, HALVES)),
            expect(f"round({ROWS})", 300, labels=IDENTITY),
        ],
        alert_rule_test=[alert(15, fires)],
    )


def test_a_bin_that_is_never_seen_live_counts(evaluator: Evaluator) -> None:
    # The third bin has no counter at all: (1e-4 - 0.2) * ln(1e-4 / 0.2) = 1.5194, and 2 * 0.1 * ln(1.25) = 0.0446.
    reference = {"0": 0.4, "1": 0.4, "2": 0.2}
    wanted = psi({"0": 0.5, "1": 0.5}, reference)
    assert wanted == pytest.approx(1.5641, abs=1e-4)
    evaluator.check(series(STABLE_PODS[0], {"0": 50, "1": 50}, reference), promql_expr_test=[near(PSI, wanted)])


def test_empty_bins_of_the_reference_stay_finite(evaluator: Evaluator) -> None:
    reference = {"0": 1.0, "missing": 0.0}
    wanted = psi({"0": 0.5, "missing": 0.5}, reference)
    evaluator.check(series(STABLE_PODS[0], {"0": 50, "missing": 50}, reference), promql_expr_test=[near(PSI, wanted)])


def test_the_same_shares_are_no_drift(evaluator: Evaluator) -> None:
    same = series(STABLE_PODS[0], {"0": 50, "1": 50, "missing": 0}, {**HALVES, "missing": 0.0})
    evaluator.check(same, promql_expr_test=[near(PSI, 0.0)], alert_rule_test=[alert(15)])


def test_too_few_rows_stay_silent(evaluator: Evaluator) -> None:
    # 100 rows in five minutes, where 200 are wanted: the value is recorded and no alert fires.
    few = series(STABLE_PODS[0], {"0": 5, "1": 15}, HALVES)
    evaluator.check(
        few,
        promql_expr_test=[near(PSI, DRIFTED_PSI_EXACT), expect(f"round({ROWS})", 100, labels=IDENTITY)],
        alert_rule_test=[alert(15)],
    )


DRIFTED_PSI_EXACT = psi({"0": 0.25, "1": 0.75}, HALVES)


def test_without_any_row_there_is_no_value(evaluator: Evaluator) -> None:
    idle = series(STABLE_PODS[0], {"0": 0, "1": 0}, HALVES)
    evaluator.check(idle, promql_expr_test=[expect(PSI)], alert_rule_test=[alert(15)])


def test_an_alert_waits_for_its_time(promtool: str, tmp_path: Path, service: Any) -> None:
    patient = Evaluator(promtool, tmp_path, service({**DRIFT, "forSeconds": 3600}))
    patient.check(DRIFTED, alert_rule_test=[alert(15)])


@pytest.mark.parametrize(
    "others",
    [
        pytest.param(
            series(f"{NAME}-ffffffffff-7c9d8b6f5-abcde", {"0": 500}, HALVES, version="fuel-economy-2"),
            id="another version of the service",
        ),
        pytest.param(
            series("fuel-economy-staging-0123456789-7c9d8b6f5-abcde", {"0": 500}, HALVES),
            id="another service that serves the same version",
        ),
        pytest.param(
            series(STABLE_PODS[0], {"0": 500}, HALVES, namespace="other"), id="a namesake in another namespace"
        ),
    ],
)
def test_others_are_not_counted(evaluator: Evaluator, others: list[dict[str, str]]) -> None:
    evaluator.check(DRIFTED + others, promql_expr_test=[near(PSI, DRIFTED_PSI_EXACT)])


def test_pods_of_an_older_revision_with_the_same_version_are_counted(evaluator: Evaluator) -> None:
    moved = series(f"{NAME}-aaaaaaaaaa-5d4c3b2a1-abcde", {"0": 5, "1": 25}, HALVES)
    moved += series(STABLE_PODS[1], {"0": 10, "1": 20}, HALVES)
    evaluator.check(moved, promql_expr_test=[near(PSI, DRIFTED_PSI_EXACT)])


def test_predictions_drift_too(evaluator: Evaluator) -> None:
    fires = {
        "exp_labels": {
            "namespace": "ml",
            "inferenceservice": NAME,
            "model_version": VERSION,
            "feature": "prediction",
            "severity": "warning",
            "modelmill_kind": "Drift",
        },
        "exp_annotations": {
            "summary": f"Predictions of {NAME} drifted from those of {VERSION} on its training data: "
            "PSI 0.275 above 0.2 over 300 s.",
            "value": "0.275",
        },
    }
    identity = IDENTITY.replace(',feature="Horsepower"', "")
    value = f"abs({PREDICTION_PSI} - {DRIFTED_PSI_EXACT!r}) < bool 1e-9"
    evaluator.check(
        series(STABLE_PODS[0], {"0": 15, "1": 45}, HALVES, feature=None),
        promql_expr_test=[expect(value, 1, labels=identity)],
        alert_rule_test=[alert(15, fires, name="ModelmillPredictionDrift"), alert(15)],
    )


@pytest.mark.parametrize(
    "hostile", ['v"} or vector(1) or up{a="', "v\\", "v\n# comment", "{{ .Value }}", "v` or vector(1)"]
)
def test_text_cannot_leave_its_quotes(promtool: str, tmp_path: Path, service: Any, hostile: str) -> None:
    evaluator = Evaluator(promtool, tmp_path, service(DRIFT, version=hostile))
    done = evaluator.run("check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stderr
    evaluator.check(DRIFTED, promql_expr_test=[expect(PSI), expect(ROWS)], alert_rule_test=[alert(15)])


def unescaped(text: str) -> str:
    """What Go reads in a string literal, for the escapes that are used here."""
    assert text[0] == text[-1] == '"'
    out, rest = [], iter(text[1:-1])
    for char in rest:
        assert char not in '"\n'
        out.append({"\\": "\\", '"': '"', "n": "\n"}[next(rest)] if char == "\\" else char)
    return "".join(out)


@given(st.text())
def test_quoting_keeps_every_text(text: str) -> None:
    assert unescaped(quoted(text)) == text


def test_matchers_and_numbers() -> None:
    assert matchers({"a": 'x"'}, {"b": "y.+"}) == '{a="x\\"",b=~"y.+"}'
    assert literal("a.b") == "a\\.b"
    assert number("1e-1") == "0.1"
    with pytest.raises(ValueError, match="could not convert"):
        number("0.2 or vector(1)")


def test_the_config_map(service: Any) -> None:
    rules = build_rules(service(DRIFT))
    assert rules is not None
    assert rules["metadata"] == {
        "name": "fuel-economy-modelmill-rules",
        "namespace": "ml",
        "labels": {
            "app.kubernetes.io/managed-by": "modelmill",
            "modelmill.dev/prometheus-rules": "true",
            "modelmill.dev/inference-service": "fuel-economy",
        },
    }
    assert list(rules["data"]) == ["ml.fuel-economy.yaml"]
    assert build_rules(service(DRIFT)) == rules


def test_files_of_two_services_have_two_names(service: Any) -> None:
    one = build_rules(service(namespace="a-b", name="c"))
    other = build_rules(service(namespace="a", name="b-c"))
    assert one is not None
    assert other is not None
    assert one["data"].keys().isdisjoint(other["data"])


def test_nothing_without_monitoring_or_stable_version(service: Any) -> None:
    unmonitored = service(DRIFT)
    del unmonitored["spec"]["monitoring"]
    assert build_rules(unmonitored) is None
    assert build_rules(service(DRIFT, version=None)) is None
