"""Pages of servers, and of others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from modelmill.contracts.artifact import Tensor
from modelmill.contracts.counts import BIN, CODE, LABEL, MAGNITUDE, PREDICTION, PREDICTIONS
from modelmill.monitoring.reading import MAX_LINES, Reading, needed_lines, read
from modelmill_server.queries.columns import features_of
from modelmill_server.queries.query import Query
from modelmill_server.telemetry.counters import Monitor
from modelmill_trainer.reference import make_profile

NAME = 'a "b" \\ \n c'


def page(text: str | bytes) -> Reading:
    lines = needed_lines()
    lines.feed(text.encode() if isinstance(text, str) else text)
    return read(lines.text())


class Page:
    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor

    def collect(self):  # type: ignore[no-untyped-def]
        return self.monitor.families()


def test_the_page_of_a_server_is_read_as_it_was_counted() -> None:
    frame = pd.DataFrame({NAME: np.arange(1.0, 101.0), "colour": ["red", "blue"] * 50})
    target = np.arange(100.0)
    profile = make_profile(frame, target, target, {NAME: 0.3, "colour": 0.1})
    tensors = (Tensor(NAME, "FP64", (-1, 1)), Tensor("colour", "BYTES", (-1, 1), kind="categorical"))
    monitor = Monitor(
        model="cars",
        version="cars-1",
        info={"format": "skops", "engine": "skops", "digest": "sha256:0"},
        created="2026-01-01T00:00:00+00:00",
        profile=profile,
        features=features_of(tensors),
        most=10,
    )
    query = Query([[5.0, None, 7.0], ["red", "green", None]], 3, ("predict",))
    monitor.count_answer(query, [1.0, 50.0, 99.0], (0.0, 0.0, 0.0, 0.0))
    monitor.observe(200, 0.1)
    registry = CollectorRegistry()
    registry.register(Page(monitor))  # type: ignore[arg-type]
    seen = page(generate_latest(registry))
    assert sum(value for key, value in seen.counts.items() if key[:2] == (BIN, NAME)) == 3
    assert seen.counts[BIN, "colour", "red"] == seen.counts[BIN, "colour", "other"] == 1
    assert seen.counts[MAGNITUDE, NAME, "count"] == 2
    assert seen.counts[CODE, "200"] == 1
    assert seen.counts[PREDICTIONS,] == sum(value for key, value in seen.counts.items() if key[0] == PREDICTION) == 3
    assert seen.reference.rows == 100
    assert {name: one.importance for name, one in seen.reference.features.items()} == {
        NAME: pytest.approx(0.75),
        "colour": pytest.approx(0.25),
    }
    assert seen.reference.features[NAME].shares == pytest.approx(profile.features[NAME].bins())
    assert seen.reference.features[NAME].magnitude is not None
    assert seen.reference.features["colour"].magnitude is None
    assert seen.reference.trained == 1767225600


def test_labels_are_kept_by_the_version_that_predicted() -> None:
    text = "".join(
        f'modelmill_feedback_total{{model_name="m",model_version="{version}",result="wrong"}} {count}\n'
        for version, count in (("v1", 3), ("v2", 4))
    )
    assert page(text).labels == {"v1": {(LABEL, "wrong"): 3.0}, "v2": {(LABEL, "wrong"): 4.0}}


@pytest.mark.parametrize(
    "text",
    [
        "modelmill_feature_bin_total{feature= 5\n",
        'modelmill_feature_bin_total{feature="a",bin="0"} -1\n',
        'modelmill_feature_bin_total{feature="a",bin="0"} NaN\n',
        'modelmill_feature_bin_total{feature="a",bin="0"} 1e300\n',
        'modelmill_feature_reference_ratio{feature="a",bin="0"} 1.5\n',
        'modelmill_feature_reference_ratio{feature="a",bin="0"} NaN\n',
        'modelmill_model_trained_timestamp_seconds{a="b"} +Inf\n',
        'modelmill_feature_magnitude_sum{feature="a"} x\n',
    ],
)
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        page(text)


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="lines"):
        page('modelmill_feature_bin_total{feature="a",bin="0"} 1\n' * (MAX_LINES + 1))


def test_long_names_and_other_metrics_are_left_out() -> None:
    text = f'modelmill_feature_bin_total{{feature="{"x" * 2000}",bin="0"}} 1\nprocess_cpu_seconds_total 5\n'
    assert page(text).counts == {(PREDICTIONS,): 0}


def test_names_of_all_series_together_are_bounded() -> None:
    text = "".join(f'modelmill_feature_bin_total{{feature="{number:0900}",bin="0"}} 1\n' for number in range(1000))
    text += "".join(
        f'modelmill_feature_reference_ratio{{feature="a",bin="{number:0900}"}} 0.1\n' for number in range(600)
    )
    assert 500 < len(page(text).counts) < 700
    reference = page(text[text.index("modelmill_feature_ref") :]).reference
    assert 100 < len(reference.features["a"].shares) < 200
