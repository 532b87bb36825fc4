"""Ledgers of searches that never were."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from modelmill.contracts.stage import RankedTrial, Search
from modelmill_trainer.trials import Trial, Trials, ranked


def made_trials(count: int, *, seed: int = 0) -> Trials:
    """Return trials: `rate` decides, `kind` a little, `depth` belongs to one kind only, and `noise` does nothing."""
    random = np.random.default_rng(seed)
    made = []
    for index in range(count):
        rate, kind = 10 ** random.uniform(-4, 0), str(random.choice(["boosting", "forest", "line"]))
        parameters: dict[str, float | str] = {"rate": rate, "kind": kind, "noise": float(random.uniform(0, 1))}
        if kind == "forest":
            parameters["depth"] = float(random.integers(2, 12))
        value = 0.9 - 0.1 * abs(math.log10(rate) + 2) + 0.03 * (kind == "forest") + float(random.normal(0, 0.005))
        state = "Failed" if index % 17 == 5 else "Pruned" if index % 11 == 3 else "Succeeded"
        made.append(Trial(index, state, value if state == "Succeeded" else None, parameters))
    return Trials(tuple(made))


def search_of(made: Trials, **changes: Any) -> Search:
    """Return what the operator tells of the search that made the trials."""
    best = ranked(made.succeeded(), changes.get("direction", "Maximize"))[:10]
    parts: dict[str, Any] = {
        "algorithm": "TPE", "seed": 3, "objective_metric": "accuracy", "direction": "Maximize", "trials": len(made.trials),
        "succeeded": len(made.succeeded()), "failed": 0, "pruned": 0, "validation": "5 folds",
        "best_index": best[0].index if best else 0, "best_value": (best[0].value or 0.0) if best else 0.0,
        "best": tuple(RankedTrial(one.index, one.value or 0.0, dict(one.parameters)) for one in best),
    }  # fmt: skip
    return Search(**(parts | changes))
