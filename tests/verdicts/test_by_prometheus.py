"""Lives that Prometheus leads, by the operator's rules: the same as those that the operator's own engine leads."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.support.programs import debian_program
from tests.verdicts.comparing import distance, words_of
from tests.verdicts.datasets import DATASETS
from tests.verdicts.life import STEP, Life, Outcome, problems
from tests.verdicts.prometheus import Alertmanager, by_prometheus
from tests.verdicts.stories import STORIES, Story

NAMED = {story.name: story for story in STORIES}
SHORT = [
    (replace(NAMED["sudden drift"], hours=7.0), "breast-cancer", 5, 2),
    (replace(NAMED["broken unit"], hours=4.5), "seattle-weather", 1, 1),
]
"""Each with the minutes between Prometheus' evaluations, and the versions that there are at the end."""


@pytest.mark.parametrize(("story", "name", "every", "versions"), SHORT, ids=str)
def test_prometheus_leads_to_the_same_life(story: Story, name: str, every: int, versions: int) -> None:
    def live(delivered: Alertmanager | None = None) -> Life:
        life = Life(DATASETS[name](), story, 0, delivered)
        life.play()
        return life

    own = live()
    assert own.outcome.told, "nothing fires"
    other = by_prometheus(own, live, debian_program("promtool", "prometheus"), every)
    assert problems(story, other.outcome) == []
    assert len(other.versions) == versions
    both = f"{words_of(own.outcome)}; by Prometheus {words_of(other.outcome)}"
    assert distance(own.outcome, other.outcome) <= 1, both


def test_lives_are_told_apart_by_what_fires_and_by_runs() -> None:
    drift, quality, nothing = frozenset({"Drift"}), frozenset({"Quality"}), frozenset[str]()
    life = Outcome(firing=[nothing, drift, drift | quality, nothing], runs=[(1.0, "Alert")])
    assert distance(life, life) == 0
    assert distance(life, replace(life, firing=[nothing, drift, drift, quality])) == 1
    assert distance(life, replace(life, runs=[(1.0 + 2 * STEP / 3600, "Alert")])) == 2
    assert distance(life, replace(life, firing=[drift, nothing, drift | quality, nothing])) == math.inf
    assert distance(life, replace(life, runs=[])) == math.inf
    assert words_of(life) == "Drift 0.17 h to 0.33 h, Quality 0.25 h to 0.33 h, run at 1.00 h"
