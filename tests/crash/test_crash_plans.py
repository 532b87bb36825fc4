"""Crash plans as tests: a fiftieth of them, chosen by a seed, and all of them under `make proof`.

`MODELMILL_CRASH_SHARE` is the share that is played (1 plays all), `MODELMILL_CRASH_SEED` chooses it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.crash.findings import FINDINGS, Finding
from tests.crash.plans import FAMILIES, Plan, clean, named, strikes
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.support.results import Result, record

SHARE = float(os.environ.get("MODELMILL_CRASH_SHARE", "0.02"))
SEED = int(os.environ.get("MODELMILL_CRASH_SEED", "1"))


def chosen(scenario: Scenario, plans: Sequence[Plan]) -> list[Plan]:
    """Return the share of the plans of a scenario that is played this time."""
    count = min(len(plans), max(1, round(len(plans) * SHARE)))
    numbers = random.Random(f"{SEED} {scenario.name}").sample(range(len(plans)), count)
    return [plans[number] for number in sorted(numbers)]


def played(plans: Sequence[Plan]) -> dict[str, list[str]]:
    """Return what is wrong, by plan."""
    wrong = {}
    for plan in plans:
        begin = time.monotonic()
        problems = plan.problems()
        record(Result("0", plan.fault, plan.scenario.name, str(plan), round(time.monotonic() - begin, 3), problems))
        if problems:
            wrong[str(plan)] = problems
    return wrong


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_without_faults_all_is_well(scenario: Scenario) -> None:
    outcome = clean(scenario)
    assert outcome.problems == []
    assert outcome.end or scenario.name == "everything deleted"
    assert outcome.writes


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_whatever_is_struck_all_ends_well(scenario: Scenario, family: Callable[[Scenario], Iterator[Plan]]) -> None:
    assert played(chosen(scenario, list(family(scenario)))) == {}


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.plan)
def test_what_was_mended_stays_so(finding: Finding) -> None:
    assert played([named(finding.plan)]) == {}


def test_a_plan_is_found_by_its_name() -> None:
    plan = list(strikes(SCENARIOS[0]))[-1]
    assert str(named(str(plan))) == str(plan)
    with pytest.raises(KeyError):
        named(f"{plan}!")
