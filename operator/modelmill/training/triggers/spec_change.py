"""A run because what it trains was made or changed: data, how, or where from."""

from __future__ import annotations

from collections.abc import Sequence

from modelmill.training.triggers.reason import Reason
from modelmill.training.view import View

KIND = "Spec"


def reasons(view: View) -> Sequence[Reason]:
    """Return the reason when the last run that was started trains something else."""
    before = view.status.trained_hash
    if view.trained_hash() == before:
        return ()
    return (Reason(KIND, KIND, _message(view) if before is None else "what it trains was changed"),)


def _message(view: View) -> str:
    """Return why nothing counts as trained: no run was started, or the last one was given up for another spec."""
    last = view.status.last_run
    return "created" if last is None else f"the spec was changed while run {last.number} could not go on"
