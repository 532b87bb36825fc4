"""The rules about drift, asked by Prometheus' own evaluator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.monitoring.promql import literal, matchers, number, quoted
from modelmill.monitoring.rules.drift import DRIFTED, FINE, SHARE
from modelmill.monitoring.rules.psi import FEATURES
from tests.unit.monitoring.evaluator import (
    NAME,
    PODS,
    REVISION,
    VERSION,
    Evaluator,
    Feature,
    Pod,
    changed,
    expect,
    firing,
    identity,
    near,
    psi,
)

DRIFT = {"windowSeconds": 600, "minRows": 500, "psiThreshold": "0.2", "minShare": "0.3", "forSeconds": 120}
HALVES = {"0": 0.5, "1": 0.5}
STEADY = Feature({"0": 50, "1": 50}, HALVES, importance=0.5)
SHIFTED = Feature({"0": 10, "1": 90}, HALVES, importance=0.5)
SHIFTS = Feature({"0": changed(50, 10), "1": changed(50, 90)}, HALVES, importance=0.5)
"""As STEADY for 15 minutes, then as SHIFTED; with a window of ten minutes all of it is so after 25."""


@pytest.fixture
def evaluator(promtool: str, tmp_path: Path, service: Any) -> Evaluator:
    return Evaluator(promtool, tmp_path, service(DRIFT))


def drifting(**features: Feature) -> Pod:
    return Pod(features, STEADY)


def test_prometheus_accepts_the_rules(evaluator: Evaluator) -> None:
    done = evaluator.run("check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stderr
    assert f"{len(evaluator.group['rules'])} rules found" in done.stdout


def test_psi_over_all_pods_less_what_chance_adds(evaluator: Evaluator) -> None:
    # Two pods that are each further off, or less, than both together: 300 and 900 of 1200 rows.
    pods = [
        Pod({"Horsepower": replace(STEADY, counts={"0": 10, "1": 50})}, name=PODS[0]),
        Pod({"Horsepower": replace(STEADY, counts={"0": 20, "1": 40})}, name=PODS[1]),
    ]
    wanted = psi({"0": 300, "1": 900}, HALVES, 10_000)
    assert wanted == pytest.approx(0.27465 - (1 / 1200 + 1 / 10_000), abs=1e-3)
    labels = identity(feature="Horsepower")
    evaluator.check(
        pods, near(FEATURES.psi, wanted, labels=labels), near(FEATURES.rows, 1200, labels=labels, within=1e-6)
    )


@pytest.mark.parametrize("rows_a_minute", [50, 10_000])
def test_windows_of_500_and_of_100000_rows_of_the_same_distribution_have_no_psi(
    evaluator: Evaluator, rows_a_minute: int
) -> None:
    tenths = {str(i): 0.1 for i in range(10)}
    # As far off as chance makes 500 rows: a PSI of about 0.02.
    live = {name: 0.1 * rows_a_minute * (1.14 if int(name) % 2 else 0.86) for name in tenths}
    wanted = psi({name: 10 * a for name, a in live.items()}, tenths, 10_000)
    assert wanted < 0.02
    evaluator.check(
        [drifting(Horsepower=Feature(live, tenths))],
        near(FEATURES.psi, wanted, labels=identity(feature="Horsepower")),
        expect(f"max({DRIFTED})", 0),
        firing("", 0, 30),
    )


def test_a_window_of_50_rows_is_not_judged(evaluator: Evaluator) -> None:
    few = Feature({"0": 5}, HALVES)
    evaluator.check(
        [Pod({"Horsepower": few}, few)],
        expect(f"count({FEATURES.psi})", 1),
        expect(DRIFTED),
        expect(SHARE),
        expect("ALERTS"),
    )


def test_a_bin_without_a_series_and_missing_values_count_as_they_should(evaluator: Evaluator) -> None:
    reference = {"0": 0.4, "1": 0.4, "2": 0.1, "missing": 0.1}
    feature = Feature({"0": 50, "1": 50, "missing": 10}, reference)
    wanted = psi({"0": 500, "1": 500}, {"0": 0.4, "1": 0.4, "2": 0.1}, 10_000, missing=0.1)
    labels = identity(feature="Horsepower")
    evaluator.check(
        [drifting(Horsepower=feature)],
        near(FEATURES.psi, wanted, labels=labels),
        near(FEATURES.rows, 1000, labels=labels, within=1e-6),
    )


def test_without_any_row_nothing_is_judged(evaluator: Evaluator) -> None:
    idle = Feature({"0": 0, "1": 0}, HALVES)
    evaluator.check([Pod({"Horsepower": idle}, idle)], expect(FEATURES.psi), expect(DRIFTED), expect("ALERTS"))


def test_drift_of_an_important_feature_is_told_after_its_time(evaluator: Evaluator) -> None:
    measured = f"{psi({'0': 100, '1': 900}, HALVES, 10_000):.3f}"
    alert = {
        "exp_labels": {
            "namespace": "ml",
            "inferenceservice": NAME,
            "model_version": VERSION,
            "severity": "warning",
            "modelmill_kind": "Drift",
        },
        "exp_annotations": {
            "summary": f"What is asked of {NAME} has drifted from the training data of {VERSION}.",
            "description": f"Horsepower differs most, with a PSI of {measured}; the limits are 0.2 and 0.3 of the "
            "importance, over 600 s.",
            "feature": "Horsepower",
            "value": measured,
            "runbook_url": "docs/operations/alerts.md#modelmilldrift",
        },
    }
    shifted = f"max({DRIFTED})"
    evaluator.check(
        [drifting(Horsepower=SHIFTS, Weight=STEADY)],
        expect(shifted, 0, minute=15),
        expect(shifted, 0, minute=19),
        expect(shifted, 1, minute=22),
        firing("", 0, 21),
        firing('alertname="ModelmillSkew"', 0, 30),
        alerts=[{"eval_time": "30m", "alertname": "ModelmillDrift", "exp_alerts": [alert]}],
    )


def test_a_shift_of_an_unimportant_feature_is_none(evaluator: Evaluator) -> None:
    features = {
        "Horsepower": STEADY,
        "Colour": replace(SHIFTS, importance=0.1),
        "Weight": replace(STEADY, importance=0.4),
    }
    evaluator.check(
        [drifting(**features)],
        near(SHARE, 0.1, labels=identity()),
        expect(f"max({DRIFTED})", 0),
        firing("", 0, 35),
    )


def test_three_of_ten_equal_features_are_enough(evaluator: Evaluator) -> None:
    tenth = replace(STEADY, importance=0.1)
    features = {f"x{i}": replace(SHIFTS, importance=0.1) if i < 3 else tenth for i in range(10)}
    evaluator.check([drifting(**features)], firing('alertname="ModelmillDrift"', 1, 35))


def test_features_that_are_not_judged_have_no_share(evaluator: Evaluator) -> None:
    rare = Feature({"0": 1, "missing": 99}, {"0": 0.01, "missing": 0.99}, importance=0.8)
    features = {"Rare": rare, "Horsepower": replace(SHIFTS, importance=0.1), "Year": replace(STEADY, importance=0.1)}
    evaluator.check(
        [drifting(**features)], near(SHARE, 0.5, labels=identity()), firing('alertname="ModelmillDrift"', 1, 35)
    )


def test_a_shift_of_the_prediction_alone_is_drift(evaluator: Evaluator) -> None:
    worst = "count(ALERTS)"
    measured = f"{psi({'0': 100, '1': 900}, HALVES, 10_000):.3f}"
    alert = {
        "exp_labels": {
            "namespace": "ml", "inferenceservice": NAME, "model_version": VERSION, "severity": "warning",
            "modelmill_kind": "Drift",
        },
        "exp_annotations": {
            "summary": f"What is asked of {NAME} has drifted from the training data of {VERSION}.",
            "description": f"prediction differs most, with a PSI of {measured}; the limits are 0.2 and 0.3 of the "
            "importance, over 600 s.",
            "feature": "prediction",
            "value": measured,
            "runbook_url": "docs/operations/alerts.md#modelmilldrift",
        },
    }  # fmt: skip
    evaluator.check(
        [Pod({"Horsepower": STEADY}, SHIFTS)],
        expect(worst, 1, minute=30),
        alerts=[{"eval_time": "30m", "alertname": "ModelmillDrift", "exp_alerts": [alert]}],
    )


def test_what_was_never_fine_is_skew(evaluator: Evaluator) -> None:
    evaluator.check(
        [drifting(Horsepower=SHIFTED)],
        firing('alertname="ModelmillSkew"', 1, 30),
        firing('alertname="ModelmillDrift"', 0, 30),
    )


def test_skew_that_was_fine_once_is_drift_the_next_time(evaluator: Evaluator) -> None:
    # 90:10 at first, halves from minute 10 to 25, 90:10 again.
    counts = {
        "0": "0+10x10 150+50x14 810+10x60",
        "1": "0+90x10 950+50x14 1740+90x60",
    }
    # Ten minutes to fill, in which the pace goes over: minutes 20 to 25 are fine.
    evaluator.check(
        [drifting(Horsepower=Feature(counts, HALVES))],
        firing('alertname="ModelmillSkew"', 1, 10),
        firing("", 0, 24),
        firing('alertname="ModelmillSkew"', 0, 40),
        firing('alertname="ModelmillDrift"', 1, 40),
    )


def test_a_new_revision_begins_with_nothing_known(promtool: str, tmp_path: Path, service: Any) -> None:
    parent = service(DRIFT)
    parent["status"]["stable"]["revision"] = "abcdefabcd"
    before = {"series": f"{FINE}{identity(revision=REVISION)}", "values": "1+0x40"}
    pod = replace(drifting(Horsepower=SHIFTED), name=f"{NAME}-abcdefabcd-7c9d8b6f5-abcde")
    Evaluator(promtool, tmp_path, parent).check([pod], firing('alertname="ModelmillSkew"', 1, 30), also=[before])


def test_left_out_the_time_is_the_window(promtool: str, tmp_path: Path, service: Any) -> None:
    patient = Evaluator(promtool, tmp_path, service({**DRIFT, "forSeconds": None}))
    # It has drifted from about minute 20 on; the window is ten minutes.
    patient.check([drifting(Horsepower=SHIFTS)], firing("", 0, 28), firing('alertname="ModelmillDrift"', 1, 35))


def test_a_restart_of_all_containers_is_no_drop_and_ends_no_alert(evaluator: Evaluator) -> None:
    # The counters begin anew at minute 30, and for two minutes nobody answers.
    counts = {
        "0": "0+50x15 760+10x12 _x2 10+10x20",
        "1": "0+50x15 840+90x12 _x2 90+90x20",
    }
    feature = Feature(counts, HALVES)
    evaluator.check(
        [drifting(Horsepower=feature)],
        *(firing('alertname="ModelmillDrift"', 1, minute) for minute in (28, 29, 30, 31, 32, 40)),
    )


def test_a_pod_in_the_place_of_another_ends_no_alert(evaluator: Evaluator) -> None:
    def pod(name: str, counts: dict[str, float | str], seen: str) -> Pod:
        # The gauges of both end or begin with the pod.
        found = Pod({"Horsepower": Feature(counts, HALVES, importance=None)}, STEADY, name=name, reference_rows=None)
        gauges = {"modelmill_reference_rows": seen, 'modelmill_feature_importance_ratio{feature="Horsepower"}': seen}
        return replace(found, more={one: values.replace("V", "10000") for one, values in gauges.items()})

    old = pod(PODS[0], {"0": "0+50x15 760+10x12 stale", "1": "0+50x15 840+90x12 stale"}, "V+0x28 stale")
    new = pod(PODS[1], {"0": "_x31 10+10x20", "1": "_x31 90+90x20"}, "_x31 V+0x20")
    evaluator.check([old, new], *(firing('alertname="ModelmillDrift"', 1, minute) for minute in range(27, 40)))


def test_of_servers_of_an_earlier_release_all_features_weigh_alike(evaluator: Evaluator) -> None:
    steady, shifts = replace(STEADY, importance=None), replace(SHIFTS, importance=None)
    old = Pod({"Horsepower": shifts, "Weight": steady, "Year": steady, "Origin": steady}, steady, reference_rows=None)
    wanted = psi({"0": 100, "1": 900}, HALVES, 10_000)
    evaluator.check(
        [old],
        near(f'{FEATURES.psi}{{feature="Horsepower"}}', wanted, labels=identity(feature="Horsepower")),
        near(SHARE, 0.25, labels=identity()),
        expect("ALERTS"),
    )


def test_while_servers_are_brought_up_to_date_both_count(evaluator: Evaluator) -> None:
    old = Pod({"Horsepower": replace(SHIFTS, importance=None)}, reference_rows=None)
    new = Pod({"Horsepower": STEADY}, name=PODS[1])
    wanted = psi({"0": 600, "1": 1400}, HALVES, 10_000)
    evaluator.check([old, new], near(FEATURES.psi, wanted, labels=identity(feature="Horsepower")))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"name": f"{NAME}-ffffffffff-7c9d8b6f5-abcde", "version": "fuel-economy-2"}, id="another version"),
        pytest.param({"name": f"{NAME}-staging-{REVISION}-7c9d8b6f5-abcde"}, id="another service of the version"),
        pytest.param({"name": f"{NAME}-aaaaaaaaaa-5d4c3b2a1-abcde"}, id="another revision of the version"),
        pytest.param({"namespace": "other"}, id="a namesake in another namespace"),
    ],
)
def test_others_are_not_counted(evaluator: Evaluator, other: dict[str, str]) -> None:
    stranger = Pod({"Horsepower": replace(SHIFTED, counts={"0": 5000, "1": 0})}, SHIFTED, **other)  # type: ignore[arg-type]
    wanted = psi({"0": 500, "1": 500}, HALVES, 10_000)
    evaluator.check(
        [drifting(Horsepower=STEADY), stranger],
        near(FEATURES.psi, wanted, labels=identity(feature="Horsepower")),
        expect("ALERTS"),
    )


@pytest.mark.parametrize(
    "hostile", ['v"} or vector(1) or up{a="', "v\\", "v\n# comment", "{{ .Value }}", "v` or vector(1)"]
)
def test_text_cannot_leave_its_quotes(promtool: str, tmp_path: Path, service: Any, hostile: str) -> None:
    evaluator = Evaluator(promtool, tmp_path, service(DRIFT, version=hostile))
    done = evaluator.run("check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stderr
    evaluator.check([drifting(Horsepower=SHIFTED)], expect(FEATURES.psi), expect(FEATURES.rows), expect("ALERTS"))


def test_no_text_of_a_user_is_in_a_template(promtool: str, tmp_path: Path, service: Any) -> None:
    evaluator = Evaluator(promtool, tmp_path, service(DRIFT, name="n-a-m-e", namespace="s-p-a-c-e", version="v-1"))
    for rule in evaluator.group["rules"]:
        texts = str([rule["labels"], rule["annotations"]]) if "alert" in rule else ""
        assert not any(text in texts for text in ("n-a-m-e", "s-p-a-c-e", "v-1"))


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
    assert matchers({"a": 'x"'}, {"b": "y.+"}, {"c": "z"}) == '{a="x\\"",b=~"y.+",c!="z"}'
    assert literal("a.b") == "a\\.b"
    assert number("1e-1") == "0.1"
    with pytest.raises(ValueError, match="could not convert"):
        number("0.2 or vector(1)")
