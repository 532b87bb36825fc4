"""The documents of an artifact."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelmill.contracts.artifact import (
    CATEGORICAL,
    NUMERIC,
    TEXT,
    FeatureProfile,
    File,
    Manifest,
    Profile,
    Signature,
    Tensor,
    canonical,
    category_text,
    parse_manifest,
    parse_profile,
)

MANIFEST = Manifest(
    format="onnx",
    files=(File("model.onnx", 3, "ab"),),
    signature=Signature(
        "classification",
        (Tensor("x", "FP64", (-1,), nullable=True),),
        (Tensor("predict", "BOOL", (-1,), CATEGORICAL, classes=(False, True)),),
        ignored=("signup", "paid"),
    ),
    metrics={"accuracy": 0.5},
    lineage={},
    created="2026-01-01T00:00:00Z",
    model="m",
    version="m-1",
)


def test_a_manifest_comes_back() -> None:
    assert parse_manifest(canonical(MANIFEST)) == MANIFEST


def test_a_manifest_of_before_ignores_nothing() -> None:
    raw = json.loads(canonical(MANIFEST))
    del raw["signature"]["ignored"]
    assert parse_manifest(canonical(raw)).signature.ignored == ()


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), ("True", "True"), (1, "1"), (0.5, "0.5")]
)
def test_category_text(value: Any, text: str) -> None:
    assert category_text(value) == text


def test_truth_values_fall_in_the_bins_that_json_names() -> None:
    profile = FeatureProfile(CATEGORICAL, (0.75, 0.25), categories=("false", "true"))
    assert [profile.bin_of(value) for value in (True, False, None, 2.0)] == ["true", "false", "missing", "other"]


RESERVED_WORDS = ("other", "missing", "=other", "==other", "=missing", "other ")


def test_a_category_called_like_a_reserved_bin_has_a_bin_of_its_own() -> None:
    shares = (0.2, 0.2, 0.1, 0.1, 0.1, 0.1)
    profile = FeatureProfile(CATEGORICAL, shares, categories=RESERVED_WORDS, missing_ratio=0.05, other_ratio=0.15)
    bins = profile.bins()
    assert len(bins) == len(RESERVED_WORDS) + 2
    assert sum(bins.values()) == pytest.approx(1.0)
    named = [profile.bin_of(value) for value in RESERVED_WORDS]
    assert [bins[name] for name in named] == list(shares)
    assert (bins[profile.bin_of(None)], bins[profile.bin_of("new")]) == (0.05, 0.15)
    assert (profile.bin_of(None), profile.bin_of("new"), named[-1]) == ("missing", "other", "other ")


def test_texts_fall_in_the_bin_of_their_number_of_characters() -> None:
    profile = FeatureProfile(TEXT, (0.5, 0.25), edges=(2.5,), missing_ratio=0.25)
    assert profile.bins() == {"0": 0.5, "1": 0.25, "missing": 0.25}
    assert [profile.bin_of(text) for text in ("", "ü🜂", "abc", None)] == ["0", "0", "1", "missing"]


PROFILE = Profile(
    {
        "x": FeatureProfile(
            NUMERIC, (0.5, 0.25, 0.25), (1, 2.5), least=-1, greatest=4.5, magnitude_mean=16.1, magnitude_deviation=0.2
        ),
        "y": FeatureProfile(NUMERIC, (1.0,)),
        "words": FeatureProfile(TEXT, (0.5, 0.5), edges=(12.5,)),
    },
    FeatureProfile(CATEGORICAL, (0.9, 0.1), categories=("a", "b")),
    10,
)


def test_a_profile_comes_back() -> None:
    assert parse_profile(canonical(PROFILE)) == PROFILE


@pytest.mark.parametrize(
    ("place", "field", "value", "words"),
    [
        ("x", "kind", "other", "kind must be numeric, categorical or text"),
        ("x", "kind", ["numeric"], "kind must be numeric, categorical or text"),
        ("x", "edges", [float("nan"), 1e308], "edges must be finite numbers"),
        ("x", "edges", [1.0, float("inf")], "edges must be finite numbers"),
        ("x", "edges", ["1", "2"], "edges must be finite numbers"),
        ("x", "edges", [True, 2], "edges must be finite numbers"),
        ("x", "edges", [1, 10**400], "edges must be finite numbers"),
        ("x", "edges", [1e308, -1e308], "edges must ascend"),
        ("x", "edges", [1.0], "ratios has 3 shares: there must be 2"),
        ("x", "ratios", [0.5, 0.5, None], "ratios must be finite numbers"),
        ("x", "missing_ratio", float("nan"), "ratios must be finite numbers"),
        ("x", "importance", "much", "importance must be finite numbers"),
        ("x", "least", None, "least and greatest must be the least and the greatest number"),
        ("x", "least", 5, "least and greatest must be two finite numbers, the least first"),
        ("x", "greatest", 10**400, "least and greatest must be two finite numbers, the least first"),
        ("x", "greatest", float("inf"), "least and greatest must be two finite numbers, the least first"),
        ("x", "magnitude_mean", None, "magnitude_mean and magnitude_deviation must be two finite numbers"),
        ("x", "magnitude_deviation", -0.1, "magnitude_mean and magnitude_deviation must be two finite numbers"),
        (None, "categories", ["a"], "ratios has 2 shares: there must be 1"),
        (None, "categories", ["a", 5], "categories must be texts"),
        (None, "categories", ["a", "a"], "categories has one of them twice"),
        (None, "kind", "numeric", "ratios has 2 shares: there must be 1"),
    ],
)
def test_a_profile_that_cannot_be_counted_by_is_refused(place: str | None, field: str, value: Any, words: str) -> None:
    raw = json.loads(canonical(PROFILE))
    (raw["prediction"] if place is None else raw["features"][place])[field] = value
    with pytest.raises(ValueError, match=r"profile\.json: (features\['x'\]|prediction)\.") as refused:
        parse_profile(json.dumps(raw).encode())
    assert words in str(refused.value)


@pytest.mark.parametrize("rows", [-1, 1.5, True, "many", None, 10**400])
def test_a_number_of_rows_that_cannot_be_told_is_refused(rows: Any) -> None:
    raw = {**json.loads(canonical(PROFILE)), "rows": rows}
    with pytest.raises(ValueError, match=r"profile\.json: rows must be a whole number"):
        parse_profile(json.dumps(raw).encode())


def test_a_profile_of_an_older_artifact_has_neither_range_nor_magnitudes() -> None:
    raw = json.loads(canonical(PROFILE))
    for name in ("least", "greatest", "magnitude_mean", "magnitude_deviation"):
        del raw["features"]["x"][name]
    read = parse_profile(json.dumps(raw).encode()).features["x"]
    assert (read.least, read.greatest, read.magnitude_mean, read.magnitude_deviation) == (None,) * 4
