"""`python -m tests.crash.table RESULTS`: write docs/reliability.md from the results that proofs have recorded.

RESULTS is the file that `MODELMILL_RESULTS` named while they ran (`tests.support.results`). `make proof` does all of it.
"""

from __future__ import annotations

import platform
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.crash.findings import FINDINGS, Finding
from tests.support.results import Result, read

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
FAULTS: Mapping[str, str] = {
    "F1": "killed after a write",
    "F2": "killed before a write",
    "F3": "the answer to a write is lost",
    "F4": "a write is refused: 403, 409, 422, 429, 500; once, ten times, for ten minutes",
    "F6": "watch events are late, by kind",
    "F7": "after a restart the first lists and events are old ones",
    "F8": "watch events are overwritten or lost, and the kind is listed anew",
    "F9": "a watch is silent, expires, is refused or torn",
    "F10": "events come twice, or late after younger ones",
    "F11": "a leader is stopped at a write and wakes up when another one leads",
    "F12": "killed every 1 to 5 s for two minutes",
    "F13": "the clock is ahead, behind, or jumps by ten minutes",
    "F14": "the API server or etcd is away",
    "F15": "objects are deleted, relabelled, orphaned or edited by another hand",
    "F16": "a kind is not installed",
    "F17": "permissions are taken away",
    "F18": "admission refuses",
    "F19": "a quota is used up",
    "F20": "the namespace is deleted",
    "F21": "our own objects are deleted, and made again under their names",
    "F27": "the store stalls, refuses, cuts, damages or changes what it is asked for",
    "F28": "a program is killed at a call to the store",
    "F32": "the operator is exchanged for another release while objects live",
}
TIERS: Mapping[str, tuple[str, str, str]] = {
    "0": (
        "In memory",
        "The real control loop on an API server in memory, in virtual time, with models of the controllers around it. Each "
        "plan must come to the end of the undisturbed run, or, where people delete or deprive what cannot come back, to an "
        "end in which nothing is doubled, lost, left without an owner or untold.",
        'PYTHONPATH=operator:. python -m tests.crash.replay "NAME OF THE PLAN"',
    ),
    "seeds": (
        "In memory, made up by seeds",
        "In the same world objects with every value that the CRDs take, and twenty random steps of people, tenants, faults "
        "and time. All must come to rest, with nothing doubled, lost, left without an owner or untold, and no exception in "
        "the log.",
        "PYTHONPATH=operator:. NAME OF THE PLAN",
    ),
    "1": (
        "On a real API server",
        "The operator as a process, with a proxy before it, on etcd and kube-apiserver.",
        "MODELMILL_TIER1_PLANS=100 MODELMILL_TIER1_ONLY='NAME OF THE PLAN' python -m pytest tests/integration/engine/faults",
    ),
    "store": (
        "Between programs and their store",
        "The programs in training and serving pods, with a proxy before a real S3 store.",
        "MODELMILL_STORE_CELL='NAME OF THE PLAN' python -m pytest tests/integration/store_faults",
    ),
}


def page(results: Sequence[Result], made: str, findings: Sequence[Finding] = FINDINGS) -> str:
    """Return the page. made: when and where the results are from."""
    failed = sum(bool(result.problems) for result in results)
    parts = [
        "# Reliability",
        "What was struck how, while what was going on, and how often it went wrong. Written by "
        f"`python -m tests.crash.table`; do not edit. {made}",
        f"{len(results):,} plans played, {failed} failed. `make proof` plays all that there are, over 14,000 in memory, and "
        "writes this page anew; fewer were played where it was made of a sample.",
        *(_tier(tier, [one for one in results if one.tier == tier]) for tier in TIERS),
        _found(findings),
    ]
    return "\n\n".join(parts) + "\n"


def _tier(tier: str, results: Sequence[Result]) -> str:
    title, words, replay = TIERS[tier]
    head = f"## {title}\n\n{words} A plan is played again by its name, with the Python of `.venv`:\n\n"
    head += f"    {replay}\n\n"
    if not results:
        return head + "Not played for this page."
    cells: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        cells[result.fault, result.scenario].append(result)
    faults = sorted({result.fault for result in results if result.fault}, key=lambda fault: int(fault[1:]))
    scenarios = list(dict.fromkeys(result.scenario for result in results))
    seconds = sum(result.seconds for result in results)
    rows = [
        f"{len(results):,} plans in {seconds / 60:.0f} minutes of work; a cell is plans played, and how many failed if any.\n",
        _row(["", *faults, "all"]),
        _row(["---"] * (len(faults) + 2)),
        *(_row([one, *(_cell(cells[f, one]) for f in faults), _of(results, one)]) for one in scenarios),
        "",
        *(f"- {fault}: {FAULTS[fault]}" for fault in faults),
    ]
    wrong = [f"- `{result.plan}`: {result.problems[0]}" for result in results if result.problems]
    return head + "\n".join([*rows, *(["", "Failed:", "", *wrong] if wrong else [])])


def _of(results: Iterable[Result], scenario: str) -> str:
    return _cell([result for result in results if result.scenario == scenario])


def _cell(results: Sequence[Result]) -> str:
    failed = sum(bool(result.problems) for result in results)
    if not results:
        return ""
    return f"{len(results)}" + (f", **{failed} failed**" if failed else "")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _found(findings: Sequence[Finding]) -> str:
    rows = [_row([f"`{one.plan}`", one.what]) for one in findings]
    head = "## Found and mended\n\nEach was found by a plan that is played ever since.\n"
    return "\n".join([head, _row(["plan", "what went wrong"]), _row(["---", "---"]), *rows])


def main(arguments: Sequence[str]) -> int:
    """Write the page; return 1 when a plan failed."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    results = read(Path(arguments[0]))
    made = f"Made on {datetime.now(UTC):%Y-%m-%d} with Python {platform.python_version()}."
    PAGE.write_text(page(results, made), encoding="utf-8")
    failed = sum(bool(result.problems) for result in results)
    print(f"{PAGE.name}: {len(results)} plans, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
