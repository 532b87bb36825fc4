"""A run because what it trains was made or changed: data, how, or where from."""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.training.triggers.reason import Reason
from modelmill.training.view import View
from modelmill.tuning.verdict import MAX_TRIALS_REACHED

KIND = "Spec"


def reasons(view: View) -> Sequence[Reason]:
    """Return the reason when the last run that was started trains something else."""
    before = view.status.trained_hash
    if view.trained_hash() == before:
        return _more_trials(view)
    return (Reason(KIND, KIND, _message(view) if before is None else "what it trains was changed"),)


def _message(view: View) -> str:
    """Return why nothing counts as trained: no run was started, or the last one was given up for another spec."""
    last = view.status.last_run
    return "created" if last is None else f"the spec was changed while run {last.number} could not go on"


def _more_trials(view: View) -> Sequence[Reason]:
    """Return the reason when the last run's search ended by its number of trials, and there may be more of them."""
    last, tuning = view.status.last_run, view.spec.tuning
    trials = last.trials if last is not None else None
    if trials is None or tuning is None or trials.end != MAX_TRIALS_REACHED or tuning.max_trials <= trials.maximum:
        return ()
    text = f"spec.tuning.maxTrials was raised from {trials.maximum} to {tuning.max_trials}"
    return (Reason(KIND, KIND, text),)
