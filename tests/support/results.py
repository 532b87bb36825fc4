"""What proofs found out, a line of JSON for each plan: docs/reliability.md is made of them (`python -m tests.crash.table`).

A proof calls `record(Result(…))` after each plan that it has played. Lines are appended to the file that the environment
variable `MODELMILL_RESULTS` names, one write each, so that several workers and several proofs may share it; without the
variable nothing is written. Example of a line:

    {"tier": "0", "fault": "F1", "scenario": "whole life", "plan": "whole life: create Job … #1: killed after",
     "seconds": 0.31, "problems": []}
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "MODELMILL_RESULTS"


@dataclass(frozen=True, slots=True)
class Result:
    """One plan that was played.

    tier: "0" in memory, "seeds" there by chance, "1" with a real API server, "store" with a real store. fault: number in
    docs/reliability.md, e.g. "F3"; empty for any. scenario: what was going on. plan: name by which it can be played again.
    seconds: wall clock. problems: what did not hold, a sentence each; none when all is well.
    """

    tier: str
    fault: str
    scenario: str
    plan: str
    seconds: float
    problems: Sequence[str] = ()


def record(result: Result) -> None:
    """Append the result to the file that `MODELMILL_RESULTS` names, if it names one."""
    path = os.environ.get(VARIABLE)
    if path is None:
        return
    line = json.dumps(asdict(result)) + "\n"
    with open(path, "ab", buffering=0) as file:
        file.write(line.encode())


def read(path: Path) -> list[Result]:
    """Return the results in a file. Raises ValueError for a line that is none."""
    return [Result(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
