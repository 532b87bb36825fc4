"""A sample of the verdict table, each story on one data set; `make proof-monitoring` plays all of it."""

from __future__ import annotations

import math
import os
from dataclasses import replace

import pytest

from tests.support.programs import debian_program
from tests.verdicts.comparing import distance, words_of
from tests.verdicts.datasets import DATASETS
from tests.verdicts.life import STEP, Life, Outcome, problems
from tests.verdicts.prometheus import Alertmanager, by_prometheus
from tests.verdicts.stories import STORIES, Story

SEEDS = int(os.environ.get("MODELMILL_VERDICT_SEEDS", "0"))
ALL = [(story, name) for story in STORIES for name in DATASETS]
SAMPLE = [(story, list(DATASETS)[place % len(DATASETS)]) for place, story in enumerate(STORIES)]
NAMED = {story.name: story for story in STORIES}
SHORT = [
    (replace(NAMED["sudden drift"], hours=7.0, other=frozenset({"Drift", "Quality"})), "breast-cancer", 5),
    (replace(NAMED["broken unit"], hours=4.5), "seattle-weather", 1),
]
"""Lives by Prometheus, with the minutes between its evaluations: one with a run and another version, one without."""


@pytest.mark.parametrize(("story", "name"), ALL if SEEDS else SAMPLE, ids=str)
def test_what_a_careful_person_would_do(story: Story, name: str) -> None:
    for seed in range(SEEDS or 1):
        outcome = Life(DATASETS[name](), story, seed).play()
        assert problems(story, outcome) == [], f"seed {seed}: {outcome}"


@pytest.mark.parametrize(("story", "name", "every"), SHORT, ids=str)
def test_prometheus_leads_to_the_same_life(story: Story, name: str, every: int) -> None:
    def live(delivered: Alertmanager | None = None) -> Life:
        life = Life(DATASETS[name](), story, 0, delivered)
        life.play()
        return life

    own = live()
    assert own.outcome.told, "nothing fires"
    other = by_prometheus(own, live, debian_program("promtool", "prometheus"), every)
    assert problems(story, other.outcome) == []
    assert len(other.versions) == (2 if story.better else 1)
    assert distance(own.outcome, other.outcome) <= 1, (
        f"{words_of(own.outcome)}; by Prometheus {words_of(other.outcome)}"
    )
    assert other.outcome.errors == own.outcome.errors


def test_lives_are_told_apart_by_what_fires_and_by_runs() -> None:
    drift, quality, nothing = frozenset({"Drift"}), frozenset({"Quality"}), frozenset[str]()
    life = Outcome(firing=[nothing, drift, drift | quality, nothing], runs=[(1.0, "Alert")])
    others = {
        0: life,
        1: replace(life, firing=[nothing, drift, drift, quality]),
        2: replace(life, runs=[(1.0 + 2 * STEP / 3600, "Alert")]),
        math.inf: replace(life, firing=[drift, nothing, drift | quality, nothing]),
    }
    assert {expected: distance(life, other) for expected, other in others.items()} == {one: one for one in others}
    assert distance(life, replace(life, runs=[])) == math.inf
    assert words_of(life) == "Drift 0.17 h to 0.33 h, Quality 0.25 h to 0.33 h, run at 1.00 h"
