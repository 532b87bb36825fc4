"""Crash plans as tests: a twentieth of them, chosen by a seed, and all of them under `make proof`.

`MODELMILL_CRASH_SHARE` is the share that is played (1 plays all), `MODELMILL_CRASH_SEED` chooses it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

import pytest

from tests.crash.plans import CrashPlan, Refusal, clean, every_plan, every_refusal
from tests.crash.scenarios import SCENARIOS, Scenario

SHARE = float(os.environ.get("MODELMILL_CRASH_SHARE", "0.05"))
SEED = int(os.environ.get("MODELMILL_CRASH_SEED", "1"))
P = TypeVar("P", CrashPlan, Refusal)


def of(scenario: Scenario, plans: Sequence[P]) -> list[P]:
    """Return the share of the plans of a scenario that is played this time."""
    mine = [plan for plan in plans if plan.scenario is scenario]
    chosen = random.Random(f"{SEED} {scenario.name}").sample(range(len(mine)), max(1, round(len(mine) * SHARE)))
    return [mine[number] for number in sorted(chosen)]


def played(plans: Sequence[CrashPlan | Refusal]) -> dict[str, list[str]]:
    """Return what is wrong, by plan."""
    return {str(plan): problems for plan in plans if (problems := plan.problems())}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_without_faults_all_is_well(scenario: Scenario) -> None:
    outcome = clean(scenario)
    assert outcome.problems == []
    assert outcome.end or scenario.name == "everything deleted"
    assert outcome.writes


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_fault_at_any_write_changes_the_end(scenario: Scenario) -> None:
    assert played(of(scenario, list(every_plan()))) == {}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_refusal_is_told_and_heals(scenario: Scenario) -> None:
    assert played(of(scenario, list(every_refusal()))) == {}
