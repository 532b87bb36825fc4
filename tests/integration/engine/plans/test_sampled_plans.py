"""Sampled plans on a real API server: the real operator is killed, refused, left without an answer or without news.

`MODELMILL_TIER1_PLANS` is how many are played, `MODELMILL_TIER1_SEED` chooses them.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hack.bench.light import AuditLog, LightServer
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.integration.engine.plans.faults import sample
from tests.integration.engine.plans.live_world import Server
from tests.integration.engine.plans.plan import Clean, LivePlan, Played, made_twice, play

pytestmark = pytest.mark.integration

COUNT = int(os.environ.get("MODELMILL_TIER1_PLANS", "5"))
SEED = os.environ.get("MODELMILL_TIER1_SEED", "1")
ONLY = os.environ.get("MODELMILL_TIER1_ONLY", "")
"""Words in the name of the plans that are played, of those that are sampled."""
AT_ONCE = 6
PLANS_OF_A_SCENARIO = 3
"""Fewest, as long as there are scenarios left: a clean run costs as much as a plan."""


def chosen() -> list[Scenario]:
    """Return the scenarios of the sample."""
    return random.Random(SEED).sample(SCENARIOS, min(len(SCENARIOS), max(1, COUNT // PLANS_OF_A_SCENARIO)))


class Stages:
    """Namespaces and folders, as many as are needed."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._numbers = itertools.count(int(time.time()))

    def clean(self, scenario: Scenario) -> Played:
        name = f"plan-{next(self._numbers)}"
        return play(self._server, scenario, name, self._folder / name)

    def play(self, plan: LivePlan, clean: Clean) -> Played:
        name = f"plan-{next(self._numbers)}"
        return plan.play(self._server, name, self._folder / name, clean)


def test_no_fault_changes_the_end(light_server: LightServer, server: Server, tmp_path: Path) -> None:
    audit = AuditLog(light_server.audit_log)
    stages = Stages(server, tmp_path)
    scenarios = chosen()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(stages.clean, [one for one in scenarios for _ in range(2)]))
        clean = {one: Clean.of(*runs[2 * place : 2 * place + 2]) for place, one in enumerate(scenarios)}
        plans = [plan for plan in sampled(clean) if ONLY in str(plan)]
        played = list(pool.map(lambda plan: stages.play(plan, clean[plan.scenario]), plans))
    wrong = {f"{plan} ({one.namespace})": one.problems for plan, one in zip(plans, played, strict=True) if one.problems}
    assert wrong == {}
    assert made_twice(audit) == {}
    assert sum(one.struck > 0 for one in played) >= len(played) / 2, "most faults never came"


def sampled(clean: dict[Scenario, Clean]) -> list[LivePlan]:
    """Return the plans, shared out evenly among the scenarios."""
    shares = [len(range(place, COUNT, len(clean))) for place in range(len(clean))]
    return [
        LivePlan(scenario, fault)
        for (scenario, runs), share in zip(clean.items(), shares, strict=True)
        for fault in sample(runs.writes, sorted(runs.kinds), share, f"{SEED} {scenario.name}")
    ]
