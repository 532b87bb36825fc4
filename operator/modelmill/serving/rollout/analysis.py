"""Whether a new version is good enough: verdicts from what its pods and the stable ones counted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from modelmill.api.analysis import Analysis, Check
from modelmill.measuring.samples import MEASURES, Sample

PASS: Final = "Pass"
FAIL: Final = "Fail"
INSUFFICIENT: Final = "Insufficient"
NO_FIGURES: Final = "no figures from"


@dataclass(frozen=True, slots=True)
class Samples:
    """Both tracks over the same time. pods: ready pods of the candidate; silent: those of them that gave no figures."""

    candidate: Sample
    stable: Sample
    pods: int = 0
    silent: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks say. `requests` to the candidate in the measured time."""

    verdict: Literal["Pass", "Fail", "Insufficient"]
    requests: int
    message: str


def judge(analysis: Analysis, samples: Samples) -> Verdict:
    """Return the verdict of all checks; with fewer requests than minRequests nothing is concluded."""
    requests = int(samples.candidate.requests)
    silent = f"{NO_FIGURES} {samples.silent} of {samples.pods} pods at /metrics" if samples.silent else ""
    if silent and samples.silent == samples.pods:
        # Whether there were requests is not known: none of them was counted.
        return Verdict(INSUFFICIENT, requests, silent)
    told = f"; {silent}" if silent else ""
    if requests < analysis.min_requests:
        return Verdict(INSUFFICIENT, requests, f"{requests} of {analysis.min_requests} requests needed{told}")
    failed: list[str] = []
    passed: list[str] = []
    for check in analysis.checks:
        good, text = _check(check, samples, analysis.min_requests)
        (passed if good else failed).append(text)
    if failed:
        return Verdict(FAIL, requests, "; ".join(failed) + told)
    return Verdict(PASS, requests, "; ".join(passed) + told)


def _check(check: Check, samples: Samples, min_requests: int) -> tuple[bool, str]:
    measure = MEASURES[check.metric]
    value = measure(samples.candidate)
    text = f"{check.metric} {value:.4g}"
    if check.maximum is not None:
        if value > float(check.maximum):
            return False, f"{text} > {check.maximum}"
        text += f" <= {check.maximum}"
    if check.max_ratio_to_stable is not None:
        if samples.stable.requests < min_requests:
            return True, f"{text}, stable had {int(samples.stable.requests)} requests: not compared"
        stable = measure(samples.stable)
        if value > stable * float(check.max_ratio_to_stable):
            return False, f"{text}, stable {stable:.4g}: more than {check.max_ratio_to_stable} times"
        text += f", stable {stable:.4g}"
    return True, text
