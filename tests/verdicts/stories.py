"""What happens to the stream of a service: the cases of the verdict table, and what a careful person would do in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from tests.verdicts.datasets import Dataset

Rows = tuple[pd.DataFrame, np.ndarray]
FACTORS: Final = (1000.0, 2.54, 1 / 2.2046226, 10.0, 0.001)


@dataclass(frozen=True)
class Scene:
    """What a change is made with. by_importance: numeric features, the most important first. seed: of the life."""

    data: Dataset
    by_importance: list[str]
    seed: int
    random: np.random.Generator

    def deviation(self, feature: str) -> float:
        """Return the standard deviation of a feature."""
        return float(self.data.features[feature].std())

    def high(self, frame: pd.DataFrame) -> np.ndarray:
        """Tell which rows lie above the middle of the most important feature."""
        feature = self.by_importance[0]
        return (frame[feature] > self.data.features[feature].median()).to_numpy()


Change = Callable[[Scene, Rows], Rows]


def as_it_was(scene: Scene, rows: Rows) -> Rows:
    """Nothing changes."""
    return rows


def harmless(scene: Scene, rows: Rows) -> Rows:
    """The least important feature lies a deviation higher: by two a forest's predictions move as well, and its error."""
    frame, target = rows
    feature = scene.by_importance[-1]
    return frame.assign(**{feature: frame[feature] + scene.deviation(feature)}), target


def season(scene: Scene, rows: Rows) -> Rows:
    """Only rows above the middle of the most important feature come."""
    frame, target = rows
    keep = np.flatnonzero(scene.high(frame))
    chosen = scene.random.choice(keep, len(frame)) if len(keep) else np.arange(len(frame))
    return frame.iloc[chosen], target[chosen]


def unit(scene: Scene, rows: Rows) -> Rows:
    """The most important feature that is never 0 or below comes in another unit."""
    frame, target = rows
    feature = next(one for one in scene.by_importance if scene.data.features[one].min() > 0)
    return frame.assign(**{feature: frame[feature] * FACTORS[scene.seed % len(FACTORS)]}), target


def concept(scene: Scene, rows: Rows) -> Rows:
    """What is asked stays, and what is true of it changes: of the upper half other classes, of numbers the mirrored ones."""
    frame, target = rows
    if scene.data.classes:
        one, other = np.unique(scene.data.target)
        return frame, np.where(scene.high(frame), np.where(target == one, other, one), target)
    return frame, scene.data.target.max() + scene.data.target.min() - target


def world(scene: Scene, rows: Rows) -> Rows:
    """The three most important features lie a deviation higher, and what is true changes with them."""
    frame, target = concept(scene, rows)
    moved = {name: frame[name] + scene.deviation(name) for name in scene.by_importance[:3]}
    return frame.assign(**moved), target


def noise(scene: Scene, rows: Rows) -> Rows:
    """What is true has nothing to do any more with what is asked."""
    frame, target = rows
    return frame, scene.random.permutation(scene.data.target)[: len(target)] if len(target) <= len(
        scene.data.target
    ) else scene.random.choice(scene.data.target, len(target))


@dataclass(frozen=True)
class Story:
    """A life of a service. Times in hours.

    rate: rows an hour. change: what comes, with a share of the rows that grows from 0 at `begins` to 1 after `grows`, until
    `ends`. delay: after which the labels come; None for none. runs: how many runs of alerts a careful person would make.
    newest: rows that a run trains on, as spec.data.window says.
    alerts: kinds that must be told; other: kinds that may be told as well. better: whether the error must fall.
    """

    name: str
    change: Change
    hours: float
    runs: tuple[int, int]
    rate: int = 1000
    begins: float = 3.0
    grows: float = 0.0
    ends: float = 1e9
    delay: float | None = 0.0
    alerts: frozenset[str] = frozenset()
    other: frozenset[str] = frozenset()
    better: bool = False
    newest: int = 1000
    suspended: bool = False
    insufficient: bool = False

    def __str__(self) -> str:
        return self.name

    def share(self, hour: float) -> float:
        """Return the share of the rows that have changed at an hour."""
        if hour < self.begins or hour >= self.ends:
            return 0.0
        return min(1.0, (hour - self.begins) / self.grows) if self.grows else 1.0


DRIFT, QUALITY, SKEW, DATA = (
    frozenset({"Drift"}),
    frozenset({"Quality"}),
    frozenset({"Skew"}),
    frozenset({"DataQuality"}),
)
STORIES: Final = (
    Story("stable, 5,000 rows", as_it_was, 5, (0, 0)),
    Story("windows of 50 rows", world, 12, (0, 0), rate=50, delay=None, insufficient=True),
    Story("harmless shift", harmless, 12, (0, 0)),
    Story("short swing", season, 12, (0, 0), ends=3.5),
    Story("long swing", season, 16, (0, 4), ends=9.0, newest=100_000, other=DRIFT | SKEW | QUALITY),
    Story("broken unit", unit, 12, (0, 0), alerts=DATA),
    Story("sudden drift", world, 16, (1, 1), other=DRIFT | QUALITY | SKEW, better=True),
    Story("gradual drift", world, 24, (1, 2), grows=6.0, other=DRIFT | QUALITY | SKEW, better=True),
    Story("concept change", concept, 16, (1, 1), alerts=QUALITY, other=DRIFT | SKEW, better=True),
    Story("labels a day late", concept, 60, (1, 1), delay=24.0, alerts=QUALITY, other=DRIFT | SKEW, better=True),
    Story("cannot be saved", noise, 40, (3, 3), alerts=QUALITY, other=DRIFT | SKEW, suspended=True),
)
