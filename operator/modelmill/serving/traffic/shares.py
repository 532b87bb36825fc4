"""Shares of the requests by replica counts: a Service gives each ready pod that it selects the same."""

from __future__ import annotations

from modelmill.serving.capacity import FULL
from modelmill.serving.view import View


def actual_weight(weight: int, candidate_ready: int, stable_ready: int) -> int:
    """Return the candidate's share in percent; 0 without a weight, whatever is ready."""
    return round(FULL * candidate_ready / (candidate_ready + stable_ready)) if weight and candidate_ready else 0


def only_revision(view: View, revision: str) -> str | None:
    """Return the revision that gets all the traffic; None for all, when it has no ready pod and another one has."""
    return None if view.answering() and not view.ready(revision) else revision
