"""`python -m tests.crash.first_problem SHARE`: play crash plans in a shuffled order until one fails, and print it."""

from __future__ import annotations

import random
import sys

from tests.crash.plans import CrashPlan, clean, plans_of
from tests.crash.scenarios import SCENARIOS


def first_problem(share: float) -> str | None:
    """Return the first plan that fails and why, or None; undisturbed runs and some wrong settings come first."""
    for scenario in SCENARIOS:
        if clean(scenario).problems:
            return f"{scenario.name}: {clean(scenario).problems[0]}"
    plans = [plan for scenario in SCENARIOS for plan in plans_of(scenario)]
    settings = [plan for plan in plans if isinstance(plan, CrashPlan) and plan.write is None]
    shuffled = random.Random(1)
    for plan in (*shuffled.sample(settings, len(settings) // 4), *shuffled.sample(plans, round(len(plans) * share))):
        problems = plan.problems()
        if problems:
            return f"{plan}: {problems[0]}"
    return None


if __name__ == "__main__":
    found = first_problem(float(sys.argv[1]))
    print(found or "")
    sys.exit(1 if found else 0)
