"""What the CRDs take goes through the whole control loop: no exception, rest, statuses and children that the API server takes.

`MODELMILL_CRASH_OBJECTS` is how many worlds are made up, by the seeds from `MODELMILL_CRASH_SEED`;
`python -m tests.crash.odd SEED` plays one again.
"""

from __future__ import annotations

import os
import time

import pytest

from modelmill.api.base import API_VERSION
from tests.crash.admission import defaulted, follows_rules, schemas
from tests.crash.generated import TABLE, Generator
from tests.crash.odd import problems_of
from tests.support.results import Result, record

COUNT = int(os.environ.get("MODELMILL_CRASH_OBJECTS", "8"))
SEED = int(os.environ.get("MODELMILL_CRASH_SEED", "1"))
KINDS = tuple(kind for _, kind in schemas())


@pytest.mark.parametrize("seed", range(SEED, SEED + COUNT))
@pytest.mark.parametrize("forged", [False, True], ids=["specs", "statuses"])
def test_whatever_the_schema_takes_is_lived_through(seed: int, forged: bool) -> None:
    began = time.monotonic()
    problems = problems_of(seed, forged=forged)
    plan = f"python -m tests.crash.odd {seed}{' --forged' if forged else ''}"
    name = "statuses of objects" if forged else "specs of objects"
    record(Result("seeds", "", name, plan, round(time.monotonic() - began, 3), problems))
    assert problems == [], plan


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_makes_the_same_object_again_and_keeps_its_rules(kind: str) -> None:
    schema = schemas()[API_VERSION, kind]["properties"]["spec"]
    for seed in range(20):
        made = Generator(seed).one(kind, "cars")
        assert made == Generator(seed).one(kind, "cars")
        assert follows_rules(defaulted(made["spec"], schema), schema)


@pytest.mark.parametrize("kind", KINDS)
def test_odd_values_come_to_every_pattern(kind: str) -> None:
    texts = str([Generator(seed, bold=0.9).one(kind, "cars") for seed in range(100)])
    assert sum(str(text)[1:-1] in texts for table in TABLE.values() for text in table) > 30
