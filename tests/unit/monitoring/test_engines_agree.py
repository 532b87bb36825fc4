"""Both engines say the same of the same counters: generated histories, judged by Prometheus' rules and by the operator."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelmill.api.base import Alert
from modelmill.api.monitoring import Monitoring
from modelmill.api.objects import read_model_version
from modelmill.contracts.counts import History as Kept
from modelmill.contracts.verdict import Limits, Verdict, judge
from modelmill.monitoring.evaluating import Evaluation, Memory, alerts_of, evaluate, memory_of
from modelmill.monitoring.holdout import holdout_of
from modelmill.monitoring.observing import Observer
from modelmill.monitoring.reading import Reading, needed_lines, read
from tests.support import objects as o
from tests.unit.monitoring.counted import CARS, pod
from tests.unit.monitoring.evaluator import NAME, PODS, REVISION, VERSION, Evaluator, always, changed, model_version

HISTORIES = int(os.environ.get("MODELMILL_HISTORIES", "24"))
WINDOW, LASTING, AT, MINUTES = 600, 120, 12, 40
LIMITS = Limits()
NEAR = (0.85, 1.18)
"""A window of Prometheus ends at the moment, one of the operator with a slot: what is as near to a limit may differ."""
SPEC: dict[str, Any] = {
    "drift": {"windowSeconds": WINDOW, "forSeconds": LASTING},
    "quality": {"windowSeconds": WINDOW},
    "staleness": {"maxAgeSeconds": 1800},
}
METRICS = {"accuracy": "0.9"}


@dataclass
class History:
    """Counters of two pods: a minute before and after a change, by series. gauges: of both pods."""

    counters: dict[str, tuple[float, float]] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)

    def count(self, metric: str, before: float, after: float, **labels: str) -> None:
        self.counters[_series(metric, labels)] = (round(float(before), 3), round(float(after), 3))

    def tell(self, metric: str, value: float, **labels: str) -> None:
        self.gauges[_series(metric, labels)] = float(value)

    def inputs(self) -> list[dict[str, str]]:
        """Return what promtool is given: the second pod counts half as much as the first one."""
        found = []
        for place, name in enumerate(PODS):
            share = 1 / (1 + place)
            for series, (before, after) in self.counters.items():
                values = changed(round(before * share, 6), round(after * share, 6), AT, MINUTES)
                found.append({"series": _of_pod(series, name), "values": values})
            found += [
                {"series": _of_pod(series, name), "values": always(value, MINUTES)}
                for series, value in self.gauges.items()
            ]
        return found

    def page(self, place: int, minute: int) -> Reading:
        """Return what a pod tells after so many minutes."""
        share = 1 / (1 + place)
        lines = [
            f"{series} {(before * min(minute, AT) + after * max(minute - AT, 0)) * share!r}"
            for series, (before, after) in self.counters.items()
        ]
        lines += [f"{series} {value!r}" for series, value in self.gauges.items()]
        needed = needed_lines()
        needed.feed("\n".join([*lines, ""]).encode())
        return read(needed.text())


def _series(metric: str, labels: Mapping[str, str]) -> str:
    told = {"model_name": NAME, "model_version": VERSION, **labels}
    return f"{metric}{{{','.join(f'{name}={json.dumps(text)}' for name, text in told.items())}}}"


def _of_pod(series: str, name: str) -> str:
    return series.replace("{", f'{{namespace="ml",pod="{name}",', 1)


def history(seed: int) -> History:
    """Return a history: some features, of which some move, break or stay; labels; requests; an age."""
    random = np.random.default_rng(seed)
    made = History()
    made.tell("modelmill_reference_rows", float(random.choice([300, 2000, 20_000])))
    made.tell("modelmill_model_trained_timestamp_seconds", float(random.choice([1, 1000])))
    rate = float(random.choice([20, 120, 1000]))
    features = int(random.integers(1, 6))
    skewed, faulty = bool(random.random() < 0.3), bool(random.random() < 0.4)
    importance = random.dirichlet(np.ones(features))
    for place in range(features):
        _feature(made, f"f{place}", float(importance[place]), rate, random, skewed, faulty)
    moved = float(random.choice([0, 0, 0, 0.5]))
    _bins(made, "modelmill_prediction", 5, rate, moved if skewed else 0.0, moved, random, {})
    labels = float(random.choice([0, 3, 40]))
    wrong = random.choice([0.05, 0.1, 0.5])
    made.count("modelmill_feedback_total", labels * 0.1, labels * wrong, result="wrong")
    made.count("modelmill_feedback_total", labels * 0.9, labels * (1 - wrong), result="correct")
    failing = random.choice([0, 0, 0.3])
    made.count("modelmill_requests_total", rate, rate * (1 - failing), code="200")
    made.count("modelmill_requests_total", 0, rate * failing, code="500")
    return made


def _feature(
    made: History,
    name: str,
    importance: float,
    rate: float,
    random: np.random.Generator,
    skewed: bool,
    faulty: bool,
) -> None:
    labels = {"feature": name}
    made.tell("modelmill_feature_importance_ratio", importance, **labels)
    words = random.random() < 0.3
    moved = float(random.choice([0, 0, 0.1, 0.5, 0.8]))
    fault = str(random.choice(["", "missing", "invalid", "far", "unit", "constant", "vanished"])) if faulty else ""
    missing = 0.2 if fault == "missing" else 0.0
    known = random.choice([0.0, 0.3])
    _bins(
        made,
        "modelmill_feature",
        4,
        rate,
        moved if skewed else 0.0,
        moved,
        random,
        labels,
        words,
        fault,
        known,
        missing,
    )
    if fault == "invalid":
        made.count("modelmill_feature_invalid_total", 0, rate * 0.3, reason="missing", **labels)
    if words:
        return
    far = rate * 0.3 if fault == "far" else 0.0
    made.count("modelmill_feature_out_of_range_total", 0, far, distance="far", **labels)
    mean, spread = 17.0, 0.3
    live_mean = mean + (3.0 if fault == "unit" else 0.1)
    live_spread = 0.0001 if fault == "constant" else spread
    rows = rate * (1 - known)
    after = rate * (1 - known - missing)
    made.count("modelmill_feature_magnitude_count", rows, after, **labels)
    made.count("modelmill_feature_magnitude_sum", rows * mean, after * live_mean, **labels)
    squares = float(rows * (mean**2 + spread**2)), float(after * (live_mean**2 + live_spread**2))
    made.counters[_series("modelmill_feature_magnitude_squares_total", labels)] = squares
    made.tell("modelmill_feature_reference_magnitude_mean", mean, **labels)
    made.tell("modelmill_feature_reference_magnitude_deviation", spread, **labels)


def _bins(
    made: History,
    metric: str,
    bins: int,
    rate: float,
    skewed: float,
    moved: float,
    random: np.random.Generator,
    labels: dict[str, str],
    words: bool = False,
    fault: str = "",
    known: float = 0.0,
    missing: float = 0.0,
) -> None:
    shares = random.dirichlet(np.full(bins, 4.0)) * (1 - known)
    names = [f"w{place}" for place in range(bins - 1)] + ["other"] if words else [str(place) for place in range(bins)]
    target = np.zeros(bins)
    target[int(random.integers(bins))] = 1 - known
    before, after = (shares * (1 - part) + target * part for part in (skewed, moved))
    if fault == "constant":
        after = target
    if fault == "vanished" and words:
        after[int(np.argmax(after))] = 0.0
    scale = (1 - known - missing) / max(float(after.sum()), 1e-9)
    for name, share, first, second in zip(names, shares, before, after * scale, strict=True):
        made.count(f"{metric}_bin_total", rate * first, rate * float(second), bin=name, **labels)
        made.tell(f"{metric}_reference_ratio", float(share), bin=name, **labels)
    made.count(f"{metric}_bin_total", rate * known, rate * (known + missing), bin="missing", **labels)
    made.tell(f"{metric}_reference_ratio", float(known), bin="missing", **labels)


class Pages:
    """The pages of both pods at a minute."""

    def __init__(self, told: History) -> None:
        self.told, self.minute = told, 0

    async def counted(self, key: Any, pods: Any) -> Mapping[str, Reading]:
        return {name: self.told.page(place, self.minute) for place, name in enumerate(PODS)}

    def forget(self, key: Any) -> None:
        """Nothing is late."""


async def judged(told: History) -> tuple[Evaluation, list[Alert], Kept]:
    """Return what the operator says at the last minute, and which of its alerts fire."""
    monitoring = Monitoring.model_validate(SPEC)
    pages = Pages(told)
    observer = Observer(pages)
    holdout = holdout_of(read_model_version(model_version(METRICS)))
    memory, alerts = Memory(), list[Alert]()
    # Prometheus' clock of a test begins at 0.
    begin = o.NOW - timedelta(seconds=o.NOW.timestamp())
    for minute in range(MINUTES):
        pages.minute = minute
        now = begin + timedelta(minutes=minute)
        pods = [pod(name, begin) for name in PODS]
        seen = await observer.observed(CARS, monitoring, (REVISION, VERSION), pods, None, now)
        found = evaluate(monitoring, seen.history, holdout, memory_of(memory.document()), now.timestamp())
        memory = found.memory
        alerts = alerts_of("u1", VERSION, found, alerts, now.timestamp())
    return found, alerts, seen.history


def doubtful(kept: Kept) -> bool:
    """Tell whether the verdict is another one with limits that are a little off, or of a window that is a slot shorter."""
    counts = kept.rings["drift"].total((MINUTES - 1) * 60)

    def said(one: Verdict) -> tuple[Any, ...]:
        problems = sorted((problem.feature, problem.kind) for problem in one.problems)
        shifted = [subject.shifted for subject in (*one.features, *([one.prediction] if one.prediction else ()))]
        return one.drifted, problems, shifted

    kinds = {
        json.dumps(
            said(judge(kept.reference, counts, Limits(LIMITS.psi * off, LIMITS.share * off, round(LIMITS.rows * rows))))
        )
        for off in (1, *NEAR)
        for rows in (1, *NEAR)
    }
    return len(kinds) > 1


async def test_both_engines_say_the_same_of_generated_histories(promtool: str, tmp_path: Path, service: Any) -> None:
    parent = service()
    parent["spec"]["monitoring"] = SPEC
    evaluator = Evaluator(promtool, tmp_path, parent, model_version(METRICS))
    tests, said = [], list[str]()
    for seed in range(HISTORIES):
        told = history(seed)
        found, alerts, kept = await judged(told)
        if doubtful(kept):
            continue
        kinds = sorted(
            {
                f"{alert.kind}/{alert.feature}/{alert.value}" if alert.kind == "DataQuality" else alert.kind
                for alert in alerts
            }
        )
        said += kinds or ["-"]
        tests.append(_expected(told, found, alerts, seed))
    assert len(tests) > HISTORIES / 2
    assert {"-", "Drift", "Skew", "Quality", "Errors", "Staleness"} <= set(said), (
        "the histories have too little in them"
    )
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yaml").write_text(json.dumps(document))
    done = evaluator.run("test", "rules", "test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def _expected(told: History, found: Evaluation, alerts: list[Alert], seed: int) -> dict[str, Any]:
    last = f"{MINUTES - 1}m"
    kinds = sorted({alert.kind for alert in alerts} - {"DataQuality"})
    firing = [{"labels": f'{{alertname="Modelmill{kind}"}}', "value": 1} for kind in kinds]
    problems = sorted({(one.feature, one.kind) for one in found.verdict.problems})
    wrong = [{"labels": f'{{feature="{feature}",problem="{kind}"}}', "value": 1} for feature, kind in problems]
    data = 'alertname="ModelmillDataQuality"'
    return {
        "name": f"history {seed}",
        "interval": "1m",
        "input_series": told.inputs(),
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing",alertname!="ModelmillDataQuality"})',
                "eval_time": last,
                "exp_samples": firing,
            },
            {
                "expr": f'count by (feature, problem) (ALERTS{{alertstate="firing",{data}}})',
                "eval_time": last,
                "exp_samples": wrong,
            },
        ],
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_history_is_the_same_each_time(seed: int) -> None:
    assert history(seed).counters == history(seed).counters
