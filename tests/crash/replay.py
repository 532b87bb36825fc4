"""`python -m tests.crash.replay "NAME OF A PLAN"`: play one crash plan again, and print what is wrong.

The name is the one in docs/reliability.md, in a failed test or from guards.py. A part of a name plays all that have it.
It ends with 1 when something is wrong, and with 2 when there is no such plan.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.crash.plans import named, plans_of
from tests.crash.scenarios import SCENARIOS


def main(arguments: Sequence[str]) -> int:
    """Return the exit code."""
    name = " ".join(arguments)
    try:
        plans = [named(name)]
    except KeyError:
        plans = [plan for scenario in SCENARIOS for plan in plans_of(scenario) if name and name in str(plan)]
    wrong = 0
    for plan in plans:
        problems = plan.problems()
        wrong += bool(problems)
        print(f"{plan}: {'all is well' if not problems else ''}", *problems, sep="\n    ", flush=True)
    if not plans:
        print(f"there is no plan with {name!r} in its name", file=sys.stderr)
        return 2
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
