"""Searches that tests make suggestions of."""

from __future__ import annotations

from typing import Any

from modelmill.api.tuning import Tuning
from modelmill.tuning.ledger import Entry
from modelmill.tuning.space import seed_trials, space_of
from modelmill.tuning.suggest import Search, suggest

ALPHA = {"name": "alpha", "float": {"low": "1e-5", "high": "10", "log": True}}
DEPTH = {"name": "depth", "int": {"low": 2, "high": 9, "step": 3}}
KIND = {"name": "kind", "categorical": {"choices": ["a", 16, "true"]}}


def of(*parameters: Any, algorithm: str = "TPE", seed: int = 0, **more: Any) -> Search:
    tuning = Tuning.model_validate({"parameters": list(parameters), "maxTrials": 9, **more})
    space = space_of(tuning)
    return Search(space, algorithm, seed, "Maximize", tuple(seed_trials(tuning, space)))


def played(search: Search, count: int, parallel: int = 1) -> list[Entry]:
    """Return the ledger of a search whose trials score their alpha; of those at a time the last one ends first."""
    entries: list[Entry] = []
    while len(entries) < count:
        for values in suggest(search, entries, parallel):
            entries.append(Entry(len(entries), values))
        for place in range(len(entries) - 1, len(entries) - 1 - parallel, -1):
            value = -abs(float(entries[place].parameters["alpha"]) - 0.1)
            entries[place] = Entry(place, entries[place].parameters, state="Succeeded", value=value)
    return entries[:count]
