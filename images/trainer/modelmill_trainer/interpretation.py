"""How a model comes to its answers, seen from outside: partial dependence, and contributions to the answers for three rows.

The model is a black box here: it is only asked for predictions of rows whose values are put together from those of the data.
How many it is asked for depends on the data alone, never on a clock, so that the same inputs give the same report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from modelmill_trainer.failure import StageError
from modelmill_trainer.metrics import require_finite
from modelmill_trainer.model_document import CLASSIFICATION
from modelmill_trainer.models import PREDICT, PROBABILITIES, Model, Outputs

MAX_DEPENDENCES = 6
MAX_GRID = 20
MAX_GRID_CATEGORIES = 10
DEPENDENCE_ROWS = 200
MAX_LINES = 3
PLAYERS = 30
PAIRS = 100
"""Pairs of orders for each explained row; 2 * PAIRS * (PLAYERS + 1) predictions."""
AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Dependence:
    """The mean answer for the same rows when a feature has this value in all of them.

    grid: numbers, or texts for a category. answers: [places of the grid, lines].
    """

    feature: str
    grid: tuple[float | str, ...]
    answers: np.ndarray

    @property
    def numeric(self) -> bool:
        """Whether the feature is a number."""
        return not any(isinstance(place, str) for place in self.grid)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What the value of a feature adds to the answer. feature: None for all others together, then `value` is how many.

    error: standard error of the amount, from the orders that were drawn.
    """

    feature: str | None
    value: Any
    amount: float
    error: float


@dataclass(frozen=True, slots=True)
class Explained:
    """One row of the hold-out. row: its number, from 1. why: for people. answer: prediction or label; actual: the target.

    score: what is explained, the prediction, or the probability of the label. base: its mean over the background rows;
    base and all contributions add up to the score. contributions: the greatest amount first, the others last.
    """

    row: int
    why: str
    answer: Any
    actual: Any
    score: float
    base: float
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Interpretation:
    """lines: labels of a classifier whose probability the dependences show, one for each line; None for a regression's answer.

    sampled: rows that the dependences are the mean of. missing: why there is nothing, in a sentence; empty when there is.
    """

    lines: tuple[Any, ...] = (None,)
    dependences: tuple[Dependence, ...] = ()
    sampled: int = 0
    explained: tuple[Explained, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The hold-out as the model takes it, its targets, and the model's answers. train: the rows that it was trained on."""

    frame: pd.DataFrame
    target: np.ndarray
    outputs: Outputs
    train: pd.DataFrame


def interpret(model: Model, rows: Answered, important: Sequence[str], seed: int) -> Interpretation:
    """Return the interpretation, or one that says why there is none: a model may fail on rows that no data had.

    important: features, the most important first.
    """
    try:
        lines = _lines(model, rows.target)
        random = np.random.default_rng(seed)
        sample = rows.frame.iloc[_drawn(random, len(rows.frame), DEPENDENCE_ROWS)].reset_index(drop=True)
        return Interpretation(
            lines,
            tuple(
                Dependence(name, grid, _dependence(model, sample, name, grid, lines))
                for name in important[:MAX_DEPENDENCES]
                if (grid := _grid(rows.train[name]))
            ),
            len(sample),
            tuple(_explain(model, rows, place, why, important, random) for place, why in _chosen(model, rows)),
        )
    except StageError as error:
        return Interpretation(missing=" ".join(error.messages))
    except Exception as error:  # a model may raise anything, and there is enough to publish without this
        return Interpretation(missing=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _lines(model: Model, target: np.ndarray) -> tuple[Any, ...]:
    if model.task != CLASSIFICATION:
        return (None,)
    if len(model.classes) == 2:
        return (model.classes[1],)
    counts = Counter(target.tolist())
    return tuple(sorted(model.classes, key=lambda label: (-counts[label], str(label)))[:MAX_LINES])


def _drawn(random: np.random.Generator, count: int, most: int) -> np.ndarray:
    return np.sort(random.choice(count, most, replace=False)) if count > most else np.arange(count)


def _grid(column: pd.Series) -> tuple[float | str, ...]:
    """Return the values at which a feature is looked at: between its 2nd and 98th percentile, or its most frequent texts."""
    present = column.dropna()
    if column.dtype.kind in "fiu":
        values = present.to_numpy(dtype="float64")
        distinct = np.unique(values)
        if len(distinct) > MAX_GRID:
            distinct = np.unique(np.quantile(values, np.linspace(0.02, 0.98, MAX_GRID)))
        return tuple(distinct.tolist())
    counts = present.value_counts()
    return tuple(sorted(counts.index, key=lambda value: (-counts[value], value))[:MAX_GRID_CATEGORIES])


def _dependence(
    model: Model, sample: pd.DataFrame, name: str, grid: tuple[float | str, ...], lines: tuple[Any, ...]
) -> np.ndarray:
    """Return [places of the grid, lines]. Source: Friedman 2001, "Greedy Function Approximation", section 8.2."""
    tiled = sample.iloc[np.tile(np.arange(len(sample)), len(grid))].reset_index(drop=True)
    tiled[name] = pd.Series(np.repeat(np.array(grid, dtype=sample[name].dtype), len(sample)), dtype=sample[name].dtype)
    answers = _scores(model, tiled, lines)
    made: np.ndarray = answers.reshape(len(grid), len(sample), len(lines)).mean(axis=1)
    return made


def _scores(model: Model, frame: pd.DataFrame, lines: tuple[Any, ...]) -> np.ndarray:
    """Return [rows, lines]: predictions, or probabilities of these labels; 1 and 0 where there are none."""
    parts = []
    for start in range(0, len(frame), AT_ONCE):
        outputs = model.outputs(frame.iloc[start : start + AT_ONCE])
        require_finite(outputs, "that are put together to explain its answers")
        parts.append(_of_lines(model, outputs, lines))
    return np.concatenate(parts)


def _of_lines(model: Model, outputs: Outputs, lines: tuple[Any, ...]) -> np.ndarray:
    if model.task != CLASSIFICATION:
        return outputs[PREDICT].astype("float64").reshape(-1, 1)
    chances = outputs.get(PROBABILITIES)
    if chances is None:
        labels = outputs[PREDICT].tolist()
        return np.array([[float(label == line) for line in lines] for label in labels])
    return chances[:, [model.classes.index(line) for line in lines]].astype("float64")


def _chosen(model: Model, rows: Answered) -> list[tuple[int, str]]:
    """Return (place, why) of at most three rows of the hold-out, each one once."""
    answers = rows.outputs[PREDICT]
    if model.task != CLASSIFICATION:
        predicted = answers.astype("float64")
        order = np.argsort(predicted, kind="stable")
        off = np.abs(predicted - rows.target.astype("float64"))
        wanted = [
            (int(order[-1]), "the greatest prediction"),
            (int(order[len(order) // 2]), "a prediction in the middle"),
            (int(off.argmax()), "the greatest error"),
        ]
    else:
        right = np.array([a == b for a, b in zip(answers.tolist(), rows.target.tolist(), strict=True)])
        chances = rows.outputs.get(PROBABILITIES)
        sure = np.ones(len(right)) if chances is None else chances.max(axis=1)
        wanted = [
            (int(places[np.argsort(by[places], kind="stable")[0]]), why)
            for places, by, why in (
                (np.flatnonzero(right), -sure, "right, and the surest"),
                (np.flatnonzero(~right), -sure, "wrong, and the surest"),
                (np.arange(len(right)), sure, "the least sure"),
            )
            if places.size
        ]
    return list({place: (place, why) for place, why in reversed(wanted)}.values())[::-1]


def _explain(
    model: Model, rows: Answered, place: int, why: str, important: Sequence[str], random: np.random.Generator
) -> Explained:
    """Return the Shapley values of a row's features by sampling orders; each begins from a row drawn from the hold-out.

    Source: Strumbelj, Kononenko 2014, "Explaining prediction models and individual predictions with feature contributions".
    Each order is also gone through backwards, which makes the error smaller (Mitchell et al. 2022, "Sampling Permutations for
    Shapley Value Estimation"). Features beyond the most important ones are one player.
    """
    answer = rows.outputs[PREDICT].tolist()[place]
    actual = rows.target.tolist()[place]
    alone = list(important[:PLAYERS])
    others = [str(name) for name in rows.frame.columns if name not in set(alone)]
    players = [[name] for name in alone] + ([others] if others else [])
    orders = np.array([random.permutation(len(players)) for _ in range(PAIRS)])
    orders = np.concatenate([orders, orders[:, ::-1]])
    background = np.tile(random.choice(len(rows.frame), PAIRS, replace=len(rows.frame) < PAIRS), 2)
    # turned[o, s, p]: after s steps of order o, player p has the row's own value.
    rank = np.argsort(orders, axis=1)
    turned = np.arange(len(players) + 1)[None, :, None] > rank[:, None, :]
    flat = turned.reshape(-1, len(players))
    mixed = _mixed(rows.frame, place, np.repeat(background, len(players) + 1), players, flat)
    scores = _scores(model, mixed, (answer,))[:, 0].reshape(len(orders), len(players) + 1)
    steps = np.diff(scores, axis=1)
    amounts = np.take_along_axis(steps, rank, axis=1)
    paired = (amounts[:PAIRS] + amounts[PAIRS:]) / 2
    error = paired.std(axis=0, ddof=1) / np.sqrt(PAIRS)
    values = [rows.frame[name].iloc[place] for name in alone] + ([len(others)] if others else [])
    named: list[str | None] = [*alone, *([None] if others else [])]
    made = [
        Contribution(*item) for item in zip(named, values, paired.mean(axis=0).tolist(), error.tolist(), strict=True)
    ]
    made.sort(key=lambda item: (item.feature is None, -abs(item.amount), item.feature or ""))
    base, score = float(scores[:, 0].mean()), float(scores[:, -1].mean())
    return Explained(place + 1, why, answer, actual, score, base, tuple(made))


def _mixed(
    frame: pd.DataFrame, place: int, background: np.ndarray, players: Sequence[Sequence[str]], turned: np.ndarray
) -> pd.DataFrame:
    """Return rows of the background, with the values of the row at `place` where a player has turned."""
    made = {}
    for number, names in enumerate(players):
        for name in names:
            values = frame[name].to_numpy()
            made[name] = np.where(turned[:, number], values[place : place + 1], values[background])
    return pd.DataFrame(made, columns=frame.columns)
