"""Whether a new version is good enough: the verdict of all checks on what its pods and the stable ones counted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modelmill.api.analysis import Analysis
from modelmill.serving.rollout.checks import NO_FIGURES, judged, silence
from modelmill.serving.rollout.findings import FAIL, PASS, WORST, Finding, Samples, Word, worst_of

CONCLUSIVE: Final = (PASS, FAIL)
"""Verdicts after which counting begins anew. With the others it goes on, so that more is known the next time."""
DRY_RUN: Final = "dry run"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks say. `requests` to the candidate in the measured time."""

    verdict: Word
    requests: int
    message: str


def aside_of(message: str) -> tuple[str, ...]:
    """Return what a message of `judge` tells beside its verdict: that pods gave no figures, what dry runs say."""
    told = [f"{DRY_RUN} {word}" for word in WORST if f"{DRY_RUN} {word}" in message]
    return (*told, NO_FIGURES) if NO_FIGURES in message else tuple(told)


def judge(analysis: Analysis, samples: Samples) -> Verdict:
    """Return the verdict of all checks: that of the worst one, with the texts of all that agree with it."""
    requests = int(samples.candidate.requests)
    found, dry = _findings(analysis, samples, dry_run=False), _findings(analysis, samples, dry_run=True)
    worst = worst_of(found).verdict if found else PASS
    texts = [one.text for one in found if one.verdict == worst]
    texts += [f"{DRY_RUN} {one.verdict}: {one.text}" for one in dry]
    texts += [silence(samples)] if samples.silent else []
    return Verdict(worst, requests, "; ".join(dict.fromkeys(texts)))


def _findings(analysis: Analysis, samples: Samples, *, dry_run: bool) -> list[Finding]:
    wanted = (check for check in analysis.checks if check.dry_run == dry_run)
    return [judged(check, samples, analysis.min_requests) for check in wanted]
