"""`python -m tests.crash.first_problem SHARE`: play crash plans in a shuffled order until one fails, and print it."""

from __future__ import annotations

import random
import sys

from tests.crash.plans import clean, every_plan, every_refusal
from tests.crash.scenarios import SCENARIOS


def first_problem(share: float) -> str | None:
    """Return the first plan that fails and why, or None; undisturbed runs and wrong settings come first."""
    for scenario in SCENARIOS:
        if clean(scenario).problems:
            return f"{scenario.name}: {clean(scenario).problems[0]}"
    plans = list(every_plan())
    settings = [plan for plan in plans if plan.setting]
    strikes = [*(plan for plan in plans if not plan.setting), *every_refusal()]
    chosen = random.Random(1).sample(strikes, round(len(strikes) * share))
    for plan in (*settings, *chosen):
        problems = plan.problems()
        if problems:
            return f"{plan}: {problems[0]}"
    return None


if __name__ == "__main__":
    found = first_problem(float(sys.argv[1]))
    print(found or "")
    sys.exit(1 if found else 0)
