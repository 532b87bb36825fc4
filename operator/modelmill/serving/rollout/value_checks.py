"""Checks of what is predicted: drift between the two versions, and the labels that came later. Pure."""

from __future__ import annotations

from modelmill.api.analysis import ACCURACY, MEAN_ABSOLUTE_ERROR, PREDICTION_PSI, Check
from modelmill.measuring.predictions import aligned
from modelmill.measuring.samples import Sample
from modelmill.measuring.statistics import (
    Errors,
    binomial_tail,
    lower_share_tail,
    mean_ratio_tail,
    mean_tail,
    psi,
)
from modelmill.serving.rollout.findings import (
    ERROR,
    FAIL,
    INCONCLUSIVE,
    INSUFFICIENT,
    PASS,
    SIGNIFICANT,
    Finding,
    Samples,
    beyond_bound,
    beyond_stable,
    whole,
)

LABELS = "labels needed by POST /feedback"


def of_drift(check: Check, samples: Samples, least: int) -> Finding:
    """Return what a check of PredictionPSI says. least: fewest predicted rows of each version that are judged."""
    for track, sample in (("the new version", samples.candidate), ("stable", samples.stable)):
        if not sample.bins:
            why = "another server, or a model without one prediction for each row"
            return Finding(ERROR, f"{PREDICTION_PSI}: {track} tells no bins of predictions: {why}")
        rows = sum(sample.bins.values())
        if rows < least:
            return Finding(INSUFFICIENT, f"{PREDICTION_PSI}: {int(rows)} of {least} predicted rows of {track} needed")
        if sample.requests < 1:
            return Finding(INSUFFICIENT, f"{PREDICTION_PSI}: no request to {track} was counted")
    try:
        mine, other = aligned(_by_request(samples.candidate), _by_request(samples.stable))
    except ValueError as error:
        return Finding(ERROR, f"{PREDICTION_PSI}: {error}")
    bound = check.maximum or "0"
    value, lowest = psi(mine, other, SIGNIFICANT)
    text = f"{PREDICTION_PSI} {value:.3g}"
    if value <= float(bound):
        return Finding(PASS, f"{text} <= {bound}")
    if lowest > float(bound):
        return Finding(FAIL, f"{text} > {bound} (p < {SIGNIFICANT})")
    return Finding(INCONCLUSIVE, f"{text} > {bound}, which may be chance (at least {max(lowest, 0):.3g})")


def of_accuracy(check: Check, samples: Samples, least: int) -> Finding:
    """Return what a check of Accuracy says. least: fewest labelled rows of each version that are judged."""
    correct, wrong = (_labelled(samples, samples.version, what) for what in ("correct", "wrong"))
    if correct is None or wrong is None:
        return _unlabelled(samples, ACCURACY, f"labels of numbers are judged by {MEAN_ABSOLUTE_ERROR}")
    labels = correct + wrong
    if labels < max(least, 1):
        return Finding(INSUFFICIENT, f"{ACCURACY}: {int(labels)} of {least} {LABELS}")
    value, found = correct / labels, []
    if check.minimum is not None:
        lowest = float(check.minimum)
        chance = binomial_tail(wrong, labels, 1 - lowest)
        passes = value >= lowest
        found.append(Finding(PASS, f">= {check.minimum}") if passes else beyond_bound(chance, f"< {check.minimum}"))
    if check.min_ratio_to_stable is not None:
        found.append(_accuracy_of_both(samples, correct, labels, check.min_ratio_to_stable, least))
    return whole(f"{ACCURACY} {value:.4g}", found)


def _accuracy_of_both(samples: Samples, correct: float, labels: float, least_ratio: str, least: int) -> Finding:
    right, wrong = (_labelled(samples, samples.stable_version, what) or 0.0 for what in ("correct", "wrong"))
    undecided = _not_compared(samples, right + wrong, least)
    if undecided is not None:
        return undecided
    other, ratio = right / (right + wrong), float(least_ratio)
    if correct / labels >= other * ratio:
        return Finding(PASS, f"(stable {other:.4g})")
    chance = lower_share_tail(correct, labels, right, right + wrong, ratio)
    return beyond_stable(chance, f"< {least_ratio} times that of stable, {other:.4g}")


def of_errors(check: Check, samples: Samples, least: int) -> Finding:
    """Return what a check of MeanAbsoluteError says. least: fewest labelled rows of each version that are judged."""
    mine = _errors(samples, samples.version)
    if mine is None:
        return _unlabelled(samples, MEAN_ABSOLUTE_ERROR, f"labels of classes are judged by {ACCURACY}")
    if mine.count < max(least, 1):
        return Finding(INSUFFICIENT, f"{MEAN_ABSOLUTE_ERROR}: {int(mine.count)} of {least} {LABELS}")
    found = []
    if check.maximum is not None:
        passes = mine.mean <= float(check.maximum)
        chance = mean_tail(mine, float(check.maximum))
        found.append(Finding(PASS, f"<= {check.maximum}") if passes else beyond_bound(chance, f"> {check.maximum}"))
    if check.max_ratio_to_stable is not None:
        found.append(_errors_of_both(samples, mine, check.max_ratio_to_stable, least))
    return whole(f"{MEAN_ABSOLUTE_ERROR} {mine.mean:.4g}", found)


def _errors_of_both(samples: Samples, mine: Errors, most: str, least: int) -> Finding:
    stable = _errors(samples, samples.stable_version) or Errors(0, 0, 0)
    undecided = _not_compared(samples, stable.count, least)
    if undecided is not None:
        return undecided
    if mine.mean <= stable.mean * float(most):
        return Finding(PASS, f"(stable {stable.mean:.4g})")
    text = f"> {most} times that of stable, {stable.mean:.4g}"
    return beyond_stable(mean_ratio_tail(mine, stable, float(most)), text)


def _not_compared(samples: Samples, labels: float, least: int) -> Finding | None:
    if samples.version == samples.stable_version:
        return Finding(PASS, "(stable serves the same version: not compared)")
    if labels < max(least, 1):
        return Finding(INSUFFICIENT, f"(stable had {int(labels)} of {least} {LABELS})")
    return None


def _by_request(sample: Sample) -> Sample:
    """Return the sample with as many rows as requests at most: rows of one request are seldom independent."""
    share = min(1.0, sample.requests / sum(sample.bins.values()))
    return Sample(bins={name: count * share for name, count in sample.bins.items()}, edges=sample.edges)


def _labelled(samples: Samples, version: str, what: str) -> float | None:
    """Return what was counted of a version's labels, by the pods of either track; None when none tells it."""
    key = (version, what)
    told = [one.scores[key] for one in (samples.candidate, samples.stable) if key in one.scores]
    return sum(told) if told else None


def _errors(samples: Samples, version: str) -> Errors | None:
    count, total, squares = (_labelled(samples, version, what) for what in ("scored", "absolute", "squared"))
    return Errors(count, total, squares) if count is not None and total is not None and squares is not None else None


def _unlabelled(samples: Samples, metric: str, other: str) -> Finding:
    if any(version == samples.version for version, _ in samples.candidate.scores):
        return Finding(ERROR, f"{metric}: {other}")
    return Finding(ERROR, f"{metric}: the pods of {samples.version} tell no labels in /metrics")
