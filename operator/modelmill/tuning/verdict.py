"""Whether a search is over, and how many trials may begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modelmill.api.training_job import Primary
from modelmill.api.tuning import Objective, Tuning
from modelmill.tuning.ledger import FAILED, RUNNING, SUCCEEDED, Ledger
from modelmill.tuning.pods import room_for_pods

GOAL_REACHED: Final = "GoalReached"
MAX_TRIALS_REACHED: Final = "MaxTrialsReached"
SPACE_EXHAUSTED: Final = "SearchSpaceExhausted"
TOO_MANY_FAILED: Final = "TooManyFailedTrials"
NONE_SUCCEEDED: Final = "NoTrialSucceeded"
SAMPLER_FAILED: Final = "SamplerFailed"
GOOD: Final = (GOAL_REACHED, MAX_TRIALS_REACHED, SPACE_EXHAUSTED)
"""Ends after which the best trial's parameters are published."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """end: why the search is over, empty while it goes on; message: the same for people. room: trials that may begin."""

    end: str = ""
    message: str = ""
    room: int = 0


def objective(tuning: Tuning, primary: Primary) -> Objective:
    """Return what the search optimizes: the metric that versions are compared by, unless it says another."""
    return tuning.objective or Objective(metric=primary.metric, direction=primary.direction)


def judge(tuning: Tuning, aim: Objective, ledger: Ledger) -> Verdict:
    """Return whether the search is over: the goal first, then failures, then the number of trials."""
    best = next(iter(ledger.ranked(aim.direction)), None)
    if aim.goal is not None and best is not None and best.value is not None:
        sign = 1 if aim.direction == "Maximize" else -1
        if sign * best.value >= sign * float(aim.goal):
            return Verdict(GOAL_REACHED, f"trial {best.index} reached the goal: {aim.metric} {best.value:g}")
    failed = [one for one in ledger.entries[ledger.header.carried :] if one.state == FAILED]
    if len(failed) > tuning.max_failed_trials:
        last = failed[-1]
        text = f"{len(failed)} trials failed, spec.tuning.maxFailedTrials is {tuning.max_failed_trials}"
        return Verdict(TOO_MANY_FAILED, f"{text}; the last one, {last.index}: {last.reason}: {last.message}")
    running = ledger.count(RUNNING)
    left = tuning.max_trials - len(ledger.entries)
    if left <= 0 and not running:
        return ended(ledger, Verdict(MAX_TRIALS_REACHED, f"all {len(ledger.entries)} trials are over"))
    room = max(0, min(left, tuning.parallel_trials - running))
    return Verdict(room=room_for_pods(room, left, tuning.trials_per_pod))


def exhausted(ledger: Ledger) -> Verdict:
    """Return the verdict when the space has no trial that was not made: it is over when none runs."""
    if ledger.count(RUNNING):
        return Verdict()
    return ended(ledger, Verdict(SPACE_EXHAUSTED, f"all {len(ledger.entries)} combinations were tried"))


def ended(ledger: Ledger, verdict: Verdict) -> Verdict:
    """Return the verdict on a search without trials to come: without one that succeeded there is nothing to publish."""
    if ledger.count(SUCCEEDED):
        return verdict
    last = next((one for one in reversed(ledger.entries) if one.state == FAILED), None)
    why = f"; the last one, {last.index}: {last.reason}: {last.message}" if last is not None else ""
    return Verdict(NONE_SUCCEEDED, f"{verdict.message}, and none succeeded{why}")
