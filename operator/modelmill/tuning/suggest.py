"""Which parameters the next trial gets: a pure function of the space, the algorithm and the trials so far.

A study of Optuna is made anew for each suggestion from the ledger, asked once and thrown away, so that nothing but the ledger
need survive. Every trial is told in the order of its index, since numbers of a study are given in the order in which trials are
added. The sampler's seed is made of the search's seed and the trial's index: a sampler that begins again with one seed would
suggest the first points again.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from modelmill.tuning.ledger import SUCCEEDED, Entry, State
from modelmill.tuning.space import Axis, Values, combinations, fits, size

if TYPE_CHECKING:
    import optuna

TRIES: Final = 20
"""How often a sampler is asked again when it repeats a trial of a space that has an end."""
RANDOM_FIRST: Final = 10
"""Trials that TPE draws at random before it has enough results to go by."""
GRID: Final = "Grid"
TPE: Final = "TPE"


@dataclass(frozen=True, slots=True)
class Search:
    """What a suggestion follows from beside the trials so far. algorithm: Random, Grid or TPE. seeds: the first trials."""

    space: tuple[Axis, ...]
    algorithm: str
    seed: int
    direction: str
    seeds: tuple[Values, ...] = ()


def suggest(search: Search, entries: Sequence[Entry], count: int) -> list[dict[str, str]]:
    """Return the parameters of the next `count` trials after `entries`; fewer when the space is exhausted."""
    known = list(entries)
    found = []
    for _ in range(count):
        values = _next(search, known)
        if values is None:
            break
        found.append(values)
        known.append(Entry(len(known), values))
    return found


def _next(search: Search, entries: Sequence[Entry]) -> dict[str, str] | None:
    index = len(entries)
    tried = {_key(one.parameters) for one in entries}
    given = search.seeds[index] if index < len(search.seeds) else {}
    if search.algorithm == GRID and not given:
        return next((one for one in combinations(search.space) if _key(one) not in tried), None)
    end = _size(search.space)
    if end is not None and len(tried) >= end:
        return None
    values: dict[str, str] = {}
    for again in range(TRIES):
        values = _asked(search, entries, given, _seed(search.seed, index, again))
        if end is None or given or _key(values) not in tried:
            return values
    if end is None:
        return values
    draw = random.Random(_seed(search.seed, index, TRIES))  # noqa: S311 - repeatable on purpose
    left = end - len(tried)
    return next(
        islice((one for one in combinations(search.space) if _key(one) not in tried), draw.randrange(left), None)
    )


@cache
def _size(space: tuple[Axis, ...]) -> int | None:
    return size(space)


def _key(values: Values) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


def _seed(seed: int, index: int, again: int) -> int:
    digest = hashlib.sha256(f"{seed}/{index}/{again}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _asked(search: Search, entries: Sequence[Entry], given: Values, seed: int) -> dict[str, str]:
    """Ask Optuna for one trial; `given` values are taken as they are."""
    # Half a second and 30 MB, which only a search is to cost.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        # `group` is called experimental; the requirements pin the major version.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            study_name="search",
            direction="maximize" if search.direction == "Maximize" else "minimize",
            sampler=_sampler(search, seed),
        )
    distributions = {axis.name: _distribution(axis) for axis in search.space}
    # What another release has tried may lie outside of the documented spaces of this one.
    for one in (one for one in entries if fits(one.parameters, search.space)):
        study.add_trial(_told(one, search.space, distributions))
    if given:
        axes = {axis.name: axis for axis in search.space}
        study.enqueue_trial({name: _value(axes[name], text) for name, text in given.items()})
    trial = study.ask()
    values: dict[str, str] = {}
    for axis in search.space:
        if axis.active(values):
            values[axis.name] = axis.nearest(_drawn(trial, axis))
    return values


def _drawn(trial: optuna.Trial, axis: Axis) -> str:
    if axis.choices:
        return str(trial.suggest_categorical(axis.name, axis.choices))
    if axis.integer:
        low, high, step = _whole(axis)
        return str(trial.suggest_int(axis.name, low, high, step=step, log=axis.log))
    if axis.step is not None:
        return axis.value_at(trial.suggest_int(axis.name, 0, axis.steps()))
    return repr(trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log))


def _whole(axis: Axis) -> tuple[int, int, int]:
    """Return low, the greatest value that is so many steps above it, and step."""
    low, step = int(axis.low), int(axis.step or 1)
    return low, low + (int(axis.high) - low) // step * step, step


def _sampler(search: Search, seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    if search.algorithm != TPE:
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        seed=seed,
        n_startup_trials=RANDOM_FIRST,
        multivariate=True,
        group=any(axis.when is not None for axis in search.space),
        constant_liar=True,
    )


def _distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    """Return what Optuna knows of an axis. Steps of a float are counted: with doubles it finds another last step than we do."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.choices:
        return CategoricalDistribution(axis.choices)
    if axis.integer:
        low, high, step = _whole(axis)
        return IntDistribution(low, high, log=axis.log, step=step)
    if axis.step is not None:
        return IntDistribution(0, axis.steps())
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _value(axis: Axis, text: str) -> Any:
    """Return the value that a distribution knows."""
    if axis.choices:
        return text
    if axis.integer:
        return int(text)
    return float(text) if axis.step is None else axis.place_of(text)


def _told(
    entry: Entry, space: Sequence[Axis], distributions: Mapping[str, optuna.distributions.BaseDistribution]
) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    # A trial that was stopped tells as little about its parameters as one that failed.
    states: Mapping[State, TrialState] = {"Succeeded": TrialState.COMPLETE, "Running": TrialState.RUNNING}
    axes = {axis.name: axis for axis in space}
    return create_trial(
        state=states.get(entry.state, TrialState.FAIL),
        params={name: _value(axes[name], text) for name, text in entry.parameters.items()},
        distributions={name: distributions[name] for name in entry.parameters},
        value=entry.value if entry.state == SUCCEEDED else None,
    )
