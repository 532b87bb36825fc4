"""What one check says of what both tracks counted: a value against its bounds, and whether chance explains it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from modelmill.api.analysis import Check
from modelmill.measuring.samples import QUANTILES, Sample, durations, error_ratio, errors, quantile, slower
from modelmill.measuring.statistics import binomial_tail, exceedance_tail, rate_ratio_tail

Word = Literal["Pass", "Insufficient", "Inconclusive", "Fail"]
PASS: Final = "Pass"
FAIL: Final = "Fail"
INCONCLUSIVE: Final = "Inconclusive"
INSUFFICIENT: Final = "Insufficient"
WORST: Final[Sequence[Word]] = (FAIL, INCONCLUSIVE, INSUFFICIENT, PASS)
"""The worst verdict of the checks is that of a measurement."""

SIGNIFICANT: Final = 0.001
"""A value beyond its bound fails when chance makes it so less often than this."""
SUSPICIOUS: Final = 0.05
"""A value beyond its ratio to the stable version's passes when chance makes it so more often than this.

Two equal versions are beyond any ratio again and again when little is counted; against a fixed bound more counting decides.
"""
FEW: Final = 5
"""Errors that are enough to fail before there are as many requests as are asked for."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Both tracks over the same time. pods: ready pods of the candidate; silent: those of them that gave no figures."""

    candidate: Sample
    stable: Sample
    pods: int = 0
    silent: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says, and the value against its bounds for people."""

    verdict: Word
    text: str


def judged(check: Check, samples: Samples, least: int) -> Finding:
    """Return what the check says. least: fewest requests of a track that are judged."""
    few = samples.candidate.requests < least
    if few and not (check.metric == "ErrorRatio" and errors(samples.candidate) >= FEW):
        return Finding(INSUFFICIENT, f"{int(samples.candidate.requests)} of {least} requests needed")
    value = _value(check.metric, samples.candidate)
    found = [Finding(PASS, f"{check.metric} {value:.4g}")]
    if check.maximum is not None:
        found.append(_against_bound(check.metric, samples.candidate, value, check.maximum))
    if check.max_ratio_to_stable is not None:
        found.append(_against_stable(check.metric, samples, value, check.max_ratio_to_stable, least))
    worst = worst_of(found)
    if few and worst.verdict != FAIL:
        return Finding(INSUFFICIENT, f"{int(samples.candidate.requests)} of {least} requests needed")
    if worst.verdict != PASS:
        return Finding(worst.verdict, f"{found[0].text} {worst.text}")
    return Finding(PASS, found[0].text + "".join(f" {one.text}" for one in found[1:]))


def worst_of(found: Sequence[Finding]) -> Finding:
    """Return the first finding of the worst verdict."""
    return min(found, key=lambda one: WORST.index(one.verdict))


def _value(metric: str, sample: Sample) -> float:
    return error_ratio(sample) if metric == "ErrorRatio" else quantile(sample, QUANTILES[metric])


def _against_bound(metric: str, sample: Sample, value: float, maximum: str) -> Finding:
    bound = float(maximum)
    if value <= bound:
        return Finding(PASS, f"<= {maximum}")
    if metric == "ErrorRatio":
        chance = binomial_tail(errors(sample), sample.requests, bound)
    else:
        chance = binomial_tail(slower(sample, bound), durations(sample), 1 - QUANTILES[metric])
    return Finding(FAIL if chance < SIGNIFICANT else INCONCLUSIVE, f"> {maximum}{_told(chance)}")


def _against_stable(metric: str, samples: Samples, value: float, most: str, least: int) -> Finding:
    stable, ratio = samples.stable, float(most)
    if stable.requests < least:
        return Finding(PASS, f", stable had {int(stable.requests)} requests: not compared")
    other = _value(metric, stable)
    text = f", stable {other:.4g}"
    if value <= other * ratio:
        return Finding(PASS, text)
    if metric == "ErrorRatio":
        counted = (errors(samples.candidate), samples.candidate.requests, errors(stable), stable.requests)
        chance = rate_ratio_tail(*counted, ratio)
    else:
        share = QUANTILES[metric]
        above = slower(samples.candidate, other * ratio)
        chance = exceedance_tail(above, durations(samples.candidate), share * durations(stable), durations(stable))
    if chance >= SUSPICIOUS:
        return Finding(PASS, f"{text}: more than {most} times, which chance explains (p {chance:.2g})")
    return Finding(FAIL if chance < SIGNIFICANT else INCONCLUSIVE, f"{text}: more than {most} times{_told(chance)}")


def _told(chance: float) -> str:
    return f" (p {chance:.2g})" if chance < SIGNIFICANT else f", which may be chance (p {chance:.2g})"
