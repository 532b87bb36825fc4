"""Sampled plans on a real API server: the real operator is killed, refused, left without an answer or without news.

`MODELMILL_TIER1_PLANS` is how many are played, `MODELMILL_TIER1_SEED` chooses them, and of those `MODELMILL_TIER1_ONLY` plays
the ones that have its words in their names.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping

import pytest

from hack.bench.audit import AuditLog
from hack.bench.light import USER, LightServer
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.integration.engine.faults.conftest import Stages
from tests.integration.engine.faults.modes import GONE, THROTTLED, Outage, sample
from tests.integration.engine.faults.plan import Clean, LivePlan, made_twice

pytestmark = pytest.mark.integration

COUNT = int(os.environ.get("MODELMILL_TIER1_PLANS", "4"))
SEED = os.environ.get("MODELMILL_TIER1_SEED", "1")
ONLY = os.environ.get("MODELMILL_TIER1_ONLY", "")
PLANS_OF_A_SCENARIO = 3
"""Fewest, as long as there are scenarios left: a clean run costs as much as a plan."""
IN_MEMORY_ONLY = (
    "search", "alias", "versions removed", "clock", "new data", "prepared", "script", "store silent", "foreign",
    "autoscaled", "shadowed", "prefix scored", "routes", "chance", "settings", "drift found", "waits for rows",
    "drift reported", "back before a run", "two jobs",
)  # fmt: skip
"""Words of scenarios that are played in memory only.

Their pods or clock are the surroundings' there: trials, removals, imports, days, load, mirrors; or, of two jobs of one model,
which of them comes first is another one each time.
"""
LIVE = [one for one in SCENARIOS if not any(words in one.name for words in IN_MEMORY_ONLY)]
MANY = 12
SHORT_OUTAGES = {GONE: 20.0}
LONG_OUTAGES = {GONE: 300.0, THROTTLED: 60.0}
"""Seconds of the outages beside a few plans, and of those beside `MANY`."""


def test_no_fault_changes_the_end(light_server: LightServer, stages: Stages) -> None:
    audit = AuditLog(light_server.audit_log, USER)
    clean = stages.clean(random.Random(SEED).sample(LIVE, min(len(LIVE), max(1, COUNT // PLANS_OF_A_SCENARIO))))
    plans = [plan for plan in (*outages(clean), *sampled(clean)) if ONLY in str(plan)]
    assert plans, f"none of the {COUNT} plans chosen by seed {SEED} has {ONLY!r} in its name"
    played = stages.play(plans)
    wrong = {f"{plan} ({one.namespace})": one.problems for plan, one in zip(plans, played, strict=True) if one.problems}
    assert wrong == {}
    assert made_twice(audit) == {}
    assert sum(one.struck > 0 for one in played) >= len(played) / 2, "most faults never came"


def sampled(clean: Mapping[Scenario, Clean]) -> Iterator[LivePlan]:
    """Yield plans, shared out evenly among the scenarios."""
    for place, (scenario, runs) in enumerate(clean.items()):
        share = len(range(place, COUNT, len(clean)))
        for fault in sample(runs.writes, sorted(runs.kinds), share, f"{SEED} {scenario.name}"):
            yield LivePlan(scenario, fault)


def outages(clean: Mapping[Scenario, Clean]) -> Iterator[LivePlan]:
    """Yield a plan for each outage of the whole API server, in the first scenario."""
    scenario, runs = next(iter(clean.items()))
    for mode, seconds in (LONG_OUTAGES if COUNT >= MANY else SHORT_OUTAGES).items():
        yield LivePlan(scenario, Outage(random.Random(f"{SEED} {mode}").choice(runs.writes), mode, seconds))
