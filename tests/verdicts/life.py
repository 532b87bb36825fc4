"""The life of a service under one story: real models and counters, the operator's engine and policy, a clock that is told.

Five minutes at a time: rows are drawn, predicted and counted as a server counts them; the embedded engine reads and judges;
the TrainingJob's plan decides; a run that began trains on the newest labelled rows, and what beats the champion serves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from modelmill.api.base import Alert
from modelmill.api.monitoring import DATA_QUALITY, Monitoring
from modelmill.contracts.look import Seen, encode_seen
from modelmill.contracts.verdict import Holdout
from modelmill.kube.conditions import find, timestamp
from modelmill.monitoring.evaluating import alerts_of, evaluate, memory_of
from modelmill.monitoring.observing import Observer
from tests.support import objects as o
from tests.unit.training.looking import Clock
from tests.unit.training.planning import value_of
from tests.verdicts.datasets import Dataset
from tests.verdicts.models import Version, train
from tests.verdicts.pods import SERVICE, Pages, Pod
from tests.verdicts.prometheus import Alertmanager, Record, Served
from tests.verdicts.stories import Rows, Scene, Story

STEP: Final = 300.0
RUN_SECONDS: Final = 600.0
FIRST: Final = "cars-1"
FIRST_ROWS: Final = 800
JUDGED_ROWS: Final = 2000
IMPROVEMENT: Final = 0.05
"""Gate: of the champion's error, by which a version must be better."""
USEFUL: Final = 0.95
"""Gate: of the error of the best constant prediction, above which a version is of no use."""


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
    firing: what fired, by step. served: the version after each run. errors: of each version on changed rows and on others.
    """

    told: list[tuple[str, float, int]] = field(default_factory=list)
    runs: list[tuple[float, str]] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    before: float = 0.0
    changed: float = 0.0
    after: float = 0.0
    suspended: str = ""
    firing: list[frozenset[str]] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    errors: dict[str, tuple[float, float]] = field(default_factory=dict)


class Life:
    """One service. monitoring: all its defaults. record: what was scraped of its pods, and what was known of its versions.

    delivered: what raises the alerts; None for the operator itself.
    """

    def __init__(self, data: Dataset, story: Story, seed: int, delivered: Alertmanager | None = None) -> None:
        self.delivered, self.record = delivered, Record()
        self.data, self.story, self.seed = data, story, seed
        self.random = np.random.default_rng((seed, len(story.name)))
        self.monitoring = Monitoring.model_validate({})
        order = self.random.permutation(len(data.target))
        half = len(order) // 2
        self.pools = {"train": order[:half], "live": order}
        first = self._draw(FIRST_ROWS)
        version, _ = train(FIRST, first, data.classes, seed, o.NOW.timestamp())
        numeric = [name for name in data.features.columns if data.features[name].dtype.kind == "f"]
        ranked = sorted(numeric, key=lambda name: -version.profile.features[name].importance)
        watched = sorted(version.profile.features, key=lambda name: -version.profile.features[name].importance)[:10]
        self.borne = USEFUL * _error_of_constant(data)
        self.scene = Scene(data, [name for name in ranked if name in watched], seed, self.random)
        self.store: list[tuple[float, Rows]] = [(0.0, first)]
        self.read = 1
        self.waiting: list[Batch] = []
        self.fresh: list[Rows] = []
        self.versions: dict[str, Version] = {}
        self._promote(version, 0)
        self.pages = Pages()
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
            self.step(step, step * STEP / 3600)
        self._conclude()
        return self.outcome

    def step(self, step: int, hour: float) -> None:
        """Let five minutes pass."""
        now = o.NOW + timedelta(hours=hour)
        self._serve(hour)
        self._label(hour)
        self.pages.told = self.pod.page()
        self.record.scraped(step, self.pod.name, self.pages.told)
        self._judge(now, step, hour)
        self._decide(now, step, hour)

    def _promote(self, version: Version, step: int) -> None:
        """Let a version serve, and the pod of the one before go."""
        self.versions[version.name] = version
        self.pod = Pod(version, self.monitoring.drift.features)
        served = Served(step, version.name, self.pod.revision, holdout_of(version))
        self.record.began(served, self.pod.name, self.pod.page())

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
            self.pod.score(one.version, one.predicted, one.rows[1])
            self.fresh.append(one.rows)
        if self.fresh and hour == int(hour):
            together = (
                pd.concat([frame for frame, _ in self.fresh], ignore_index=True),
                np.concatenate([target for _, target in self.fresh]),
            )
            self.store.append((hour, together))
            self.fresh = []

    def _judge(self, now: datetime, step: int, hour: float) -> None:
        version = self.pod.version
        pods = [{"metadata": {"uid": self.pod.name}, "status": {"startTime": timestamp(now)}}]
        track = (self.pod.revision, version.name)
        seen = value_of(self.observer.observed(SERVICE, self.monitoring, track, pods, None, now))
        assert seen.moment == now
        memory = memory_of(seen.history.memory)
        found = evaluate(self.monitoring, seen.history, holdout_of(version), memory, now.timestamp())
        self.observer.remember(SERVICE, found.memory.document())
        before = {alert.id for alert in self.alerts}
        if self.delivered is None:
            self.alerts = alerts_of("u1", version.name, found, self.alerts, now.timestamp())
        else:
            self.alerts = list(self.delivered.alerts(self.record.served[-1], step))
        for alert in self.alerts:
            if alert.id not in before:
                self.outcome.told.append((alert.kind, hour, self.changed_rows))
        what = [f"{one.kind} {one.feature}" if one.kind == DATA_QUALITY else one.kind for one in self.alerts]
        self.outcome.firing.append(frozenset(what))
        verdict = found.verdict
        self.outcome.states.add("insufficient" if verdict.drifted is None and verdict.rows else "judged")

    def _decide(self, now: datetime, step: int, hour: float) -> None:
        clock = self.clock
        clock.fire(*(_manifest(alert) for alert in self.alerts), on=("Drift", "Quality", "Staleness"))
        if clock.look is not None:
            self._look()
        if self.began is not None and (now - o.NOW).total_seconds() - self.began >= RUN_SECONDS:
            self._end(step, now)
            self.outcome.served.append(self.pod.version.name)
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

    def _end(self, step: int, now: datetime) -> None:
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
        self._promote(version, step)

    def _conclude(self) -> None:
        story, out = self.story, self.outcome
        drawn = self._draw(JUDGED_ROWS)
        changed = story.change(self.scene, drawn)
        out.errors = {name: (one.error(changed), one.error(drawn)) for name, one in self.versions.items()}
        out.changed, out.before = out.errors[FIRST]
        out.after, _ = out.errors[self.pod.version.name]
        suspended = find(self.clock.status, "RetrainSuspended")
        if suspended is not None and suspended["status"] == "True":
            out.suspended = f"{suspended['reason']}: {suspended['message']}"


def holdout_of(version: Version) -> Holdout:
    """Return how wrong a version was on its hold-out."""
    if version.model.classes:
        error = 1 - version.metrics["accuracy"]
        return Holdout(error, error * (1 - error) / version.holdout, classes=True)
    mae, rmse = version.metrics["mae"], version.metrics["rmse"]
    return Holdout(mae, (rmse**2 - mae**2) / version.holdout, classes=False)


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
