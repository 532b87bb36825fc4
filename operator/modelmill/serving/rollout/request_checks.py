"""Checks of answers and durations. Pure."""

from __future__ import annotations

from typing import Final

from modelmill.api.analysis import ERROR_RATIO, Check
from modelmill.measuring.samples import QUANTILES, Sample, durations, error_ratio, errors, quantile, slower
from modelmill.measuring.statistics import binomial_tail, exceedance_tail, rate_ratio_tail
from modelmill.serving.rollout.findings import (
    FAIL,
    INSUFFICIENT,
    PASS,
    Finding,
    Samples,
    beyond_bound,
    beyond_stable,
    whole,
)

FEW: Final = 5
"""Errors that are enough to fail before there are as many requests as are asked for."""


def of_requests(metric: str, check: Check, samples: Samples, least: int) -> Finding:
    """Return what a check of ErrorRatio or of a quantile of the duration says. least: fewest requests that are judged."""
    few = samples.candidate.requests < least
    lacking = Finding(INSUFFICIENT, f"{int(samples.candidate.requests)} of {least} requests needed")
    if few and not (metric == ERROR_RATIO and errors(samples.candidate) >= FEW):
        return lacking
    value = _value(metric, samples.candidate)
    found = []
    if check.maximum is not None:
        found.append(_against_bound(metric, samples.candidate, value, check.maximum))
    if check.max_ratio_to_stable is not None:
        found.append(_against_stable(metric, samples, value, check.max_ratio_to_stable, least))
    finding = whole(f"{metric} {value:.4g}", found)
    return lacking if few and finding.verdict != FAIL else finding


def _value(metric: str, sample: Sample) -> float:
    return error_ratio(sample) if metric == ERROR_RATIO else quantile(sample, QUANTILES[metric])


def _against_bound(metric: str, sample: Sample, value: float, maximum: str) -> Finding:
    bound = float(maximum)
    if value <= bound:
        return Finding(PASS, f"<= {maximum}")
    if metric == ERROR_RATIO:
        chance = binomial_tail(errors(sample), sample.requests, bound)
    else:
        chance = binomial_tail(slower(sample, bound), durations(sample), 1 - QUANTILES[metric])
    return beyond_bound(chance, f"> {maximum}")


def _against_stable(metric: str, samples: Samples, value: float, most: str, least: int) -> Finding:
    stable, ratio = samples.stable, float(most)
    if stable.requests < least:
        return Finding(PASS, f"(stable had {int(stable.requests)} requests: not compared)")
    other = _value(metric, stable)
    if value <= other * ratio:
        return Finding(PASS, f"(stable {other:.4g})")
    if metric == ERROR_RATIO:
        counted = (errors(samples.candidate), samples.candidate.requests, errors(stable), stable.requests)
        chance = rate_ratio_tail(*counted, ratio)
    else:
        share = QUANTILES[metric]
        above = slower(samples.candidate, other * ratio)
        chance = exceedance_tail(above, durations(samples.candidate), share * durations(stable), durations(stable))
    return beyond_stable(chance, f"> {most} times that of stable, {other:.4g}")
