"""Whether a new version is good enough: the verdict of all checks on what its pods and the stable ones counted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modelmill.api.analysis import Analysis
from modelmill.serving.rollout.checks import (
    FAIL,
    INCONCLUSIVE,
    INSUFFICIENT,
    PASS,
    Finding,
    Samples,
    Word,
    judged,
    worst_of,
)

__all__ = ["CONCLUSIVE", "FAIL", "INCONCLUSIVE", "INSUFFICIENT", "NO_FIGURES", "PASS", "Samples", "Verdict", "judge"]

CONCLUSIVE: Final = (PASS, FAIL)
"""Verdicts after which counting begins anew. With the others it goes on, so that more is known the next time."""
NO_FIGURES: Final = "no figures from"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks say. `requests` to the candidate in the measured time."""

    verdict: Word
    requests: int
    message: str


def judge(analysis: Analysis, samples: Samples) -> Verdict:
    """Return the verdict of all checks: that of the worst one, with the texts of all that agree with it."""
    requests = int(samples.candidate.requests)
    silent = f"{NO_FIGURES} {samples.silent} of {samples.pods} pods at /metrics" if samples.silent else ""
    if silent and samples.silent == samples.pods:
        # Whether there were requests is not known: none of them was counted.
        return Verdict(INSUFFICIENT, requests, silent)
    found: list[Finding] = [judged(check, samples, analysis.min_requests) for check in analysis.checks]
    worst = worst_of(found).verdict
    texts = dict.fromkeys(one.text for one in found if one.verdict == worst)
    return Verdict(worst, requests, "; ".join(filter(None, (*texts, silent))))
