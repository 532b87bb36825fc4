"""A sample of the verdict table, each story on one data set; `make proof-monitoring` plays all of it."""

from __future__ import annotations

import os

import pytest

from tests.verdicts.datasets import DATASETS
from tests.verdicts.life import Life, problems
from tests.verdicts.stories import STORIES, Story

SEEDS = int(os.environ.get("MODELMILL_VERDICT_SEEDS", "0"))
ALL = [(story, name) for story in STORIES for name in DATASETS]
SAMPLE = [(story, list(DATASETS)[place % len(DATASETS)]) for place, story in enumerate(STORIES)]


@pytest.mark.parametrize(("story", "name"), ALL if SEEDS else SAMPLE, ids=str)
def test_what_a_careful_person_would_do(story: Story, name: str) -> None:
    for seed in range(SEEDS or 1):
        outcome = Life(DATASETS[name](), story, seed).play()
        assert problems(story, outcome) == [], f"seed {seed}: {outcome}"
