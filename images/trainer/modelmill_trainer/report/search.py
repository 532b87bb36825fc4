"""The search that chose the parameters, in pictures: its trials, told by the operator's ledger.

Values are those of the validation rows, which are rows of the training data: the hold-out chose nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from modelmill.contracts.stage import Search
from modelmill_trainer.lineage import told_search
from modelmill_trainer.report.chart import BLUE, PURPLE, VERMILLION, WIDTH, Axis, Chart, Entry, Figure, spans_decades
from modelmill_trainer.report.figures import bars, thinned
from modelmill_trainer.report.svg import FONT, GREY, Drawing, LogScale, Scale, cut_letters, spoken, width_of
from modelmill_trainer.trials import Trial, Trials, ranked

MAX_DOTS = 500
MAX_SLICES = 12
MAX_AXES = 12
MAX_CATEGORIES = 12
MAX_NAME = 60
LINES = 150
BEST = 10
LEAST_TRIALS = 10
TREES = 64
FAR = 4
"""Standard errors on the hold-out. The validation has an error of its own, mostly a smaller one."""
ABSENT = "(none)"
"""Place of a trial that has not the parameter, because another one decides whether it has."""
_STEP = 62.0


@dataclass(frozen=True, slots=True)
class Found:
    """What the page says about a search.

    told: sentences. objective: (metric, on the validation rows, on the hold-out or None where it was not measured there).
    best: (trial, value, parameters) of the best ones.
    """

    told: list[str]
    objective: tuple[str, float, float | None]
    best: list[tuple[int, float, str]]
    plots: list[Figure]


def found(
    search: Search, trials: Trials | None, metrics: Mapping[str, float], error: float | None = None, published: str = ""
) -> Found:
    """Return what is told. trials: all that the ledger has, None where it was not brought. metrics: on the hold-out.

    error: standard error of the objective on the hold-out; None where it is not known. published: which model this is.
    """
    model = [published[0].upper() + published[1:]] if published else []
    told = [told_search(search), *model, *_apart(search, metrics.get(search.objective_metric), error)]
    if trials is None:
        told.append("The other trials are not shown: the ledger of the search was not brought to this stage")
    elif trials.unread or len(trials.trials) < search.trials:
        told.append(
            f"{len(trials.trials)} of {search.trials} trials are shown: the others could not be read in the ledger"
        )
    return Found(
        told,
        (_metric(search), search.best_value, metrics.get(search.objective_metric)),
        [(one.index, one.value, _spoken(one.parameters)) for one in search.best],
        [] if trials is None else pictures(search, trials),
    )


def _apart(search: Search, value: float | None, error: float | None) -> list[str]:
    """Return the warning where the value on the hold-out lies further from that of the best trial than chance makes likely."""
    if value is None or error is None or abs(value - search.best_value) <= FAR * error:
        return []
    better = (value > search.best_value) == (search.direction == "Maximize")
    why = (
        "its rows are easier than the validation rows: look at how it is chosen"
        if better
        else "the rows differ, or the best of many trials was lucky: trust the hold-out, and validate with more folds or rows"
    )
    return [
        f"Warning: on the hold-out {_metric(search)} is {value:.4g}, on the validation rows it was {search.best_value:.4g}. "
        f"They lie more than {FAR} standard errors ({error:.2g} each) apart: {why}"
    ]


def _spoken(parameters: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in sorted(parameters.items()))


def pictures(search: Search, trials: Trials) -> list[Figure]:
    """Return the pictures of a search, the most important parameters first; none without a trial that has a value."""
    done = trials.succeeded()
    if not done:
        return []
    share = importance(trials)
    names = list(share) if share else trials.names()
    made = [_history(search, trials)]
    if share:
        told = (
            "Share of what the parameter explains of the order of the trials: the decrease of impurity in a random forest of "
            f"{TREES} trees, fitted on the {len(done)} trials with a value."
        )
        rows = [[name, f"{value:.1%}"] for name, value in share.items()]
        items = [(name, value, BLUE) for name, value in share.items()][:MAX_AXES]
        made.append(bars("Importance of the parameters", told, items, "share", ["parameter", "share"], rows))
    if names:
        made.append(_parallel(search, trials, names[:MAX_AXES]))
    return [*made, *(_slice(search, trials, name) for name in names[:MAX_SLICES])]


def importance(trials: Trials) -> dict[str, float]:
    """Return the share by parameter, greatest first; empty for less than `LEAST_TRIALS` trials or values that are all equal.

    Ranks are explained, not values, so that a trial that fails grossly does not decide alone. Source: mean decrease in
    impurity, as in Hutter et al. 2014, "An Efficient Approach for Assessing Hyperparameter Importance", section 4, without the
    decomposition of its variance.
    """
    done = trials.succeeded()
    values = np.array([one.value for one in done])
    if len(done) < LEAST_TRIALS or len(np.unique(values)) < 2:
        return {}
    columns, owners = [], []
    for name in trials.names():
        if trials.numeric(name):
            numbers = np.array([one.parameters.get(name, np.nan) for one in done], dtype="float64")
            columns += [
                np.nan_to_num(numbers, nan=np.nanmin(numbers, initial=0.0) - 1.0),
                np.isnan(numbers).astype(float),
            ]
            owners += [name, name]
        else:
            texts = [str(one.parameters.get(name, ABSENT)) for one in done]
            for text in sorted(set(texts)):
                columns.append(np.array([float(one == text) for one in texts]))
                owners.append(name)
    if not columns:
        return {}
    ranks = np.searchsorted(np.sort(values), values).astype("float64")
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0, n_jobs=1).fit(
        np.column_stack(columns), ranks
    )
    found = dict.fromkeys(trials.names(), 0.0)
    for name, value in zip(owners, forest.feature_importances_.tolist(), strict=True):
        found[name] += value
    return dict(sorted(found.items(), key=lambda item: (-round(item[1], 9), item[0])))


def _history(search: Search, trials: Trials) -> Figure:
    done, metric = trials.succeeded(), _metric(search)
    low, high, beyond = _window(done, search.direction)
    others = [one for one in trials.trials if one.value is None]
    best, steps = done[0], [(done[0].index, done[0].value or 0.0)]
    for one in done[1:]:
        if ranked([best, one], search.direction)[0] is not best:
            best = one
        steps += [(one.index, steps[-1][1]), (one.index, best.value or 0.0)]
    told = f"Each trial by its number, and the best value so far. {search.direction} {metric} by {search.validation}."
    if beyond:
        told += f" {beyond} trials with worse values are drawn at the edge."
    if others:
        told += f" {len(others)} trials without a value are ticks at the bottom."
    legend = [Entry("a trial", BLUE), Entry("best so far", VERMILLION)]
    last = max(one.index for one in trials.trials)
    chart = Chart(
        "Optimisation history", told, Axis("trial", 0, max(last, 1)), Axis(metric, low, high), legend=legend
    )  # fmt: skip
    chart.dots([(one.index, _within(one.value or 0.0, low, high)) for one in _shown(done)], BLUE, 2.5)
    chart.line([(x, _within(y, low, high)) for x, y in steps], VERMILLION, 1.5)
    for one in others:
        x = chart.across(one.index)
        chart.drawing.line([(x, chart.up(chart.up.low)), (x, chart.up(chart.up.low) - 5)], PURPLE, 2)
    return chart.figure()


def _slice(search: Search, trials: Trials, name: str) -> Figure:
    """Return the values of the trials against one parameter."""
    having = [one for one in trials.succeeded() if name in one.parameters]
    metric, called = _metric(search), cut_letters(name, MAX_NAME)
    low, high, beyond = _window(trials.succeeded(), search.direction)
    places, axis = _places(trials, having, name)
    told = f"{len(having)} trials with a value that have this parameter; the best {min(BEST, len(having))} are larger."
    if axis.log:
        told += " Equal steps are equal factors."
    if beyond:
        told += " Worse values are drawn at the edge."
    chart = Chart(f"Slice of {called}", told, axis, Axis(metric, low, high))
    best = {one.index for one in ranked(having, search.direction)[:BEST]}
    placed = [one for one, place in zip(having, places, strict=True) if place >= 0 or not axis.names]
    points = {
        one.index: (place, _within(one.value or 0.0, low, high)) for one, place in zip(having, places, strict=True)
    }  # fmt: skip
    chart.dots([points[one.index] for one in _shown(placed) if one.index not in best], BLUE, 2.5)
    chart.dots([points[one.index] for one in placed if one.index in best], VERMILLION, 4)
    return chart.figure()


def _places(trials: Trials, having: Sequence[Trial], name: str) -> tuple[list[float], Axis]:
    """Return where each trial is on the axis of a parameter, -1 for a text that has no place, and the axis."""
    called = cut_letters(name, MAX_NAME)
    if trials.numeric(name):
        numbers = [float(one.parameters[name]) for one in having]
        if not numbers:
            return [], Axis(called)
        return numbers, Axis(called, min(numbers), max(numbers), log=spans_decades(numbers))
    texts = [str(one.parameters[name]) for one in having]
    known = sorted(set(texts))[:MAX_CATEGORIES]
    place = {text: float(number) for number, text in enumerate(known)}
    return [place.get(text, -1.0) for text in texts], Axis(
        called, names=[cut_letters(text, MAX_NAME) for text in known] or [ABSENT]
    )


def _parallel(search: Search, trials: Trials, names: Sequence[str]) -> Figure:
    """Return parallel coordinates with the axes below each other, so that they have room for their names on any screen."""
    done, metric = trials.succeeded(), _metric(search)
    order = ranked(done, search.direction)
    best = order[: max(1, len(order) // 10)]
    drawn = [order[place] for place in thinned(len(order), LINES).tolist()]
    shown = list({one.index: one for one in [*best, *drawn]}.values())[: LINES + BEST]
    told = "Each line is a trial, from its value at the top through its parameters. "
    told += f"The best {len(best)} are drawn over the others."
    if len(shown) < len(done):
        told += f" {len(shown)} of {len(done)} trials with a value, the best ones and others evenly from the rest."
    drawing = Drawing(WIDTH, 40 + _STEP * len(names) + 44, "Parallel coordinates", told)
    left, right = 16.0, WIDTH - 16
    low, high, _ = _window(done, search.direction)
    scales = [Scale(low, high, left, right)]
    lines = {one.index: [(scales[0](_within(one.value or 0.0, low, high)), 22.0)] for one in shown}
    axes: list[tuple[str, float, Scale, Sequence[str]]] = [(metric, 22.0, scales[0], ())]
    for number, name in enumerate(names, start=1):
        y = 22 + _STEP * number
        having = [one for one in shown if name in one.parameters]
        places, axis = _places(trials, having, name)
        scale = _scale(axis, left, right)
        axes.append((name, y, scale, axis.names))
        for one, place in zip(having, places, strict=True):
            if place >= 0 or not axis.names:
                lines[one.index].append((scale(place), y))
    strong = {one.index for one in best}
    for one in shown:
        if one.index not in strong:
            drawing.line(lines[one.index], BLUE, 1, opacity=0.3)
    for one in best[:LINES]:
        drawing.line(lines[one.index], VERMILLION, 1.5)
    for axis_name, y, scale, texts in axes:
        _axis(drawing, axis_name, y, scale, left, right, texts)
    return Figure("Parallel coordinates", told, drawing.markup())


def _scale(axis: Axis, left: float, right: float) -> Scale:
    if axis.names:
        return Scale(-0.5, len(axis.names) - 0.5, left, right)
    return LogScale(axis.low, axis.high, left, right) if axis.log else Scale(axis.low, axis.high, left, right)


def _axis(
    drawing: Drawing, name: str, y: float, scale: Scale, left: float, right: float, names: Sequence[str] = ()
) -> None:
    """Draw a level axis with its name above, to the right of which no line ends, and its places below."""
    drawing.line([(left, y), (right, y)], GREY)
    drawing.text(left, y - 8, name, most=right - left, halo=True)
    room = (right - left) / max(len(names), 1) - 6
    if names:
        for place, text in enumerate(names):
            drawing.line([(scale(place), y - 3), (scale(place), y + 3)], GREY)
            drawing.text(scale(place), y + 16, text, anchor="middle", most=room, halo=True)
        return
    low, high = spoken([scale.low, scale.high])
    drawing.text(left, y + 16, low, halo=True)
    if width_of(low) + width_of(high) + FONT < right - left:
        drawing.text(right, y + 16, high, anchor="end", halo=True)


def _window(done: Sequence[Trial], direction: str) -> tuple[float, float, int]:
    """Return the ends of the axis of values, and how many trials are worse than fits: gross failures would hide the rest."""
    values = np.array([one.value for one in done])
    low, high = float(values.min()), float(values.max())
    first, third = np.quantile(values, [0.25, 0.75])
    reach = 3 * float(third - first)
    if reach > 0 and direction == "Maximize":
        low = max(low, float(first) - reach)
    elif reach > 0:
        high = min(high, float(third) + reach)
    return low, high, int(((values < low) | (values > high)).sum())


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _shown(trials: Sequence[Trial]) -> list[Trial]:
    return [trials[place] for place in thinned(len(trials), MAX_DOTS).tolist()] if trials else []


def _metric(search: Search) -> str:
    return cut_letters(search.objective_metric, MAX_NAME)
