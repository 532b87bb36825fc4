"""The life of a service under one story: real models and counters, the operator's engine and policy, a clock that is told.

Five minutes at a time: rows are drawn, predicted and counted as a server counts them; the embedded engine reads and judges;
the TrainingJob's plan decides; a run that began trains on the newest labelled rows, and what beats the champion serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from modelmill.api.base import Alert
from modelmill.api.monitoring import Monitoring
from modelmill.contracts import counts as c
from modelmill.contracts.counts import Counts, FeatureReference, Key, Reference
from modelmill.contracts.look import Seen, encode_seen
from modelmill.contracts.verdict import Holdout
from modelmill.kube.conditions import find, timestamp
from modelmill.kube.objects import Key as ObjectKey
from modelmill.kube.objects import Manifest
from modelmill.monitoring.evaluating import alerts_of, evaluate, memory_of
from modelmill.monitoring.observing import Observer
from modelmill.monitoring.reading import Reading
from modelmill_server.telemetry.bins import NumberCounter, counter_of
from modelmill_server.telemetry.features import importance_shares
from modelmill_trainer.models import PREDICT
from tests.support import objects as o
from tests.unit.training.looking import Clock
from tests.unit.training.planning import value_of
from tests.verdicts.datasets import Dataset
from tests.verdicts.models import Version, train
from tests.verdicts.stories import Rows, Scene, Story

STEP: Final = 300.0
RUN_SECONDS: Final = 600.0
FIRST_ROWS: Final = 800
JUDGED_ROWS: Final = 2000
IMPROVEMENT: Final = 0.05
"""Gate: of the champion's error, by which a version must be better."""
USEFUL: Final = 0.95
"""Gate: of the error of the best constant prediction, above which a version is of no use."""
SERVICE: Final = ObjectKey("ml", "svc")


class Pod:
    """The counters of the only pod of a version."""

    def __init__(self, version: Version) -> None:
        self.version = version
        profile = version.profile
        ordered = sorted(profile.features, key=lambda name: -profile.features[name].importance)[:10]
        self.features = {name: counter_of(profile.features[name]) for name in ordered}
        assert profile.prediction is not None
        self.prediction = counter_of(profile.prediction)
        self.predicted = 0
        self.labels: dict[Key, float] = {}
        shares = importance_shares([profile.features[name].importance for name in ordered])
        references = {}
        for name, share in zip(ordered, shares, strict=True):
            known = profile.features[name]
            told = known.magnitude_mean is not None and known.magnitude_deviation is not None
            magnitude = (known.magnitude_mean, known.magnitude_deviation) if told else None
            references[name] = FeatureReference(known.bins(), share, magnitude)  # type: ignore[arg-type]
        self.reference = Reference(references, profile.prediction.bins(), float(profile.rows), version.trained)

    def answer(self, frame: Any) -> np.ndarray:
        """Predict and count."""
        for name, counter in self.features.items():
            column = frame[name]
            counter.add(column.to_numpy() if column.dtype.kind == "f" else column.tolist())
        predicted: np.ndarray = self.version.model.outputs(frame)[PREDICT]
        self.prediction.add(predicted.tolist())
        self.predicted += len(predicted)
        return predicted

    def score(self, predicted: np.ndarray, target: np.ndarray) -> None:
        """Count labels."""
        if self.version.model.classes:
            wrong = int((predicted != target).sum())
            update = {(c.LABEL, "wrong"): wrong, (c.LABEL, "correct"): len(target) - wrong}
        else:
            errors = np.abs(predicted - target)
            update = {
                (c.LABEL, "scored"): len(target),
                (c.ERROR, "absolute"): float(errors.sum()),
                (c.ERROR, "squared"): float((errors**2).sum()),
            }
        for key, value in update.items():
            self.labels[key] = self.labels.get(key, 0.0) + value

    def reading(self) -> Reading:
        """Return what its page tells."""
        counts: dict[Key, float] = {}
        for name, counter in self.features.items():
            counts |= {(c.BIN, name, bin_): count for bin_, count in zip(counter.bins, counter.counts, strict=True)}
            if isinstance(counter, NumberCounter):
                counts[c.OUT_OF_RANGE, name, "near"] = counter.near
                counts[c.OUT_OF_RANGE, name, "far"] = counter.far
                counts[c.MAGNITUDE, name, "count"] = counter.sizes
                counts[c.MAGNITUDE, name, "sum"] = counter.size_sum
                counts[c.MAGNITUDE, name, "squares"] = counter.square_sum
        bins = zip(self.prediction.bins, self.prediction.counts, strict=True)
        counts |= {(c.PREDICTION, bin_): count for bin_, count in bins}
        counts[c.PREDICTIONS,] = self.predicted
        told: Counts = {key: float(value) for key, value in counts.items()}
        return Reading(told, {self.version.name: dict(self.labels)}, self.reference)


class Pages:
    """The page of the pod that serves."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod

    async def counted(self, key: ObjectKey, pods: Sequence[Manifest]) -> Mapping[str, Reading]:
        """Return its reading."""
        return {self.pod.version.name: self.pod.reading()}

    def forget(self, key: ObjectKey) -> None:
        """Nothing is asked late."""


@dataclass
class Batch:
    """Rows that were answered. known: when their labels come, hours."""

    rows: Rows
    predicted: np.ndarray
    version: str
    known: float


@dataclass
class Outcome:
    """What came of a life. told: each alert that fired, with the hour and the rows since the change. runs: with the reason.

    before, changed, after: error of the first version, of it after the change, and of the last version after the change.
    """

    told: list[tuple[str, float, int]] = field(default_factory=list)
    runs: list[tuple[float, str]] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    before: float = 0.0
    changed: float = 0.0
    after: float = 0.0
    suspended: str = ""


class Life:
    """One service. monitoring: all its defaults."""

    def __init__(self, data: Dataset, story: Story, seed: int) -> None:
        self.data, self.story, self.seed = data, story, seed
        self.random = np.random.default_rng((seed, len(story.name)))
        self.monitoring = Monitoring.model_validate({})
        order = self.random.permutation(len(data.target))
        half = len(order) // 2
        self.pools = {"train": order[:half], "live": order}
        first = self._draw(FIRST_ROWS)
        version, _ = train("cars-1", first, data.classes, seed, o.NOW.timestamp())
        numeric = [name for name in data.features.columns if data.features[name].dtype.kind == "f"]
        ranked = sorted(numeric, key=lambda name: -version.profile.features[name].importance)
        watched = sorted(version.profile.features, key=lambda name: -version.profile.features[name].importance)[:10]
        self.borne = USEFUL * _error_of_constant(data)
        self.scene = Scene(data, [name for name in ranked if name in watched], seed, self.random)
        self.store: list[tuple[float, Rows]] = [(0.0, first)]
        self.read = 1
        self.waiting: list[Batch] = []
        self.fresh: list[Rows] = []
        self.pod = Pod(version)
        self.pods = {version.name: self.pod}
        self.pages = Pages(self.pod)
        self.observer = Observer(self.pages)
        self.alerts: list[Alert] = []
        self.clock = Clock(None, {}, retrain={"cooldownSeconds": 3600, "maxConsecutiveFailures": 3})
        self.began: float | None = None
        self.outcome = Outcome()
        self.changed_rows = 0

    def play(self) -> Outcome:
        """Live to the end."""
        steps = int(self.story.hours * 3600 / STEP)
        for step in range(1, steps + 1):
            self.step(step * STEP / 3600)
        self._conclude()
        return self.outcome

    def step(self, hour: float) -> None:
        """Let five minutes pass."""
        now = o.NOW + timedelta(hours=hour)
        self._serve(hour)
        self._label(hour)
        self._judge(now, hour)
        self._decide(now, hour)

    def _draw(self, rows: int) -> Rows:
        chosen = self.random.choice(len(self.data.target), rows)
        return self.data.features.iloc[chosen], self.data.target[chosen]

    def _serve(self, hour: float) -> None:
        story = self.story
        rows = self._draw(max(1, round(story.rate * STEP / 3600)))
        share = story.share(hour)
        changed = self.random.random(len(rows[1])) < share
        if changed.any():
            frame, target = story.change(self.scene, (rows[0][changed], rows[1][changed]))
            rows = (
                pd.concat([rows[0][~changed], frame], ignore_index=True),
                np.concatenate([rows[1][~changed], target]),
            )
            self.changed_rows += int(changed.sum())
        predicted = self.pod.answer(rows[0])
        if story.delay is not None:
            self.waiting.append(Batch(rows, predicted, self.pod.version.name, hour + story.delay))

    def _label(self, hour: float) -> None:
        """Score the labels that have come, and put them into the store each hour."""
        known = [one for one in self.waiting if one.known <= hour]
        self.waiting = [one for one in self.waiting if one.known > hour]
        for one in known:
            self.pods[one.version].score(one.predicted, one.rows[1])
            self.fresh.append(one.rows)
        if self.fresh and hour == int(hour):
            together = (
                pd.concat([frame for frame, _ in self.fresh], ignore_index=True),
                np.concatenate([target for _, target in self.fresh]),
            )
            self.store.append((hour, together))
            self.fresh = []

    def _judge(self, now: datetime, hour: float) -> None:
        version = self.pod.version
        track = (f"r{version.name}", version.name)
        pods = [{"metadata": {"uid": version.name}, "status": {"startTime": timestamp(now)}}]
        seen = value_of(self.observer.observed(SERVICE, self.monitoring, track, pods, None, now))
        assert seen.moment == now
        memory = memory_of(seen.history.memory)
        found = evaluate(self.monitoring, seen.history, self._holdout(), memory, now.timestamp())
        self.observer.remember(SERVICE, found.memory.document())
        before = {alert.id for alert in self.alerts}
        self.alerts = alerts_of("u1", version.name, found, self.alerts, now.timestamp())
        for alert in self.alerts:
            if alert.id not in before:
                self.outcome.told.append((alert.kind, hour, self.changed_rows))
        verdict = found.verdict
        self.outcome.states.add("insufficient" if verdict.drifted is None and verdict.rows else "judged")

    def _holdout(self) -> Holdout:
        version = self.pod.version
        if self.data.classes:
            error = 1 - version.metrics["accuracy"]
            return Holdout(error, error * (1 - error) / version.holdout, classes=True)
        mae, rmse = version.metrics["mae"], version.metrics["rmse"]
        return Holdout(mae, (rmse**2 - mae**2) / version.holdout, classes=False)

    def _decide(self, now: datetime, hour: float) -> None:
        clock = self.clock
        clock.fire(*(_manifest(alert) for alert in self.alerts), on=("Drift", "Quality", "Staleness"))
        if clock.look is not None:
            self._look()
        if self.began is not None and (now - o.NOW).total_seconds() - self.began >= RUN_SECONDS:
            self._end(hour, now)
        clock.plan((now - o.NOW).total_seconds())
        run = clock.run
        if run is not None and self.began is None:
            self.began = clock.seconds
            self.outcome.runs.append((hour, run["reason"]))
            self.read = len(self.store)

    def _look(self) -> None:
        asked = self.clock.asked
        new = self.store[self.read :]
        written = [(o.NOW + timedelta(hours=hour)).timestamp() for hour, _ in new]
        recent = [
            len(rows[1]) for moment, (_, rows) in zip(written, new, strict=True) if asked.after and moment > asked.after
        ]
        told = (asked.after, len(recent), sum(recent)) if asked.after is not None else (None, None, None)
        seen = Seen(f"sha256:{len(self.store):064x}", len(self.store), len(new), 0, None, *told)
        self.clock.ends(encode_seen(seen), 0)

    def _end(self, hour: float, now: datetime) -> None:
        """Train on the newest rows, and let what is better than the champion serve."""
        frames, targets = zip(*(rows for _, rows in self.store), strict=True)
        frame, target = pd.concat(frames, ignore_index=True), np.concatenate(targets)
        rows = frame.iloc[-self.story.newest :], target[-self.story.newest :]
        name = f"cars-{len(self.outcome.runs) + 1}"
        version, holdout = train(name, rows, self.data.classes, self.seed, now.timestamp())
        champion, challenger = self.pod.version.error(holdout), version.error(holdout)
        self.began = None
        if challenger > champion * (1 - IMPROVEMENT) or challenger > self.borne:
            self.clock.end("GateFailed")
            self.clock.status["consecutiveRejections"] = self.clock.status.get("consecutiveRejections", 0) + 1
            return
        self.clock.status["consecutiveRejections"] = 0
        self.clock.end("Published")
        self.pod = self.pages.pod = self.pods[name] = Pod(version)

    def _conclude(self) -> None:
        story, out = self.story, self.outcome
        drawn = self._draw(JUDGED_ROWS)
        first, changed = self.pods["cars-1"].version, story.change(self.scene, drawn)
        out.before, out.changed, out.after = (
            first.error(drawn),
            first.error(changed),
            self.pod.version.error(changed),
        )
        suspended = find(self.clock.status, "RetrainSuspended")
        if suspended is not None and suspended["status"] == "True":
            out.suspended = f"{suspended['reason']}: {suspended['message']}"


def _error_of_constant(data: Dataset) -> float:
    """Return the error of the best prediction that is the same for all rows."""
    if data.classes:
        return 1 - float(np.unique(data.target, return_counts=True)[1].max()) / len(data.target)
    return float(np.mean(np.abs(data.target - np.median(data.target))))


def problems(story: Story, outcome: Outcome) -> list[str]:
    """Return how an outcome differs from what a careful person would have done."""
    found = []
    least, most = story.runs
    runs = len([reason for _, reason in outcome.runs if reason == "Alert"])
    if not least <= runs <= most:
        found.append(f"{runs} runs, not {least} to {most}")
    kinds = {kind for kind, _, _ in outcome.told}
    if not story.alerts <= kinds:
        found.append(f"missed {sorted(story.alerts - kinds)}")
    if kinds - story.alerts - story.other:
        found.append(f"false {sorted(kinds - story.alerts - story.other)}")
    if story.better and not outcome.after < outcome.changed:
        found.append(f"the error did not fall: {outcome.changed:.3g} to {outcome.after:.3g}")
    if story.suspended and not outcome.suspended:
        found.append("not suspended")
    if story.insufficient and "judged" in outcome.states:
        found.append("judged by too few rows")
    return found


def _manifest(alert: Alert) -> dict[str, Any]:
    return o.alert(alert.id, kind=alert.kind, startsAt=alert.starts_at, version=alert.version)
