"""`python -m tests.crash.first_problem SHARE [WORDS]`: play crash plans in a shuffled order until one fails, and print it.

Those with WORDS in their names come first.
"""

from __future__ import annotations

import random
import sys

from tests.crash.plans import CrashPlan, clean, plans_of
from tests.crash.scenarios import SCENARIOS

FOUND = 3
"""Exit code when a plan failed; an exception has another."""


def first_problem(share: float, words: str = "") -> str | None:
    """Return the first plan that fails and why, or None; undisturbed runs and some wrong settings come first."""
    for scenario in SCENARIOS:
        if clean(scenario).problems:
            return f"{scenario.name}: {clean(scenario).problems[0]}"
    plans = [plan for scenario in SCENARIOS for plan in plans_of(scenario)]
    settings = [plan for plan in plans if isinstance(plan, CrashPlan) and plan.write is None]
    shuffled = random.Random(1)
    near = [plan for plan in plans if words and words in str(plan)]
    sampled = (*shuffled.sample(settings, len(settings) // 4), *shuffled.sample(plans, round(len(plans) * share)))
    for plan in (*shuffled.sample(near, len(near)), *sampled):
        problems = plan.problems()
        if problems:
            return f"{plan}: {problems[0]}"
    return None


if __name__ == "__main__":
    found = first_problem(float(sys.argv[1]), *sys.argv[2:])
    print(found or "")
    sys.exit(FOUND if found else 0)
