"""Whether a step is done: from where the candidate is and what was measured for this plan. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from modelmill.serving.rollout.analysis import judge
from modelmill.serving.rollout.findings import INSUFFICIENT, Samples
from modelmill.serving.rollout.position import Position


@dataclass(frozen=True, slots=True)
class StepState:
    """done: the next step may begin. again: seconds until that may change by itself. failed: why it never will."""

    done: bool = False
    again: float | None = None
    failed: str = ""


def step_state(at: Position, samples: Samples | None) -> StepState:
    """Return the state of the step."""
    if at.deadline_left is not None:
        return StepState(again=at.deadline_left)
    if not at.routed:
        return StepState()
    if at.step.pause is not None:
        return StepState(done=at.resumed)
    if at.passed and at.step.weight is not None:
        return StepState(done=True)
    wait = at.seconds_left
    if at.analysis is None or not at.measures or at.ends is None:
        return StepState(again=wait) if wait > 0 else StepState(done=True)
    if wait > 0:
        return StepState(again=min(wait, at.measure_again or wait))
    if at.passed:
        return StepState(done=True)
    # The time is over without a verdict. Only a measurement that was taken, and had too few requests, decides.
    short = samples is not None and judge(at.analysis, samples).verdict == INSUFFICIENT
    if short and at.analysis.on_insufficient_data == "Pass":
        return StepState(done=True)
    if short and at.analysis.on_insufficient_data == "Fail":
        seconds = int((at.ends - at.began).total_seconds())
        needed = f"fewer than {at.analysis.min_requests} requests to the new version"
        if samples is not None and samples.candidate.requests >= at.analysis.min_requests:
            needed = "too few rows or labels to judge the new version by"
        text = f"InsufficientData: {needed} in {seconds} s"
        return StepState(failed=text)
    return StepState(again=at.measure_again)
