"""What counting costs: the CPU time of an answer with and without it, in turns in one process, and the series of a pod.

Each part is left out by itself, and all of them together; the least time of each over the rounds is compared, as in stages.py.
The time is that from a request's body to its answer, without the connection.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from hack.artifacts import write_artifact
from hack.bench.serving import dialects, models, stages
from modelmill.contracts.artifact import CATEGORICAL, NUMERIC, FeatureProfile, Profile, Tensor
from modelmill_server.core.feedback import FeedbackCounter
from modelmill_server.core.plausible import Plausible
from modelmill_server.queries.columns import features_of
from modelmill_server.telemetry.counters import Monitor
from modelmill_server.telemetry.features import WatchedFeatures

FEATURES, ROUNDS, BATCHES = 20, 8, 20
ROWS = {1: 50, 100: 5}  # and calls in a batch


def artifact(folder: Path) -> tuple[Path, Any, list[str]]:
    """Write a classifier of 20 numbers, all of which are counted; return its folder, its rows and the features' names."""
    values, labels = make_classification(2000, FEATURES, n_informative=10, random_state=0)
    names = [f"feature_{index}" for index in range(FEATURES)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X has feature names")
        fitted = LogisticRegression().fit(values, labels)
        write_artifact(folder, fitted, pd.DataFrame(values, columns=names), matrix=True)
    return folder, values, names


def costs(folder: Path) -> str:
    """Return the cost of each part as a Markdown table."""
    made, values, names = artifact(folder)
    service, readers, _ = stages.started(made, FEATURES)
    loaded = service.loaded
    assert loaded is not None
    monitor, execution = loaded.monitor, loaded.execution
    profile = loaded.model.artifact.profile
    features = loaded.model.features
    bare = {name: replace(one, least=None, greatest=None) for name, one in profile.features.items()}
    by_bins = WatchedFeatures(replace(profile, features=bare), features, FEATURES, monitor.labels)
    none = WatchedFeatures(profile, features, 0, monitor.labels)

    def unknown(*_: object) -> bytes:
        return b""

    parts = {
        "ranges and magnitudes": [mock.patch.object(monitor, "_features", by_bins)],
        "all values of features": [mock.patch.object(monitor, "_features", none)],
        "confidences in the feedback id": [mock.patch.object(execution, "_confidences", unknown)],
        "values, predictions and confidences": [
            mock.patch.object(monitor, "_features", none),
            mock.patch.object(monitor, "_prediction", None),
            mock.patch.object(execution, "_confidences", unknown),
        ],
    }
    lines = ["| rows | without | saved | of the whole |", "|---:|---|---:|---:|"]
    for rows, calls in ROWS.items():
        body = dialects.V2.make(models.NAME, names, np.resize(values, (rows, FEATURES))).body

        def answer(body: bytes = body) -> None:
            execution.perform(readers.v2, (body, None))

        whole, without = float("inf"), dict.fromkeys(parts, float("inf"))
        for _ in range(ROUNDS):
            whole = min(whole, stages.seconds(answer, BATCHES, calls))
            for name, patches in parts.items():
                for patch in patches:
                    patch.start()
                without[name] = min(without[name], stages.seconds(answer, BATCHES, calls))
                for patch in patches:
                    patch.stop()
        for name, left in without.items():
            lines.append(f"| {rows} | {name} | {1e6 * (whole - left):.1f} µs | {1 - left / whole:.0%} |")
        lines.append(f"| {rows} | nothing: the whole | {1e6 * whole:.1f} µs | |")
    return "\n".join(lines)


def series(kind: str, features: int, classes: int) -> int:
    """Return how many series a pod has of a model with so many counted features, of so many classes; 0 for a regression."""
    tenth = (0.1,) * 10
    number = FeatureProfile(
        NUMERIC,
        tenth,
        tuple(map(float, range(9))),
        least=0.0,
        greatest=9.0,
        magnitude_mean=16.0,
        magnitude_deviation=1.0,
    )
    word = FeatureProfile(CATEGORICAL, (0.05,) * 20, categories=tuple(f"c{place}" for place in range(20)))
    profiles = {f"x{place}": number if kind == NUMERIC else word for place in range(features)}
    labels = tuple(f"class {place}" for place in range(classes))
    shown = labels[:20]
    predicted = FeatureProfile(CATEGORICAL, (1 / len(shown),) * len(shown), categories=shown) if labels else number
    monitor = Monitor(
        model="m", version="v", info={}, created="2026-01-01T00:00:00+00:00", profile=Profile(profiles, predicted, 100),
        features=features_of([Tensor(name, "FP64", (-1,)) for name in profiles]), most=features,
    )  # fmt: skip
    task = "classification" if labels else "regression"
    feedback = FeedbackCounter("m", "v", task, Plausible(classes=frozenset(labels) or None))
    return sum(len(family.samples) for family in (*monitor.families(), *feedback.families()))


def series_table() -> str:
    """Return the series of a pod as a Markdown table."""
    lines = ["| counted features | of a regression | of 2 classes | of 10 | of 100 |", "|---|---:|---:|---:|---:|"]
    for kind in (NUMERIC, CATEGORICAL):
        for features in (10, 20, 100):
            found = " | ".join(str(series(kind, features, classes)) for classes in (0, 2, 10, 100))
            lines.append(f"| {features}, {kind} | {found} |")
    return "\n".join(lines)


async def main() -> None:
    """Measure and print."""
    logging.disable(logging.INFO)
    gc.disable()
    print(series_table(), end="\n\n")
    with tempfile.TemporaryDirectory() as name:
        print(costs(Path(name) / "model"))


if __name__ == "__main__":
    asyncio.run(main())
