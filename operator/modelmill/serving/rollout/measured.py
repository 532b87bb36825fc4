"""The record of a measurement in the status of a candidate. Pure."""

from __future__ import annotations

from dataclasses import replace

from modelmill.api.analysis import Analysis
from modelmill.api.inference_service_status import CanaryTrack, Measurement
from modelmill.engine.interface import Event
from modelmill.kube.conditions import timestamp
from modelmill.kube.labels import ABORT_ANNOTATION, PROMOTE_ANNOTATION, RESUME_ANNOTATION
from modelmill.serving.history import MAX_TEXT
from modelmill.serving.rollout.analysis import CONCLUSIVE, Verdict, aside_of, judge
from modelmill.serving.rollout.findings import ERROR, FAIL, INCONCLUSIVE, INSUFFICIENT, PASS
from modelmill.serving.rollout.position import Position, was_measured
from modelmill.serving.view import View

KEPT_MEASUREMENTS = 10


def measured(view: View, candidate: CanaryTrack, at: Position) -> tuple[CanaryTrack, Verdict | None]:
    """Return the candidate with the measurement that was taken for this plan, if it says something new, and the verdict.

    One that is counted for a limit always does; of the others, the first of its kind in each step, and one that says something
    else beside its verdict: each is a write of the status.
    """
    if at.analysis is None or view.samples is None:
        return candidate, None
    verdict = judge(at.analysis, view.samples)
    counted = replace(
        candidate,
        failures=candidate.failures + (verdict.verdict == FAIL),
        inconclusive=_inconclusive(at.analysis, candidate, verdict),
        consecutive_errors=candidate.consecutive_errors + 1 if verdict.verdict == ERROR else 0,
        passes=_passes(at.analysis, candidate, verdict),
    )
    message = verdict.message[:MAX_TEXT]
    # What passed in this step is not judged anew by a window with too few requests.
    known = was_measured(candidate, verdict.verdict) or (verdict.verdict == INSUFFICIENT and at.passed)
    told = known and aside_of(candidate.analysis[0].message) == aside_of(message)
    if told and counted == candidate:
        return candidate, verdict
    now = timestamp(view.now)
    entry = Measurement(time=now, requests=verdict.requests, verdict=verdict.verdict, message=message)
    recorded = replace(
        counted,
        analysis=(entry, *candidate.analysis)[:KEPT_MEASUREMENTS],
        last_measure_time=candidate.last_measure_time if verdict.verdict == INSUFFICIENT else now,
    )
    return recorded, verdict


def end_of(candidate: CanaryTrack, at: Position, verdict: Verdict | None) -> str:
    """Return why the measurements so far take the candidate back; empty while they do not."""
    if at.analysis is None or verdict is None:
        return ""
    if candidate.failures > at.analysis.failure_limit:
        return f"AnalysisFailed: {verdict.message}"
    if candidate.consecutive_errors > at.analysis.consecutive_error_limit:
        return f"AnalysisError: {verdict.message}"
    return ""


def paused_by_analysis(view: View, candidate: CanaryTrack, at: Position) -> tuple[CanaryTrack, tuple[Event, ...]]:
    """Return the candidate, paused for a person where its measurements stay inconclusive, and what is told."""
    if at.analysis is None or candidate.paused is not None:
        return candidate, ()
    if candidate.inconclusive <= at.analysis.inconclusive_limit:
        return candidate, ()
    grounds = candidate.analysis[0].message if candidate.analysis else ""
    text = (
        f"{candidate.version} waits for a person, since its measurements stay inconclusive: {grounds}. Set the annotation "
        f"{RESUME_ANNOTATION} to measure on, {PROMOTE_ANNOTATION} to end the step, or {ABORT_ANNOTATION}, to a new text"
    )
    event = Event("Warning", "Paused", text[:MAX_TEXT])
    return replace(candidate, paused="Inconclusive", pause_time=timestamp(view.now)), (event,)


def _inconclusive(analysis: Analysis, candidate: CanaryTrack, verdict: Verdict) -> int:
    """Return how many measurements were inconclusive in a row, at most one more than are tolerated.

    Where no more requests come, no more are counted: waiting alone decides nothing.
    """
    so_far = candidate.inconclusive
    if verdict.verdict in CONCLUSIVE:
        return 0
    if verdict.verdict != INCONCLUSIVE or so_far > analysis.inconclusive_limit:
        return so_far
    return so_far + (verdict.requests >= (so_far + 1) * analysis.min_requests)


def _passes(analysis: Analysis, candidate: CanaryTrack, verdict: Verdict) -> int:
    """Return how many measurements passed in a row in this step; once there are enough, they stay so."""
    so_far = candidate.passes if was_measured(candidate, PASS) else 0
    if so_far >= analysis.consecutive_success_limit or verdict.verdict not in CONCLUSIVE:
        return so_far
    return so_far + 1 if verdict.verdict == PASS else 0
