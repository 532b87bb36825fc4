"""Random sequences of edits, deletions, alerts, crashes, faults and time end well.

`MODELMILL_CRASH_SEQUENCES` is how many are played, by the seeds from `MODELMILL_CRASH_SEED`;
`python -m tests.crash.sequences SEED` plays one again and shows its steps.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.crash.odd import lived
from tests.crash.sequences import LENGTH, Sequence20, problems_of
from tests.support.results import Result, record

COUNT = int(os.environ.get("MODELMILL_CRASH_SEQUENCES", "8"))
SEED = int(os.environ.get("MODELMILL_CRASH_SEED", "1"))


FOUND = (99,)
"""Seeds that have found a defect."""


@pytest.mark.parametrize(
    "seed", [*range(SEED, SEED + COUNT), *(seed for seed in FOUND if seed >= SEED + COUNT or seed < SEED)]
)
def test_a_sequence_ends_well(seed: int) -> None:
    began = time.monotonic()
    problems = problems_of(seed)
    plan = f"python -m tests.crash.sequences {seed}"
    record(Result("seeds", "", "sequences", plan, round(time.monotonic() - began, 3), problems))
    assert problems == [], plan


def test_a_seed_plays_the_same_steps_again() -> None:
    first, second = Sequence20(SEED), Sequence20(SEED)
    for one in (first, second):
        lived(one.play, one.ending, one.seed)
    assert first.steps == second.steps
    assert len(first.steps) == LENGTH
