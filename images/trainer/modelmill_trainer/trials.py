"""The trials of the search that chose a run's parameters: files that the operator mounts, one for each trial."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SUCCEEDED: Final = "Succeeded"
STATES: Final = (SUCCEEDED, "Failed", "Pruned", "Running")
MAX_TRIALS: Final = 5_000
MAX_ENTRY: Final = 64 << 10
MAX_PARAMETERS: Final = 64
_KEY = re.compile(r"\d{5}")  # key of a trial in the operator's ledger (modelmill.tuning.ledger)


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial. state: one of `STATES`. value: of the objective on the validation rows; a number when it succeeded.

    parameters: by name, numbers where the text is one.
    """

    index: int
    state: str
    value: float | None
    parameters: dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials in the order of their indexes. unread: how many files are no trial, or beyond the limit."""

    trials: tuple[Trial, ...]
    unread: int = 0

    def succeeded(self) -> list[Trial]:
        """Return the trials that have a value."""
        return [one for one in self.trials if one.state == SUCCEEDED]

    def names(self) -> list[str]:
        """Return the names of all parameters, sorted."""
        return sorted({name for one in self.trials for name in one.parameters})

    def numeric(self, name: str) -> bool:
        """Tell whether every trial that has the parameter has a number for it."""
        return all(isinstance(one.parameters[name], float) for one in self.trials if name in one.parameters)


def read_trials(folder: Path) -> Trials:
    """Return the trials in a folder. What is no trial is counted, never an error: the report can do without."""
    found: dict[int, Trial] = {}
    paths = sorted(path for path in folder.iterdir() if _KEY.fullmatch(path.name)) if folder.is_dir() else []
    for path in paths[:MAX_TRIALS]:
        trial = _read(path)
        if trial is not None and trial.index == int(path.name):
            found[trial.index] = trial
    return Trials(tuple(found.values()), len(paths) - len(found))


def _read(path: Path) -> Trial | None:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_ENTRY + 1)
        return None if len(content) > MAX_ENTRY else _trial(json.loads(content))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _trial(raw: dict[str, Any]) -> Trial | None:
    state, index = raw["state"], raw["index"]
    value: Any = raw.get("value")
    parameters = list(raw["parameters"].items())[:MAX_PARAMETERS]
    number = float(value) if type(value) in (int, float) and math.isfinite(value) else None
    if state not in STATES or type(index) is not int or (state == SUCCEEDED) != (number is not None):
        return None
    return Trial(index, state, number, {name: _plain(given) for name, given in parameters})


def _plain(given: Any) -> float | str:
    """Return the number that a parameter's text means, or the text. A truth value is a text."""
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        try:
            number = float(given)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    return str(given)


def ranked(trials: Sequence[Trial], direction: str) -> list[Trial]:
    """Return trials that succeeded, the best first; of equals the one that was suggested first."""
    sign = -1.0 if direction == "Maximize" else 1.0
    return sorted(trials, key=lambda one: (sign * (one.value or 0.0), one.index))
