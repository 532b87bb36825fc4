"""The only pod of a version: the server's own counters, and the page with them that both engines read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np

from modelmill.api.fingerprint import short_hash
from modelmill.kube.objects import Key as ObjectKey
from modelmill.kube.objects import Manifest
from modelmill.monitoring.reading import Reading, needed_lines, read
from modelmill_server.core.feedback import FeedbackCounter
from modelmill_server.core.plausible import Plausible
from modelmill_server.core.tokens import Claim
from modelmill_server.queries.columns import FLOAT, TEXT, Feature
from modelmill_server.queries.query import Query
from modelmill_server.telemetry.counters import Monitor
from modelmill_trainer.models import PREDICT
from tests.verdicts.models import Version

MODEL = "cars"
SERVICE = ObjectKey("ml", "svc")
NO_TIME = (0.0, 0.0, 0.0, 0.0)


class Pod:
    """Answers, and counts what it answered and which labels it was told. watched: how many features are."""

    def __init__(self, version: Version, watched: int) -> None:
        self.version = version
        self.revision = short_hash(version.name)
        self.name = f"{SERVICE.name}-{self.revision}-7c9d8b6f5-abcde"
        model = version.model
        text = {name for name, one in version.profile.features.items() if one.categories}
        self._monitor = Monitor(
            model=MODEL,
            version=version.name,
            info={},
            created=datetime.fromtimestamp(version.trained, UTC).isoformat(),
            profile=version.profile,
            features=tuple(
                Feature(name, place, *(("BYTES", TEXT) if name in text else ("FP64", FLOAT)), False, name in text)
                for place, name in enumerate(model.features)
            ),
            most=watched,
        )
        plausible = Plausible(classes=frozenset(model.classes) or None)
        self._labels = FeedbackCounter(MODEL, version.name, model.task, plausible, clock=lambda: 0.0)
        self._told = 0

    def answer(self, frame: Any) -> np.ndarray:
        """Predict and count; each row is a request."""
        columns = [
            frame[name].to_numpy() if frame[name].dtype.kind == "f" else frame[name].tolist()
            for name in self.version.model.features
        ]
        predicted: np.ndarray = self.version.model.outputs(frame)[PREDICT]
        self._monitor.count_answer(Query(columns, len(frame), ()), predicted.tolist(), NO_TIME)
        for _ in predicted:
            self._monitor.observe(200, 0.01)
        return predicted

    def score(self, version: str, predicted: np.ndarray, target: np.ndarray) -> None:
        """Count labels of what a version of the service predicted."""
        self._told += 1
        claim = Claim(version, 0, self.version.model.task, tuple(predicted.tolist()), self._told.to_bytes(8, "big"))
        self._labels.score(claim, target.tolist())

    def page(self) -> dict[str, float]:
        """Return what it tells: the value of each series."""
        return {
            _series(sample.name, tuple(sample.labels.items())): float(sample.value)
            for family in (*self._monitor.families(), *self._labels.families())
            for sample in family.samples
        }


@lru_cache(20_000)
def _series(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    return f"{name}{{{','.join(f'{label}={json.dumps(text)}' for label, text in labels)}}}"


class Pages:
    """The page of the pod that serves. told: what it says now."""

    def __init__(self) -> None:
        self.told: Mapping[str, float] = {}

    async def counted(self, key: ObjectKey, pods: Sequence[Manifest]) -> Mapping[str, Reading]:
        """Return its reading."""
        needed = needed_lines()
        needed.feed("".join(f"{series} {value!r}\n" for series, value in self.told.items()).encode())
        return {pod["metadata"]["uid"]: read(needed.text()) for pod in pods}

    def forget(self, key: ObjectKey) -> None:
        """Nothing is asked late."""
