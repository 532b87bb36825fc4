"""A sample of the verdict table, each story on one data set; `make proof-monitoring` plays all of it."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.support.programs import debian_program
from tests.verdicts.comparing import distance, words_of
from tests.verdicts.datasets import DATASETS
from tests.verdicts.life import Life, problems
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
