"""The page about what a served version was asked: the verdict first, then what it rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from modelmill.contracts import counts as c
from modelmill.contracts import verdict as v
from modelmill.contracts.artifact import FeatureProfile, Profile
from modelmill.contracts.counts import Counts, History, Reference, Ring
from modelmill.contracts.drift_report import ReportSpec
from modelmill.contracts.names import BIN_MISSING
from modelmill_trainer.report.chart import BLUE, GREEN, PURPLE, VERMILLION, Axis, Chart, Entry, Figure
from modelmill_trainer.report.environment import MAX_NAME, page_environment
from modelmill_trainer.report.histograms import bins_of, histogram
from modelmill_trainer.report.svg import cut_letters

TEMPLATE = "drift.html.j2"
MAX_DRAWN = 24
"""Most features with a picture: those that shifted most."""
MAX_LISTED = 100
MAX_LINES = 4
HOUR = 3600.0
COLORS = (VERMILLION, BLUE, GREEN, PURPLE)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table of what is watched. missing, known: shares in the window and in training. Empty texts: not told."""

    subject: v.Subject
    missing: float
    known: float
    invalid: float
    near: float
    far: float
    kinds: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What the page is about. moment: end of the windows, Unix time. counts: of the drift window; labels: of the other one."""

    spec: ReportSpec
    reference: Reference
    ring: Ring
    moment: float
    counts: Counts
    labels: Counts
    verdict: v.Verdict


def render(spec: ReportSpec, history: History | None, profile: Profile | None, notes: Sequence[str]) -> str:
    """Return the HTML page: no script, nothing from elsewhere, under `environment.MAX_BYTES` whatever the data is called.

    history: what the operator counted, None where there is nothing. profile: of the artifact, None where it is not known.
    notes: what people should know of both.
    """
    looked = _looked(spec, history)
    subjects = _ordered(looked.verdict)
    found = v.quality(looked.labels, spec.holdout, spec.maximum, spec.min_labels)
    by_feature = _by_feature(looked.counts)
    drawn = [_drawn(looked, one, by_feature, profile) for one in subjects[:MAX_DRAWN]]
    if looked.verdict.prediction is not None:
        drawn.insert(0, _drawn(looked, looked.verdict.prediction, by_feature, profile))
    return page_environment().get_template(TEMPLATE).render(
        spec=spec,
        end=_time(looked.moment),
        window=_duration(looked.ring.seconds * c.SLOTS),
        conclusion=_conclusion(looked.verdict, spec.limits),
        problems=looked.verdict.problems[:MAX_LISTED],
        prediction=looked.verdict.prediction,
        lines=[_line(looked, one, by_feature) for one in subjects[:MAX_LISTED]],
        limits=spec.limits,
        share=looked.verdict.share,
        quality=_quality(found, looked.labels),
        judged=_judged(found, spec),
        figures=drawn,
        undrawn=max(len(subjects) - MAX_DRAWN, 0),
        times=_times(looked, subjects),
        reference_rows=looked.reference.rows,
        trained=None if looked.reference.trained is None else _time(looked.reference.trained),
        notes=notes,
    )  # fmt: skip


def _looked(spec: ReportSpec, history: History | None) -> Looked:
    history = history or History("", spec.version, Reference(), {})
    ring = history.rings.get(c.DRIFT_RING) or Ring(HOUR / c.SLOTS)
    labels = history.rings.get(c.QUALITY_RING) or Ring(24 * HOUR / c.SLOTS)
    # A Job that waited is about what came while it did.
    last = max(ring.slots, default=0) * ring.seconds
    moment = max(datetime.fromisoformat(spec.created).timestamp(), last)
    counted = ring.total(moment)
    judged = v.judge(history.reference, counted, spec.limits)
    return Looked(spec, history.reference, ring, moment, counted, labels.total(moment), judged)


def _ordered(verdict: v.Verdict) -> list[v.Subject]:
    """Return the features, those that shifted most first."""
    return sorted(
        verdict.features, key=lambda one: (not one.shifted, -one.index * one.importance, -one.index, one.name)
    )


def _by_feature(counts: Counts) -> Mapping[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for key, value in counts.items():
        if key[0] == c.BIN:
            found.setdefault(key[1], {})[key[2]] = value
    return found


def _conclusion(verdict: v.Verdict, limits: v.Limits) -> tuple[str, str]:
    """Return (style, sentences)."""
    rows = f"{verdict.rows:,.0f} rows"
    if verdict.problems:
        count = len({one.feature for one in verdict.problems})
        features = "a feature" if count == 1 else f"{count} features"
        return "bad", f"Stop and look: something is wrong with the data of {features}. No training mends that."
    if not verdict.rows:
        return "neutral", "No row came in the window."
    if verdict.drifted is None:
        return (
            "neutral",
            f"Nothing is judged: {rows} came, and {limits.rows:,} of a feature, or of the prediction, are needed.",
        )
    by_prediction = verdict.prediction is not None and bool(verdict.prediction.shifted)
    share = f"features with {verdict.share:.0%} of the importance have shifted, and {limits.share:.0%} count as drift"
    if verdict.drifted:
        why = f"the prediction has shifted; {share}" if by_prediction else share
        return "bad", f"Drifted, by {rows}: {why}."
    return "good", f"No drift, by {rows}: {share}, and the prediction has not shifted."


def _line(looked: Looked, subject: v.Subject, by_feature: Mapping[str, Mapping[str, float]]) -> Line:
    name, counts = subject.name, looked.counts
    counted = by_feature.get(name, {})
    total = sum(counted.values())
    known = looked.reference.features[name].shares.get(BIN_MISSING, 0.0)
    near, far = (counts.get((c.OUT_OF_RANGE, name, where), 0.0) for where in ("near", "far"))
    kinds = ", ".join(one.kind for one in looked.verdict.problems if one.feature == name)
    missing = counted.get(BIN_MISSING, 0.0) / total if total else 0.0
    return Line(subject, missing, known, counts.get((c.INVALID, name), 0.0), near, far, kinds)


def _drawn(
    looked: Looked, subject: v.Subject, by_feature: Mapping[str, Mapping[str, float]], profile: Profile | None
) -> Figure:
    told = f"{subject.rows:,.0f} rows: PSI {max(subject.index, 0.0):.3f} without the {subject.chance:.3f} that chance adds. "
    told += {True: "Shifted.", False: "Not shifted.", None: "Too few rows to judge by."}[subject.shifted]
    known: FeatureProfile | None
    if subject is looked.verdict.prediction:
        counted = {key[1]: value for key, value in looked.counts.items() if key[0] == c.PREDICTION}
        known = profile.prediction if profile is not None else None
        return histogram("The prediction", told, bins_of(looked.reference.prediction, counted, known))
    known = profile.features.get(subject.name) if profile is not None else None
    shares = looked.reference.features[subject.name].shares
    bins = bins_of(shares, by_feature.get(subject.name, {}), known)
    return histogram(cut_letters(subject.name, MAX_NAME), told, bins)


def _times(looked: Looked, subjects: Sequence[v.Subject]) -> list[Figure]:
    """Return how rows and shifts went, slot by slot; nothing without a row."""
    ring, end = looked.ring, looked.moment
    number = ring.number(end)
    slots = {at: slot for at, slot in sorted(ring.slots.items()) if number - c.SLOTS < at <= number}
    least = looked.spec.limits.rows / c.SLOTS
    judged = {at: v.judge(looked.reference, slot, looked.spec.limits) for at, slot in slots.items()}
    if not any(one.rows for one in judged.values()):
        return []
    unit, name = _unit(ring.seconds * c.SLOTS)
    across = Axis(f"{name} before {_time(end)}", -ring.seconds * c.SLOTS / unit, 0.0)

    def middle(at: int) -> float:
        return min((at + 0.5) * ring.seconds - end, 0.0) / unit

    rows = {at: one.rows for at, one in judged.items()}
    told = "Rows in each part of the window."
    counted = Chart("Rows", told, across, Axis("rows", 0.0, max(rows.values())))
    for at, value in rows.items():
        begin, over = (
            max((at * ring.seconds - end) / unit, across.low),
            min(((at + 1) * ring.seconds - end) / unit, 0.0),
        )
        counted.bar(begin, max(over, begin), value)
    names = [one.name for one in subjects[: MAX_LINES - 1]]
    lines = {v.PREDICTION: [(at, one.prediction) for at, one in judged.items()]} | {
        f"feature {name}": [(at, found) for at, one in judged.items() for found in one.features if found.name == name]
        for name in names
    }
    points = {
        line: [(middle(at), max(one.index, 0.0)) for at, one in found if one is not None and one.rows >= least]
        for line, found in lines.items()
    }
    return [counted.figure(), _shifts(points, across, looked.spec.limits, least)]


def _shifts(
    points: Mapping[str, Sequence[tuple[float, float]]], across: Axis, limits: v.Limits, least: float
) -> Figure:
    told = (
        f"PSI of the rows of each part of the window that has at least {math.ceil(least)}, of the prediction and the features "
        f"that shifted most; dashed: {limits.psi:g}, above which a subject has shifted."
    )
    most = max([1.25 * limits.psi, *(value for line in points.values() for _, value in line)])
    shown = [
        (cut_letters(name, MAX_NAME), line, color) for (name, line), color in zip(points.items(), COLORS, strict=False)
    ]
    legend = [Entry(name, color) for name, _, color in shown]
    chart = Chart("PSI over time", told, across, Axis("PSI", 0.0, most), legend=legend)
    chart.line([(across.low, limits.psi), (0.0, limits.psi)], "#888888", 1, "4 4")
    for _, line, color in shown:
        chart.line(line, color)
        chart.dots(line, color, 3.0)
    return chart.figure()


def _quality(found: v.Quality, counts: Counts) -> list[tuple[str, str]]:
    """Return what labels say, by name."""
    if not found.labels or found.error is None:
        return []
    predictions, delayed = counts.get((c.PREDICTIONS,), 0.0), counts.get((c.DELAY, "count"), 0.0)
    scored = counts.get((c.LABEL, "scored"), 0.0)
    told = [("labels", f"{found.labels:,.0f}")]
    if predictions:
        told.append(("coverage: labels by predictions of the same time", f"{found.labels / predictions:.1%}"))
    if delayed:
        told.append(("mean time from the answer to its label", _duration(counts.get((c.DELAY, "sum"), 0.0) / delayed)))
    if scored:
        told.append(("mean absolute error", f"{found.error:,.4g}"))
        told.append(("root mean squared error", f"{math.sqrt(counts.get((c.ERROR, 'squared'), 0.0) / scored):,.4g}"))
    else:
        told += [("wrong labels", f"{found.error:.2%}"), ("accuracy", f"{1 - found.error:.2%}")]
    if found.limit is not None:
        told.append(("error that is borne", f"{found.limit:,.4g}"))
    return told


def _judged(found: v.Quality, spec: ReportSpec) -> tuple[str, str]:
    """Return (style, sentence) about the quality."""
    if found.worse is None:
        if not found.labels:
            return "neutral", "No label came in the window."
        if found.labels < spec.min_labels:
            return "neutral", f"Nothing is judged: {spec.min_labels:,} labels are needed."
        return "neutral", "Nothing is judged: the error on the hold-out of the version is not known."
    if found.worse:
        return "bad", "Worse than is borne, by more than chance makes."
    return "good", "Not worse than is borne."


def _unit(seconds: float) -> tuple[float, str]:
    """Return the seconds of a unit in which a time is told, and its name."""
    for size, name in ((24 * HOUR, "days"), (HOUR, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return size, name
    return 1.0, "seconds"


def _duration(seconds: float) -> str:
    size, name = _unit(seconds)
    return f"{seconds / size:.3g} {name}"


def _time(moment: float) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "a time that is no time"
