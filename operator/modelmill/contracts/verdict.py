"""What the counts of a window say: drift, what is wrong with the data, and quality by labels. Pure.

The rules for Prometheus say the same in its language; docs/reference/monitoring.md is the definition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from modelmill.contracts import counts as c
from modelmill.contracts.counts import Counts, FeatureReference, Reference
from modelmill.contracts.drift import stability
from modelmill.contracts.names import BIN_MISSING, BIN_OTHER

PREDICTION: Final = "prediction"
ROUNDING: Final = 1e-9
"""By which a share may miss its limit: shares of importance are decimal fractions, whose sums are not exact."""
MISSING_MORE: Final = 0.05
INVALID_MOST: Final = 0.05
FAR_MOST: Final = 0.05
SIGMAS: Final = 3.0
SCALE: Final = math.log10(4)
"""A shift of the magnitudes from which on values that spread nearly as before have another unit."""
SCALE_SPREAD: Final = (0.2, 0.02)
"""By how much their deviation may differ: a part of that of training, and a number beside."""
SMALL_SCALE: Final = math.log10(2.1)
"""The same where they spread quite as before: pounds in a kilogram are 2.2, centimetres in an inch 2.54, feet in a metre 3.28.

What is asked of a service moves by such factors as well, but hardly without spreading otherwise: rows of the upper half only
are narrower.
"""
SMALL_SCALE_SPREAD: Final = (0.03, 0.003)
SMALL_SCALE_ERRORS: Final = 2.0
"""Beside, so many standard errors of the deviation: d / sqrt(2 k) of k values."""
ONE_BIN: Final = 0.999
NOT_CONSTANT: Final = 0.9
VANISHED_OF: Final = 0.1
VANISHED_TO: Final = 0.001
ERROR_MOST: Final = 0.05
ERROR_REQUESTS: Final = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """From which on something counts; as in spec.monitoring.drift."""

    psi: float = 0.2
    share: float = 0.3
    rows: int = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """A feature, or the prediction. rows: without missing values. index: PSI without what chance adds; chance: that.

    importance: share of that of all watched features. shifted: None where there are too few rows to judge by.
    """

    name: str
    rows: float
    index: float
    chance: float
    importance: float
    shifted: bool | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a feature's data. kind: missing, invalid, out_of_range, unit, constant, vanished."""

    feature: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a window says. rows: of the subject with most. share: of the importance of judged features that shifted.

    drifted: None where nothing can be judged.
    """

    rows: float
    features: Sequence[Subject]
    prediction: Subject | None
    share: float
    drifted: bool | None
    problems: Sequence[Problem]

    @property
    def worst(self) -> Subject | None:
        """The judged subject whose shift weighs most: the features before the prediction."""
        judged = [one for one in self.features if one.shifted is not None]
        worst = max(judged, key=lambda one: (one.shifted, one.index * one.importance, one.index), default=None)
        if worst is None or not worst.shifted:
            return self.prediction if self.prediction is not None and self.prediction.shifted else worst
        return worst


@dataclass(frozen=True, slots=True)
class Holdout:
    """How wrong the version was on its hold-out. error: share of wrong labels, or mean absolute error.

    variance: of the error, as an estimate from so many rows. classes: whether it is a classifier.
    """

    error: float
    variance: float
    classes: bool

    @property
    def limit(self) -> float:
        """The error that is borne: a quarter more, and at least 0.05 more of wrong labels."""
        return max(self.error + 0.05, 1.25 * self.error) if self.classes else 1.25 * self.error


@dataclass(frozen=True, slots=True)
class Quality:
    """What labels say. error: None without labels. limit: None where nothing is known to compare with. worse: None unjudged."""

    labels: float
    error: float | None
    limit: float | None
    worse: bool | None


def judge(reference: Reference, counts: Counts, limits: Limits) -> Verdict:
    """Return what the counts of a window say."""
    bins = _bins(counts)
    equal = 1.0 / max(len(reference.features), 1)
    features = []
    problems: list[Problem] = []
    for name, one in reference.features.items():
        weight = equal if one.importance is None else one.importance
        features.append(_subject(name, one.shares, reference.rows, bins.get(name, {}), weight, limits))
        problems += _problems(name, one, bins.get(name, {}), counts, limits)
    prediction = None
    if reference.prediction:
        counted = {key[1]: value for key, value in counts.items() if key[0] == c.PREDICTION}
        prediction = _subject(PREDICTION, reference.prediction, reference.rows, counted, 0.0, limits)
    judged = [one for one in features if one.shifted is not None]
    weight = sum(one.importance for one in judged)
    share = sum(one.importance for one in judged if one.shifted) / weight if weight > 0 else 0.0
    by_prediction = prediction is not None and prediction.shifted
    known = bool(judged) or (prediction is not None and prediction.shifted is not None)
    drifted = bool(by_prediction or share >= limits.share - ROUNDING) if known else None
    every = [*features, *([prediction] if prediction is not None else [])]
    rows = max((one.rows for one in every), default=0.0)
    return Verdict(rows, features, prediction, share, drifted, problems)


def quality(counts: Counts, holdout: Holdout | None, maximum: float | None, least: int) -> Quality:
    """Return what the labels of a window say.

    maximum: the error that is borne; None for that of the hold-out with its tolerance. least: fewest labels to judge by.
    """
    limit = maximum if maximum is not None else holdout.limit if holdout is not None else None
    right, wrong = counts.get((c.LABEL, "correct"), 0.0), counts.get((c.LABEL, "wrong"), 0.0)
    scored = counts.get((c.LABEL, "scored"), 0.0)
    labels = right + wrong + scored
    if not labels:
        return Quality(0.0, None, limit, None)
    if scored:
        error = counts.get((c.ERROR, "absolute"), 0.0) / scored
        variance = max(counts.get((c.ERROR, "squared"), 0.0) / scored - error**2, 0.0) / scored
        estimate = error
    else:
        error = wrong / labels
        estimate = (wrong + 1) / (labels + 2)
        variance = estimate * (1 - estimate) / labels
    if labels < least or limit is None:
        return Quality(labels, error, limit, None)
    if maximum is None and holdout is not None and holdout.error > 0:
        variance += (limit / holdout.error) ** 2 * holdout.variance
    return Quality(labels, error, limit, estimate - limit > SIGMAS * math.sqrt(variance))


def failing(counts: Counts) -> bool | None:
    """Tell whether too many answers are the server's errors; None with too few requests."""
    requests = sum(value for key, value in counts.items() if key[0] == c.CODE)
    errors = sum(value for key, value in counts.items() if key[0] == c.CODE and key[1].startswith("5"))
    if requests < ERROR_REQUESTS:
        return None
    share = (errors + 1) / (requests + 2)
    return share - SIGMAS * math.sqrt(share * (1 - share) / requests) > ERROR_MOST


def _bins(counts: Counts) -> Mapping[str, Mapping[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for key, value in counts.items():
        if key[0] == c.BIN:
            found.setdefault(key[1], {})[key[2]] = value
    return found


def _subject(
    name: str,
    shares: Mapping[str, float],
    reference_rows: float | None,
    counted: Mapping[str, float],
    importance: float,
    limits: Limits,
) -> Subject:
    found = stability(shares, reference_rows, counted)
    if found is None:
        return Subject(name, 0.0, 0.0, 0.0, importance, None)
    shifted = found.index > limits.psi if found.rows >= limits.rows else None
    return Subject(name, found.rows, found.index, found.chance, importance, shifted)


def _problems(
    name: str, reference: FeatureReference, bins: Mapping[str, float], counts: Counts, limits: Limits
) -> list[Problem]:
    """Return what is wrong with a feature's data."""
    missing = bins.get(BIN_MISSING, 0.0)
    present = {bin_: bins.get(bin_, 0.0) for bin_ in reference.shares if bin_ != BIN_MISSING}
    total = sum(present.values()) + missing
    invalid = counts.get((c.INVALID, name), 0.0)
    found = []
    if total + invalid >= limits.rows and invalid / (total + invalid) > INVALID_MOST:
        text = f"{invalid / (total + invalid):.0%} of the requests are refused for its value"
        found.append(Problem(name, "invalid", text))
    if total < limits.rows:
        return found
    known = reference.shares.get(BIN_MISSING, 0.0)
    if missing / total > known + MISSING_MORE + SIGMAS * math.sqrt(known * (1 - known) / total):
        found.append(Problem(name, "missing", f"{missing / total:.0%} are missing, {known:.0%} in training"))
    far = counts.get((c.OUT_OF_RANGE, name, "far"), 0.0)
    if far / total > FAR_MOST:
        found.append(Problem(name, "out_of_range", f"{far / total:.0%} lie far outside the range of training"))
    if total - missing >= limits.rows:
        found += _of_values(name, reference, present, counts, limits)
    return found


def _of_values(
    name: str, reference: FeatureReference, bins: Mapping[str, float], counts: Counts, limits: Limits
) -> list[Problem]:
    """Return what is wrong with the values that are there."""
    rows = sum(bins.values())
    training = 1.0 - reference.shares.get(BIN_MISSING, 0.0)
    found = []
    times = _unit(name, reference, counts, limits)
    if times is not None:
        found.append(Problem(name, "unit", f"values are {times:,.4g} times those of training, and spread alike"))
    most = max(bins, key=lambda one: bins[one])
    one_bin = bins[most] / rows >= ONE_BIN and reference.shares[most] / training < NOT_CONSTANT
    if one_bin and (BIN_OTHER in bins or _is_constant(name, reference, rows, counts)):
        found.append(Problem(name, "constant", "all values are the same"))
    if BIN_OTHER in bins:
        gone = [
            one
            for one, share in reference.shares.items()
            if one not in (BIN_OTHER, BIN_MISSING)
            and share / training >= VANISHED_OF
            and bins[one] / rows < VANISHED_TO
        ]
        if gone:
            found.append(
                Problem(name, "vanished", f"{gone[0]} is not there, {reference.shares[gone[0]]:.0%} in training")
            )
    return found


def _moments(name: str, counts: Counts) -> tuple[float, float, float]:
    """Return count, mean and standard deviation of the magnitudes; 0, 0, 0 without any."""
    count = counts.get((c.MAGNITUDE, name, "count"), 0.0)
    if not count:
        return 0.0, 0.0, 0.0
    mean = counts.get((c.MAGNITUDE, name, "sum"), 0.0) / count
    square = counts.get((c.MAGNITUDE, name, "squares"), 0.0) / count
    return count, mean, math.sqrt(max(square - mean**2, 0.0))


def _unit(name: str, reference: FeatureReference, counts: Counts, limits: Limits) -> float | None:
    """Return by what the values must have been multiplied, where that explains them; None where it does not."""
    count, mean, deviation = _moments(name, counts)
    if reference.magnitude is None or count < limits.rows / 2:
        return None
    expected, spread = reference.magnitude
    shift, differs = abs(mean - expected), abs(deviation - spread)
    part, beside = SCALE_SPREAD
    scaled = shift >= SCALE and differs <= part * spread + beside
    part, beside = SMALL_SCALE_SPREAD
    error = SMALL_SCALE_ERRORS * spread / math.sqrt(2 * count)
    slightly = shift >= SMALL_SCALE and differs <= part * spread + beside + error
    # Magnitudes end at 32, but those of a stranger's page may not.
    return float(10.0 ** max(min(mean - expected, 64.0), -64.0)) if scaled or slightly else None


def _is_constant(name: str, reference: FeatureReference, rows: float, counts: Counts) -> bool:
    """Tell whether numbers that are all in one bin are one number."""
    count, _, deviation = _moments(name, counts)
    if reference.magnitude is None:
        return False
    return count < (1 - ONE_BIN) * rows or deviation <= 0.01 * reference.magnitude[1]
