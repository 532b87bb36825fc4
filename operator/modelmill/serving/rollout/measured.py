"""The record of a measurement in the status of a candidate. Pure."""

from __future__ import annotations

from dataclasses import replace

from modelmill.api.inference_service_status import CanaryTrack, Measurement
from modelmill.kube.conditions import timestamp
from modelmill.serving.history import MAX_TEXT
from modelmill.serving.rollout.analysis import FAIL, INSUFFICIENT, NO_FIGURES, Verdict, judge
from modelmill.serving.rollout.position import Position, was_measured
from modelmill.serving.view import View

KEPT_MEASUREMENTS = 10


def measured(view: View, candidate: CanaryTrack, at: Position) -> tuple[CanaryTrack, Verdict | None]:
    """Return the candidate with the measurement that was taken for this plan, if it says something new, and the verdict.

    A failed one always does; of the others, the first of its kind in each step, with or without pods that gave no figures: each
    is a write of the status.
    """
    if at.analysis is None or view.samples is None:
        return candidate, None
    verdict = judge(at.analysis, view.samples)
    told = was_measured(candidate, verdict.verdict) and _silent(candidate.analysis[0].message) == _silent(
        verdict.message
    )
    if verdict.verdict != FAIL and told:
        return candidate, verdict
    now = timestamp(view.now)
    entry = Measurement(
        time=now, requests=verdict.requests, verdict=verdict.verdict, message=verdict.message[:MAX_TEXT]
    )
    measured = replace(
        candidate,
        analysis=(entry, *candidate.analysis)[:KEPT_MEASUREMENTS],
        failures=candidate.failures + (verdict.verdict == FAIL),
        last_measure_time=candidate.last_measure_time if verdict.verdict == INSUFFICIENT else now,
    )
    return measured, verdict


def _silent(message: str) -> bool:
    return NO_FIGURES in message
