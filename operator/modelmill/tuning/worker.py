"""The process that suggests: a request on each line of its input, an answer on a line of its output; it ends with its input.

It is a process of its own for three reasons: Optuna is loaded only while there are searches, a suggestion for a long ledger
does not hold up the control loop, and a sampler that hangs can be ended.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modelmill.kube.texts import fitted
from modelmill.tuning.ledger import Entry
from modelmill.tuning.space import Axis
from modelmill.tuning.suggest import Search, suggest

MAX_ERROR = 500


def request(search: Search, entries: Sequence[Entry], count: int) -> bytes:
    """Return the line that asks for the next `count` trials. Of the entries only what a sampler looks at is told."""
    told = [[one.parameters, one.state, one.value, one.reports] for one in entries]
    return json.dumps({"search": asdict(search), "entries": told, "count": count}).encode() + b"\n"


def answer(line: bytes) -> bytes:
    """Return the answer to a request: {"suggested": […]}, or {"error": "…"} when the sampler fails."""
    try:
        raw = json.loads(line)
        entries = [
            Entry(place, params, state=state, value=value, reports=reports)
            for place, (params, state, value, reports) in _placed(raw)
        ]
        told: Mapping[str, Any] = {"suggested": suggest(_search(raw["search"]), entries, raw["count"])}
    except Exception as error:  # a sampler's, of whatever kind: the search ends with its words
        told = {"error": fitted(f"{type(error).__name__}: {error}", MAX_ERROR)}
    return json.dumps(told).encode() + b"\n"


def _placed(raw: Mapping[str, Any]) -> enumerate[Any]:
    return enumerate(raw["entries"])


def _search(raw: Mapping[str, Any]) -> Search:
    space = tuple(_axis(one) for one in raw["space"])
    return Search(space, raw["algorithm"], raw["seed"], raw["direction"], tuple(raw["seeds"]))


def _axis(raw: Mapping[str, Any]) -> Axis:
    when = tuple(raw["when"]) if raw["when"] is not None else None
    return Axis(**{**raw, "choices": tuple(raw["choices"]), "when": when})


def main() -> int:
    """Answer requests until the input ends."""
    with suppress(OSError):
        # Where memory ends, the kernel takes this process before the operator itself.
        Path("/proc/self/oom_score_adj").write_text("1000")
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(answer(line))
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
