"""Bins are counted as the profile says, and scrapers read every name as it was, in both forms."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics
from prometheus_client.parser import text_string_to_metric_families

from modelmill.contracts import names
from modelmill.contracts.artifact import CATEGORICAL, NUMERIC, TEXT, FeatureProfile, Profile, Tensor
from modelmill.measuring.exposition import NeededLines, parse
from modelmill_server.queries.columns import VECTOR_ROWS, features_of
from modelmill_server.queries.query import Query
from modelmill_server.telemetry.bins import BinCounter
from modelmill_server.telemetry.counters import Monitor
from modelmill_server.telemetry.exposition import SLICE_SAMPLES, Exposition

SPENT = (0.1, 0.0, 0.2, 0.1)

numbers = st.one_of(
    st.none(), st.floats(-1e6, 1e6), st.integers(-10, 10), st.sampled_from([0.0, 1.0, 2.5, float("nan")])
)
edges = st.lists(st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, 1.0, 2.5])), max_size=9, unique=True).map(sorted)
words = st.one_of(st.none(), st.sampled_from(["a", "b", "missing", "other", ""]), st.text(max_size=3))


def counted(counter: BinCounter) -> dict[str, int]:
    return {name: count for name, count in zip(counter.bins, counter.counts, strict=True) if count}


@given(edges, st.lists(numbers, min_size=1, max_size=3 * VECTOR_ROWS))
def test_numbers_are_counted_in_the_bin_of_the_profile(cuts: list[float], values: list[Any]) -> None:
    profile = FeatureProfile(NUMERIC, (1.0 / (len(cuts) + 1),) * (len(cuts) + 1), edges=tuple(cuts))
    counter = BinCounter(profile)
    counter.add(values)
    assert counted(counter) == Counter(profile.bin_of(value) for value in values)


@given(st.lists(words.filter(lambda word: word is not None), max_size=5, unique=True), st.lists(words, min_size=1))
def test_words_are_counted_in_the_bin_of_the_profile(known: list[str], values: list[Any]) -> None:
    profile = FeatureProfile(CATEGORICAL, (0.1,) * len(known), categories=tuple(known))
    counter = BinCounter(profile)
    counter.add(values)
    assert counted(counter) == Counter(profile.bin_of(value) for value in values)


@pytest.mark.parametrize("rows", [1, VECTOR_ROWS])
def test_texts_are_counted_by_their_number_of_characters(rows: int) -> None:
    profile = FeatureProfile(TEXT, (0.5, 0.5), edges=(2.5,))
    values = ["", "\U0001f702ü", "abc", None, float("nan"), "missing"]
    counter = BinCounter(profile)
    counter.add(values * rows)
    assert counted(counter) == Counter(profile.bin_of(value) for value in values * rows)
    assert counted(counter) == {"0": 2 * rows, "1": 2 * rows, "missing": 2 * rows}


def test_categories_called_like_the_reserved_bins_do_not_drift_on_the_data_of_training() -> None:
    shares = {"other": 0.4, "missing": 0.3, "=other": 0.1}
    profile = FeatureProfile(
        CATEGORICAL, tuple(shares.values()), categories=tuple(shares), missing_ratio=0.1, other_ratio=0.1
    )
    counter = BinCounter(profile)
    counter.add(["other"] * 40 + ["missing"] * 30 + ["=other"] * 10 + [None] * 10 + ["rare"] * 10)
    live = {name: count / 100 for name, count in zip(counter.bins, counter.counts, strict=True)}
    assert live == pytest.approx(profile.bins())


def test_whole_numbers_as_categories_are_called_by_their_text() -> None:
    counter = BinCounter(FeatureProfile(CATEGORICAL, (0.5, 0.5), categories=("4", "6")))
    counter.add([4, 6, 8, 4])
    assert counted(counter) == {"4": 2, "6": 1, "other": 1}


@pytest.mark.parametrize("rows", [1, 3, 3 * VECTOR_ROWS])
def test_truth_values_are_called_as_json_writes_them(rows: int) -> None:
    profile = FeatureProfile(CATEGORICAL, (0.5, 0.5), categories=("true", "false"))
    values = [True, False, None] * (rows // 3) or [False]
    for column in (values, np.array([value is True for value in values])):
        counter = BinCounter(profile)
        counter.add(column)
        plain = column.tolist() if isinstance(column, np.ndarray) else column
        assert counted(counter) == Counter(profile.bin_of(value) for value in plain)
        assert "other" not in counted(counter)


def test_truth_values_of_an_older_profile_are_known_by_pythons_names() -> None:
    counter = BinCounter(FeatureProfile(CATEGORICAL, (0.5, 0.5), categories=("True", "False")))
    counter.add([True, False, True])
    assert counted(counter) == {"True": 2, "False": 1}


def test_text_is_no_truth_value() -> None:
    counter = BinCounter(FeatureProfile(CATEGORICAL, (0.5, 0.5), categories=("true", "false")))
    counter.add(["True", "true", 1, 0.0])
    assert counted(counter) == {"true": 1, "other": 3}


def monitor(most: int = 10) -> Monitor:
    shares = (0.25, 0.75)
    profile = Profile(
        {
            "plain": FeatureProfile(
                NUMERIC,
                shares,
                (1.0,),
                importance=0.1,
                least=-1.0,
                greatest=3.0,
                magnitude_mean=16.0,
                magnitude_deviation=0.1,
            ),
            'na"sty\\\n': FeatureProfile(CATEGORICAL, shares, categories=('q"', "b\\\n"), importance=0.9),
        },
        FeatureProfile(NUMERIC, shares, edges=(0.0,)),
        100,
    )
    features = features_of(
        [Tensor("plain", "FP64", (-1,)), Tensor('na"sty\\\n', "BYTES", (-1,)), Tensor("bare", "FP64", (-1,))]
    )
    return Monitor(
        model='m"',
        version="v\\1",
        info={"format": "onnx"},
        created="2026-01-02T03:04:05+00:00",
        profile=profile,
        features=features,
        most=most,
    )


def rendered(made: Monitor, accept: str = "") -> tuple[str, str]:
    exposition = Exposition()
    exposition.sources = [made.families]
    content, content_type = asyncio.run(exposition.render(accept))
    return content.decode(), content_type


def samples(made: Monitor, accept: str = "") -> dict[str, list[tuple[dict[str, str], float]]]:
    text, content_type = rendered(made, accept)
    parse = text_string_to_metric_families
    if content_type.startswith("application/openmetrics-text"):
        parse = openmetrics.text_string_to_metric_families
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in parse(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize("accept", ["", PROMETHEUS])
def test_text_is_read_by_prometheus_with_every_name_as_it_was(accept: str) -> None:
    made = monitor()
    made.count_answer(Query([[0.0, 2.0], ['q"', "b\\\n"], [1.0, 1.0]], 2, ()), [-1.0, 1.0], SPENT)
    made.count_invalid('na"sty\\\n', "type")
    made.observe(200, 0.002)
    made.observe(400, 100.0)
    found = samples(made, accept)
    assert {labels["model_name"] for values in found.values() for labels, _ in values} == {'m"'}
    assert {labels["model_version"] for values in found.values() for labels, _ in values} == {"v\\1"}
    bins = {(labels["feature"], labels["bin"]): value for labels, value in found[names.METRIC_FEATURE_BIN]}
    assert bins['na"sty\\\n', 'q"'] == bins['na"sty\\\n', "b\\\n"] == bins["plain", "0"] == bins["plain", "1"] == 1
    assert [value for _, value in found[names.METRIC_FEATURE_INVALID]] == [1]
    assert {labels["code"]: value for labels, value in found[names.METRIC_REQUESTS]} == {"200": 1, "400": 1}
    buckets = {labels["le"]: value for labels, value in found[f"{names.METRIC_REQUEST_DURATION}_bucket"]}
    assert (buckets["0.001"], buckets["0.0025"], buckets["10.0"], buckets["+Inf"]) == (0, 1, 1, 2)
    assert found[f"{names.METRIC_REQUEST_DURATION}_count"][0][1] == 2


@pytest.mark.parametrize("accept", ["", PROMETHEUS])
def test_text_is_read_by_the_operator(accept: str) -> None:
    made = monitor()
    for _ in range(100_000):
        made.observe(200, 0.002)
    made.observe(503, 100.0)
    lines = NeededLines()
    lines.feed(rendered(made, accept)[0].encode())
    sample = parse(lines.text())
    assert sample.codes == {"200": 1e5, "503": 1}
    assert sample.buckets[0.0025] == 1e5
    assert sample.buckets[float("inf")] == 1e5 + 1
    assert len(sample.buckets) == len(names.DURATION_BUCKETS) + 1


def test_all_metrics_of_the_contract_are_there_before_any_request() -> None:
    found = samples(monitor())
    expected = {value for name, value in vars(names).items() if name.startswith("METRIC_")}
    expected.remove(names.METRIC_REQUEST_DURATION)
    expected.remove(names.METRIC_FEATURE_INVALID)  # has a series for each reason that occurred
    expected -= {name for name in expected if name.startswith("modelmill_feedback_")}  # of FeedbackCounter
    expected.remove(names.METRIC_FEATURE_MAGNITUDE)
    summaries = {f"{names.METRIC_FEATURE_MAGNITUDE}_{part}" for part in ("sum", "count")}
    histograms = {f"{names.METRIC_REQUEST_DURATION}_{part}" for part in ("bucket", "sum", "count")}
    assert expected | summaries | histograms == set(found)
    assert {value for _, value in found[names.METRIC_FEATURE_BIN]} == {0}


def test_most_important_features_are_counted() -> None:
    made = monitor(most=1)
    made.count_answer(Query([[0.0], ['q"'], [1.0]], 1, ()), None, SPENT)
    found = samples(made)
    assert {labels["feature"] for labels, _ in found[names.METRIC_FEATURE_BIN]} == {'na"sty\\\n'}
    assert {value for _, value in found[names.METRIC_PREDICTION_BIN]} == {0}
    assert {labels["feature"] for labels, _ in samples(monitor(most=0)).get(names.METRIC_FEATURE_BIN, [])} == set()


def test_long_columns_are_counted_like_short_ones() -> None:
    profile = FeatureProfile(NUMERIC, (0.2,) * 5, edges=(0.0, 1.0, 1.5, 3.0))
    values = [*np.linspace(-1.0, 4.0, 500).tolist(), 0.0, 1.0, 1.5, 3.0, None]
    long, short = BinCounter(profile), BinCounter(profile)
    long.add(values)
    for value in values:
        short.add([value])
    assert long.counts == short.counts
    assert sum(long.counts) == len(values)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;version=0.0.1", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=x\xe9", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=x", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (",;,=;" * 1000, "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_scraper_gets_the_form_that_it_names(accept: str, form: str) -> None:
    text, content_type = rendered(monitor(), accept)
    assert content_type == form
    assert text.endswith("# EOF\n") == form.startswith("application")


@pytest.mark.parametrize("accept", ["", PROMETHEUS])
def test_scrape_in_slices_is_that_of_prometheus_client(accept: str) -> None:
    names_of_features = [f"feature {number}" for number in range(3 * SLICE_SAMPLES)]
    profiles = {name: FeatureProfile(NUMERIC, (0.25, 0.75), edges=(1.0,)) for name in names_of_features}
    made = Monitor(
        model="m",
        version="1",
        info={},
        created="2026-01-02T03:04:05+00:00",
        profile=Profile(profiles, None, 1),
        features=features_of([Tensor(name, "FP64", (-1,)) for name in names_of_features]),
        most=len(profiles),
    )

    class Whole:
        def collect(self) -> Any:
            return made.families()

    whole = generate_open_metrics(Whole(), version="1.0.0") if accept else generate_latest(Whole())
    assert rendered(made, accept)[0] == whole.decode()


async def test_scrape_lets_others_run() -> None:
    exposition, turns, done = Exposition(), 0, asyncio.Event()
    exposition.sources = [monitor().families] * 3

    async def other() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await exposition.render()
    done.set()
    await beside
    assert turns > 10
