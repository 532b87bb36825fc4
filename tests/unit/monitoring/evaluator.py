"""Histories of pods' counters, and Prometheus' own evaluator, which runs the rules of a service on them."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelmill.api.objects import read_inference_service, read_model_version
from modelmill.monitoring.holdout import holdout_of
from modelmill.monitoring.rules.config_map import build_config_map
from modelmill.monitoring.rules.group import build_group
from tests.support import objects as o

NAME = "fuel-economy"
VERSION = "fuel-economy-1"
REVISION = "0123456789"
RUNBOOKS = "docs/operations/alerts.md"
PODS = (f"{NAME}-{REVISION}-7c9d8b6f5-abcde", f"{NAME}-{REVISION}-7c9d8b6f5-fghij")
MINUTES = 40

Samples = list[dict[str, str]]


def steadily(a_minute: float, minutes: int = MINUTES) -> str:
    """A counter from 0, one sample a minute."""
    return f"0+{a_minute}x{minutes}"


def changed(before: float, after: float, at: int = 15, minutes: int = MINUTES) -> str:
    """A counter whose pace changes after the minute `at`."""
    return f"0+{before}x{at} {before * at + after}+{after}x{minutes - at - 1}"


def always(value: float, minutes: int = MINUTES) -> str:
    """A gauge that does not change, one sample a minute."""
    return f"{value}+0x{minutes}"


@dataclass(frozen=True)
class Feature:
    """Values of one feature, or of the prediction, that one pod counts.

    counts: of each bin, a number a minute or samples. reference: share of each bin in training. magnitudes: mean and standard
    deviation, live and trained. far, refused: a minute.
    """

    counts: Mapping[str, float | str]
    reference: Mapping[str, float]
    importance: float | None = 1.0
    magnitudes: tuple[float, float, float, float] | None = None
    far: float = 0
    refused: float = 0

    def series(self, name: str | None, labels: str) -> Samples:
        """Return its input series; name: None for the prediction."""
        what = "prediction" if name is None else "feature"
        more = labels if name is None else f'{labels},feature="{name}"'
        found = {
            f'modelmill_{what}_bin_total{{{more},bin="{bin_}"}}': a if isinstance(a, str) else steadily(a)
            for bin_, a in self.counts.items()
        }
        found |= {
            f'modelmill_{what}_reference_ratio{{{more},bin="{bin_}"}}': always(a) for bin_, a in self.reference.items()
        }
        if name is not None and self.importance is not None:
            found[f"modelmill_feature_importance_ratio{{{more}}}"] = always(self.importance)
        if self.refused:
            found[f'modelmill_feature_invalid_total{{{more},reason="missing"}}'] = steadily(self.refused)
        if self.far:
            found[f'modelmill_feature_out_of_range_total{{{more},distance="far"}}'] = steadily(self.far)
        if self.magnitudes is not None:
            mean, deviation, trained, trained_deviation = self.magnitudes
            rows = sum(a for bin_, a in self.counts.items() if bin_ != "missing" and not isinstance(a, str))
            found |= {
                f"modelmill_feature_magnitude_count{{{more}}}": steadily(rows),
                f"modelmill_feature_magnitude_sum{{{more}}}": steadily(rows * mean),
                f"modelmill_feature_magnitude_squares_total{{{more}}}": steadily(rows * (mean**2 + deviation**2)),
                f"modelmill_feature_reference_magnitude_mean{{{more}}}": always(trained),
                f"modelmill_feature_reference_magnitude_deviation{{{more}}}": always(trained_deviation),
            }
        return [{"series": series, "values": values} for series, values in found.items()]


@dataclass(frozen=True)
class Pod:
    """What a pod tells. reference_rows: None for a server of an earlier release."""

    features: Mapping[str, Feature] = field(default_factory=dict)
    prediction: Feature | None = None
    name: str = PODS[0]
    version: str = VERSION
    namespace: str = "ml"
    reference_rows: int | None = 10_000
    more: Mapping[str, str] = field(default_factory=dict)

    def series(self) -> Samples:
        """Return its input series."""
        labels = f'namespace="{self.namespace}",pod="{self.name}",model_name="{NAME}",model_version="{self.version}"'
        found = [one for name, feature in self.features.items() for one in feature.series(name, labels)]
        if self.prediction is not None:
            found += self.prediction.series(None, labels)
        if self.reference_rows is not None:
            rows = always(self.reference_rows)
            found.append({"series": f"modelmill_reference_rows{{{labels}}}", "values": rows})
        for name, values in self.more.items():
            metric, _, own = name.partition("{")
            found.append({"series": f"{metric}{{{labels}{',' if own else ''}{own.rstrip('}')}}}", "values": values})
        return found


def psi(
    counts: Mapping[str, float], reference: Mapping[str, float], reference_rows: float, missing: float = 0.0
) -> float:
    """The definition, by the counts of a whole window; counts and reference are without the bin `missing`."""
    n, bins, trained = sum(counts.values()), len(reference), reference_rows * (1 - missing)
    total = 0.0
    for name, share in reference.items():
        q = (counts.get(name, 0) + 0.5) / (n + 0.5 * bins)
        p = (share / (1 - missing) * trained + 0.5) / (trained + 0.5 * bins)
        total += (q - p) * math.log(q / p)
    return max(total - (bins - 1) * (1 / n + 1 / trained), 0.0)


def identity(**more: str) -> str:
    """Labels of what is recorded of the service."""
    labels = {"namespace": "ml", "inferenceservice": NAME, "model_version": VERSION, **more}
    return "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


def expect(expression: str, *values: float, minute: float = 30, labels: str = "{}") -> dict[str, Any]:
    """Expect the samples of an expression, all with the same labels."""
    samples = [{"labels": labels, "value": value} for value in values]
    return {"expr": expression, "eval_time": f"{minute:g}m", "exp_samples": samples}


def near(metric: str, value: float, *, minute: float = 30, labels: str, within: float = 1e-9) -> dict[str, Any]:
    """Expect one sample of `metric`, equal up to rounding."""
    return expect(f"abs({metric} - {value!r}) < bool {within}", 1, labels=labels, minute=minute)


def firing(expression: str, count: int, minute: float) -> dict[str, Any]:
    """Expect so many alerts of a selector like `{alertname="ModelmillDrift"}` to fire."""
    state = f'count(ALERTS{{alertstate="firing",{expression}}}) or vector(0)'
    return expect(state, count, minute=minute)


class Evaluator:
    """Runs `promtool test rules` on the rules of one service."""

    def __init__(
        self, promtool: str, folder: Path, parent: dict[str, Any], version: dict[str, Any] | None = None
    ) -> None:
        self.promtool = promtool
        self.folder = folder
        service = read_inference_service(parent)
        group = build_group(service, holdout_of(read_model_version(version)) if version is not None else None, RUNBOOKS)
        assert group is not None
        self.group = group
        (content,) = build_config_map(service, group)["data"].values()
        (folder / "rules.yaml").write_text(content)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.promtool, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)

    def check(
        self,
        pods: Sequence[Pod],
        *expected: dict[str, Any],
        alerts: Sequence[dict[str, Any]] = (),
        also: Sequence[dict[str, str]] = (),
    ) -> None:
        """Expect values of expressions and alerts, evaluated once a minute. also: other input series."""
        one = {
            "interval": "1m",
            "input_series": [*also, *(series for pod in pods for series in pod.series())],
            "promql_expr_test": list(expected),
            "alert_rule_test": list(alerts),
        }
        document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [one]}
        (self.folder / "test.yaml").write_text(json.dumps(document))
        done = self.run("test", "rules", "test.yaml")
        assert done.returncode == 0, done.stdout + done.stderr


def model_version(metrics: Mapping[str, str], holdout_rows: int = 1000) -> dict[str, Any]:
    """A version with these metrics on its hold-out."""
    version = o.model_version(VERSION)
    lineage = {"trainingJob": "cars", "run": 1, "runUid": "u-1", "reason": "Spec"}
    rows = {"dataDigest": o.DIGEST, "dataRows": 9000, "holdoutRows": holdout_rows}
    version["spec"] |= {"metrics": dict(metrics), "lineage": lineage | rows}
    return version
