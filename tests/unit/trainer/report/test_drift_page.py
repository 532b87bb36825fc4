"""The page of a drift report, from counts that were made up."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelmill.contracts.artifact import CATEGORICAL, FeatureProfile, Profile
from modelmill.contracts.counts import Counts, FeatureReference, History, Key, Reference, Ring, decode, encode
from modelmill.contracts.drift_report import ReportSpec
from modelmill.contracts.verdict import Holdout
from modelmill_trainer.report.drift_page import render
from modelmill_trainer.report.environment import MAX_BYTES
from tests.support.counted import CREATED, END, number, top, window

HOSTILE = "<script>alert('&\")</script>"
EDGES = tuple(float(edge) for edge in range(1, 10))
NUMBER = FeatureProfile("numeric", (0.098,) * 10, edges=EDGES, missing_ratio=0.02)


def spec(**changes: Any) -> ReportSpec:
    told = {"namespace": "ml", "service": "cars", "version": "cars-1", "uri": "s3://a/b.html", "created": CREATED}
    return ReportSpec(**{**told, "reason": "asked", **changes})


def page(history: History | None, profile: Profile | None = None, **changes: Any) -> str:
    return render(spec(**changes), history, profile, ["A note."])


def verdict(text: str) -> tuple[str, str]:
    found = re.search(r'<h2>Verdict</h2>\s*<p class="(\w+)">([^<]*)</p>', text)
    assert found is not None
    return found[1], found[2]


def test_nothing_was_counted() -> None:
    text = page(None)
    assert verdict(text) == ("neutral", "No row came in the window.")
    assert "A note." in text
    assert "no pod has told what it watches" in text
    assert "No label came in the window." in text
    assert "<svg" not in text


def test_rows_like_those_of_training() -> None:
    text = page(window({"power": number()}, 6000), Profile({"power": NUMBER}, NUMBER, 4000))
    style, words = verdict(text)
    assert (style, words[:8]) == ("good", "No drift")
    assert "1 to 2" in text
    assert "below 1" in text
    assert text.count("<svg") == 4  # two over time, the prediction and the feature


def test_rows_that_shifted() -> None:
    style, words = verdict(page(window(top(["power"]), 6000)))
    assert (style, words[:7]) == ("bad", "Drifted")
    assert "100% of the importance" in words


def test_too_few_rows() -> None:
    style, words = verdict(page(window(top(["power"]), 60)))
    assert style == "neutral"
    assert "500 of a feature" in words


def test_what_is_wrong_with_the_data_comes_before_drift() -> None:
    text = page(window({"power": {**number(), "missing": 0.5}}, 6000))
    style, words = verdict(text)
    assert (style, words[:4]) == ("bad", "Stop")
    assert "34% are missing, 2% in training" in text


def test_counts_are_taken_as_the_operator_leaves_them() -> None:
    history = window({"power": number()}, 6000)
    assert page(decode(encode(history))) == page(history)


LABELS: dict[Key, float] = {
    ("label", "correct"): 150.0,
    ("label", "wrong"): 50.0,
    ("delay", "count"): 200.0,
    ("delay", "sum"): 200.0 * 7200,
    ("predictions",): 1000.0,
}


@pytest.mark.parametrize(("error", "style"), [(0.05, "bad"), (0.3, "good"), (None, "neutral")])
def test_quality_by_labels(error: float | None, style: str) -> None:
    holdout = Holdout(error, 1e-5, classes=True) if error is not None else None
    text = page(window({"power": number()}, 6000, LABELS), holdout=holdout)
    found = re.search(r'<h2>Quality by labels</h2>\s*<p class="(\w+)">', text)
    assert found is not None
    assert found[1] == style
    for told in ("75.00%", "20.0%", "2 hours"):
        assert told in text


def test_a_bin_that_is_called_like_another_one_is_told_apart() -> None:
    shares = {"=other": 0.5, "b": 0.3, "other": 0.2, "missing": 0.0}
    ring = Ring(300.0).added(END, {("bin", "kind", name): 1000.0 for name in shares})
    reference = Reference({"kind": FeatureReference(shares, 1.0)}, {}, 4000.0)
    profile = FeatureProfile(CATEGORICAL, (0.5, 0.3), categories=("other", "b"), other_ratio=0.2)
    text = page(History("r", "cars-1", reference, {"drift": ring}), Profile({"kind": profile}, None, 4000))
    assert ">other</td>" in text
    assert ">(others)</td>" in text


def test_names_are_escaped_and_nothing_is_loaded() -> None:
    shares = {HOSTILE: 0.5, "b": 0.5, "missing": 0.0}
    counts: Counts = {("bin", HOSTILE, name): 900.0 for name in shares}
    reference = Reference({HOSTILE: FeatureReference(shares, 1.0)}, {HOSTILE: 1.0}, 4000.0)
    history = History("r", "cars-1", reference, {"drift": Ring(300.0).added(END, counts)})
    profile = FeatureProfile(CATEGORICAL, (0.5, 0.5), categories=(HOSTILE, "b"))
    for known in (None, Profile({HOSTILE: profile}, profile, 4000)):
        text = page(history, known, reason=HOSTILE)
        assert "&lt;script&gt;" in text
        assert "<script" not in text
        assert "default-src 'none'" in text
        assert not re.findall(r"(?:src|href|url)\s*[=(]", text)


@pytest.mark.parametrize("letter", ["&", "'", "w", "\U0001f600", "漢"])
def test_the_page_of_a_huge_model_is_bounded(letter: str) -> None:
    """As many features as are watched, with as many categories as a profile has, all of long names."""
    names = [f"{number:03}{letter * 997}" for number in range(100)]
    bins = [f"{number:02}{letter * 998}" for number in range(20)]
    shares = {**dict.fromkeys(bins, 0.04), "other": 0.1, "missing": 0.1}
    counts: dict[Key, float] = {("bin", name, one): 90.0 for name in names for one in (*bins, "missing")}
    counts |= {("prediction", one): 90.0 for one in bins}
    counts |= {("invalid", name): 900.0 for name in names}
    ring = Ring(300.0)
    for slot in reversed(range(12)):
        ring = ring.added(END - 300 * slot, counts)
    reference = Reference({name: FeatureReference(shares, 0.01) for name in names}, shares, 1e6)
    text = page(History("r", "cars-1", reference, {"drift": ring}), reason=letter * 5000)
    assert len(text.encode(errors="replace")) < MAX_BYTES
    assert "and 76 more features" in text


NUMBERS = st.floats(0, 1e300) | st.integers(0, 2**60).map(float)
NAMES = st.text(max_size=8) | st.sampled_from(["missing", "other", "=other", "0", "9", HOSTILE, "prediction"])
KEYS = st.one_of(
    st.tuples(st.sampled_from(["bin", "out_of_range", "magnitude", "cell"]), NAMES, NAMES),
    st.tuples(st.sampled_from(["invalid", "prediction", "label", "error", "delay"]), NAMES),
    st.just(("predictions",)),
)


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    features=st.dictionaries(NAMES, st.dictionaries(NAMES, st.floats(0, 1), max_size=4), max_size=3),
    counted=st.dictionaries(KEYS, NUMBERS, max_size=8),
    seconds=st.floats(1e-3, 1e9),
    rows=st.none() | NUMBERS,
)
def test_whatever_a_config_map_holds_makes_a_page(
    features: dict[str, dict[str, float]], counted: dict[Key, float], seconds: float, rows: float | None
) -> None:
    known = {name: FeatureReference(shares) for name, shares in features.items()}
    rings = {name: Ring(seconds).added(END, counted) for name in ("drift", "quality")}
    text = page(History("r", "cars-1", Reference(known, {}, rows, rows), rings))
    assert text.endswith("</html>")
    assert "<script" not in text
