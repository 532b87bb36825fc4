"""The check of what a shadow answered to mirrored requests. Pure."""

from __future__ import annotations

from modelmill.api.analysis import DISAGREEMENT, Check
from modelmill.measuring.samples import COMPARED, DISAGREED
from modelmill.measuring.statistics import binomial_tail
from modelmill.serving.rollout.findings import INSUFFICIENT, PASS, Finding, Samples, beyond_bound


def of_disagreement(check: Check, samples: Samples, least: int) -> Finding:
    """Return what a check of Disagreement says. least: fewest answers that are compared."""
    compared, disagreed = (
        sum(count for (_, what), count in samples.candidate.mirrored.items() if what == wanted)
        for wanted in (COMPARED, DISAGREED)
    )
    if compared < max(least, 1):
        return Finding(INSUFFICIENT, f"{DISAGREEMENT}: {int(compared)} of {least} compared answers needed")
    bound = check.maximum or "0"
    text = f"{DISAGREEMENT} {disagreed / compared:.4g}"
    if disagreed / compared <= float(bound):
        return Finding(PASS, f"{text} <= {bound}")
    return beyond_bound(binomial_tail(disagreed, compared, float(bound)), f"{text} > {bound}")
