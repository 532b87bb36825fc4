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
    return (Reason(KIND, KIND, "created" if before is None else "what it trains was changed"),)
